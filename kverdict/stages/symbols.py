# SPDX-License-Identifier: GPL-2.0-or-later
"""Files and lines for the functions in a report, through the tree's own decode_stacktrace.sh.

The script gets one address a line and nothing else of what the guest printed, so that each answer
belongs to a question and no hostile line reaches its arithmetic.  What it makes of an address is
not right for all of them: that of 6.12 takes the return addresses of a trace for the calls before
them; that of 7.2 takes one off of every address, also off of RIP, which is exact, and so names the
line next to that of a WARN_ON().  Here it is asked for the very address (-R where it has that), and
one is taken off of return addresses before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kverdict.errors import InfraError
from kverdict.findings.console import plain_name
from kverdict.models import Splat
from kverdict.proc import Finished
from kverdict.progress import Progress
from kverdict.sandbox import OBJ, SRC, Bind, Isolation, Sandbox, read_left

SCRIPT = Path("scripts/decode_stacktrace.sh")
_VMLINUX = OBJ / "vmlinux"
_SCRIPT_BYTES = 1 << 20
_MOST_ADDRESSES = 200  # each takes a quarter of a second: nm and addr2line read all of vmlinux
_SECONDS = 120.0
_MOST_PLACES = 8  # of one address: the function and what is inlined there

# Not "? f+0x1/0x2", a left-over on the stack, and not "f+0x1/0x2 [module]", which is elsewhere.
_SYMBOL = re.compile(
    r"(?<![\w.?])(?<!\? )(?P<function>[A-Za-z_][\w.]{0,200})"
    r"\+0x(?P<offset>[0-9a-f]{1,8})/0x(?P<size>[0-9a-f]{1,8})(?![\w/])(?! \[)",
    re.ASCII,
)
_EXACT = re.compile(r"RIP: |WARNING: ")
_ANSWER = re.compile(r"(?P<function>\S+) \((?P<places>.*)\) ?")
_DISCRIMINATOR = re.compile(r" \(discriminator \d+\)")
_PLACE = re.compile(r"[\w.+-][\w.+/-]*:[1-9]\d{0,6}", re.ASCII)


@dataclass(frozen=True)
class Symbolized:
    """``why`` says why some or all of the excerpts are as they were, None when nothing failed."""

    splats: tuple[Splat, ...]
    why: str | None = None


def symbolize(
    splats: Sequence[Splat],
    src: Path,
    vmlinux: Path,
    *,
    isolation: Isolation = Isolation.BUBBLEWRAP,
    progress: Progress,
) -> Symbolized:
    """``splats`` with their place, and with files and lines in their excerpts.

    ``src`` is a tree that has the script, ``vmlinux`` the very one that ran.  Two static functions
    of one name are one to the script: the first in vmlinux.  Trouble with the tree's script or with
    vmlinux is told in ``why``; raises ToolMissing without bubblewrap.
    """
    asked = list(dict.fromkeys(one for splat in splats for one in _questions(splat)))
    if not asked:
        return Symbolized(tuple(splats))
    try:
        script = read_left(src / SCRIPT, _SCRIPT_BYTES)
    except InfraError as error:
        return Symbolized(tuple(splats), f"{SCRIPT} of the tree: {error.problem}")
    if not vmlinux.is_file():
        return Symbolized(tuple(splats), "there is no vmlinux to look in")
    options = ["-R"] if b'"-R"' in script else []
    sandbox = Sandbox(
        binds=(Bind(src, SRC), Bind(vmlinux, _VMLINUX)), cwd=Path("/tmp"), isolation=isolation
    )
    argv = ["bash", str(SRC / SCRIPT), *options, str(_VMLINUX), str(SRC)]
    questions = "".join(f"{one}\n" for one in asked[:_MOST_ADDRESSES])
    with progress.task("  symbolizing"):
        done = sandbox.run(argv, stdin=questions.encode(), timeout=_SECONDS)
    answers = read_answers(asked, done.text)
    return Symbolized(
        tuple(_decoded(splat, answers) for splat in splats), _why(done, answers, len(asked))
    )


def _why(done: Finished, answers: Mapping[str, tuple[str, ...]], asked: int) -> str | None:
    if done.stopped is not None:
        return f"{SCRIPT.name} was ended: {done.stopped}"
    if done.returncode != 0:
        return f"{SCRIPT.name} failed with exit status {done.returncode}"
    if not answers:
        return f"{SCRIPT.name} found no line: vmlinux has no line tables that addr2line can read"
    if asked > _MOST_ADDRESSES:
        return f"only the first {_MOST_ADDRESSES} of {asked} addresses were looked up"
    return None


def _questions(splat: Splat) -> Iterator[str]:
    """What to ask for the lines of an excerpt: "function+0xoffset/0xsize"."""
    for line in splat.excerpt.split("\n"):
        for symbol in _SYMBOL.finditer(line):
            yield _question(line, symbol)


def _question(line: str, symbol: re.Match[str]) -> str:
    offset = int(symbol["offset"], 16)
    if offset and not _EXACT.match(line):
        offset -= 1
    return f"{symbol['function']}+{offset:#x}/0x{symbol['size']}"


def read_answers(asked: Sequence[str], output: str) -> dict[str, tuple[str, ...]]:
    """The places of each address, the innermost first; what is no place in the tree is left out.

    An answer is "function (file:line file:line)" in the order of the questions, "??:?" or the
    question itself where nothing was found.
    """
    answers = {}
    for question, line in zip(asked, output.splitlines(), strict=False):
        found = _ANSWER.fullmatch(line)
        if found and found["function"] == question.partition("+")[0]:
            words = _DISCRIMINATOR.sub("", found["places"]).split(" ")
            if places := tuple(word for word in words if _PLACE.fullmatch(word)):
                answers[question] = places[:_MOST_PLACES]
    return answers


def _decoded(splat: Splat, answers: Mapping[str, tuple[str, ...]]) -> Splat:
    lines = splat.excerpt.split("\n")
    found = (
        places
        for line in lines
        for symbol in _SYMBOL.finditer(line)
        if plain_name(symbol["function"]) in splat.frames[:1]
        and (places := answers.get(_question(line, symbol)))
    )
    innermost = next(found, None)
    return splat.model_copy(
        update={
            "place": None if innermost is None else _in_source(innermost),
            "excerpt": "\n".join(
                _SYMBOL.sub(partial(_shown, line, answers), line) for line in lines
            ),
        }
    )


def _shown(line: str, answers: Mapping[str, tuple[str, ...]], symbol: re.Match[str]) -> str:
    places = answers.get(_question(line, symbol))
    return f"{symbol['function']} ({' '.join(places)})" if places else symbol[0]


def _in_source(places: tuple[str, ...]) -> str:
    """The innermost place that is not a helper's in a header."""
    return next((one for one in places if ".h:" not in one), places[0])
