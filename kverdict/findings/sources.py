# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tree's own checkers of sources print, as data: checkpatch.pl, kernel-doc, spatch.

They quote whatever a patch holds, so that lines are taken only in the one form that the tool
writes them in, for files that it was given, and cut to a length.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kverdict.findings.alike import Lines, is_on, more_than_known
from kverdict.models import CheckNote
from kverdict.text import shorten

LONGEST = 300  # columns of a message
_READ = 2000  # characters of a message that are looked at
_CHECKPATCH = re.compile(r"(.*?):(\d{1,9}): (ERROR|WARNING|CHECK):([A-Z0-9_]+): (.*)")
_SEVERITIES = {"ERROR": "error", "WARNING": "warning", "CHECK": "note"}
# Of perl, until 6.15, "FILE:LINE: warning: TEXT"; of Python "Warning: FILE:LINE TEXT".
_KERNEL_DOC = re.compile(
    r"(?:(?P<first>Warning|Error): )?(?P<place>.+?):(?P<line>\d{1,9}):? "
    r"(?:(?P<then>warning|error): )?(?P<text>.+)"
)
_REPORT = re.compile(r"(?P<place>.+?):(?P<line>\d{1,9}):\d+-\d+: (?P<text>.+)")
_OTHER_LINES = re.compile(r"\b(lines?) [\d,]+")


@dataclass(frozen=True)
class Said:
    """A message about one version of one file."""

    line: int
    severity: str  # as in models.CheckNote
    text: str

    @property
    def identity(self) -> str:
        """The same in two versions whose lines have moved."""
        return _OTHER_LINES.sub(r"\1", self.text)


@dataclass(frozen=True, order=True)
class Version:
    """A file as a patch leaves it; ``patch`` 0 is the base."""

    patch: int
    path: str

    @property
    def place(self) -> str:
        """Where it lies in the folder of all versions."""
        return f"{self.patch}/{self.path}"


Spoken = Mapping[Version, Collection[Said]]


def read_checkpatch(output: str, patch: int, paths: Collection[str]) -> tuple[CheckNote, ...]:
    """The notes of ``checkpatch.pl --terse --show-types --showfile`` on one patch, in its order."""
    found = (_CHECKPATCH.fullmatch(line) for line in output.splitlines())
    notes = [_of_checkpatch(match, patch, paths) for match in found if match]
    return tuple(dict.fromkeys(notes))


def _of_checkpatch(match: re.Match[str], patch: int, paths: Collection[str]) -> CheckNote:
    file = match[1] if match[1] in paths else None  # none: about the commit message
    return CheckNote(
        tool="checkpatch",
        patch=patch,
        severity=_SEVERITIES[match[3]],
        file=file,
        line=int(match[2]) or None if file is not None else None,
        message=shorten(f"{match[4]}: {match[5][:_READ]}", LONGEST),
    )


def read_kernel_doc(output: str, versions: Collection[Version]) -> dict[Version, set[Said]]:
    """The messages of ``kernel-doc -none``, run on the ``place`` of these files."""
    return _by_version(_KERNEL_DOC, output, versions, _kernel_doc_severity)


def _kernel_doc_severity(match: re.Match[str]) -> str | None:
    word = match["first"] or match["then"]
    return word.lower() if word else None


def read_report(
    output: str, versions: Collection[Version], script: str
) -> dict[Version, set[Said]]:
    """What one semantic patch reported (``spatch -D report --dir .``) about these files."""
    spoken = _by_version(_REPORT, output, versions, _report_severity)
    return {
        version: {Said(said.line, said.severity, f"{said.text} ({script})") for said in all_said}
        for version, all_said in spoken.items()
    }


def _report_severity(match: re.Match[str]) -> str | None:
    return "error" if match["text"].startswith("ERROR") else "warning"


def _by_version(
    form: re.Pattern[str],
    output: str,
    versions: Collection[Version],
    severity_of: Callable[[re.Match[str]], str | None],
) -> dict[Version, set[Said]]:
    known = {version.place: version for version in versions}
    spoken: dict[Version, set[Said]] = {}
    for match in (form.fullmatch(line) for line in output.splitlines()):
        version = known.get(match["place"].removeprefix("./")) if match else None
        severity = severity_of(match) if match else None
        if match and version and severity:
            said = Said(int(match["line"]), severity, shorten(match["text"][:_READ], LONGEST))
            spoken.setdefault(version, set()).add(said)
    return spoken


# --- what is new ----------------------------------------------------------------------------------


def versions_of(touched: Sequence[Sequence[str]]) -> tuple[Version, ...]:
    """All versions of the files that the patches touch; ``touched`` has the paths of each patch."""
    base = {Version(0, path) for paths in touched for path in paths}
    after = {Version(number, path) for number, paths in enumerate(touched, 1) for path in paths}
    return tuple(sorted(base | after))


def new_notes(
    tool: str,
    touched: Sequence[Sequence[str]],
    there: Collection[Version],
    spoken: Spoken,
    added: Sequence[Lines],
) -> tuple[CheckNote, ...]:
    """What each patch brought: neither the base has it, nor the patch before, as often.

    ``there`` are the versions that exist, ``added`` each patch's lines.  A file that a patch
    creates is held against those that the same patch removes: it may be one of them under another
    name.
    """
    notes: list[CheckNote] = []
    for number, paths in enumerate(touched, start=1):
        for path in paths:
            earlier = _earlier(number, path, touched, there)
            known = _known(earlier, spoken)
            ranges = added[number - 1].get(path, ())
            notes += _notes(tool, Version(number, path), spoken, known, ranges)
    return tuple(notes)


def _earlier(
    number: int, path: str, touched: Sequence[Sequence[str]], there: Collection[Version]
) -> list[Version]:
    """The versions that a patch's version of a file comes from: the base's, and the last one."""
    before = _last_before(number, path, touched)
    if before in there:
        return [Version(0, path), before]
    paths = touched[number - 1]
    gone = [other for other in paths if Version(number, other) not in there]
    return [
        version
        for other in gone
        for version in (Version(0, other), _last_before(number, other, touched))
    ]


def _last_before(number: int, path: str, touched: Sequence[Sequence[str]]) -> Version:
    last = (earlier for earlier in range(number - 1, 0, -1) if path in touched[earlier - 1])
    return Version(next(last, 0), path)


def _known(versions: Sequence[Version], spoken: Spoken) -> Counter[str]:
    """How often each message is known: two files add up, two versions of one file do not."""
    known: dict[str, Counter[str]] = defaultdict(Counter)
    for version in versions:
        known[version.path] |= Counter(said.identity for said in spoken.get(version, ()))
    return sum(known.values(), Counter())


def _notes(
    tool: str, version: Version, spoken: Spoken, known: Counter[str], added: Sequence[range]
) -> Iterator[CheckNote]:
    for said in _new(spoken.get(version, ()), known, added):
        yield CheckNote(
            tool=tool,
            patch=version.patch,
            severity=said.severity,
            file=version.path,
            line=said.line,
            message=said.text,
        )


def _new(now: Collection[Said], known: Counter[str], added: Sequence[range]) -> list[Said]:
    def place(said: Said) -> tuple[int, str]:
        return (said.line, said.text)

    found = more_than_known(
        sorted(now, key=place),
        known,
        identity=lambda said: said.identity,
        on_patch=lambda said: is_on(said.line, added),
    )
    return sorted(found, key=place)
