# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build log says: messages of gcc, the linker, objtool, modpost, Kconfig and make.

Formats: gcc "file:line:column: severity: text [-Wflag]" (GNU coding standards, 4.4), gas
"file:line: Severity: text", ld "ld: file.o: text" and "ld: file.o:file.c:(section+0x1): text"
(after a line of its own, "ld: file.o: in function `f':"), scripts/mod/modpost.c
"ERROR: modpost: text", tools/objtool "vmlinux.o: warning: objtool: text", GNU make
"make[2]: *** [Makefile:12: target] Error 1".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kverdict.models import Diagnostic

# The log is a stranger's: a path is no longer than PATH_MAX, a number no longer than int() takes.
_PLACE = r"(?P<file>[^\s:][^:\n]{0,4094}):(?P<line>[0-9]{1,9})(?::\d+)?"
_COMPILER = re.compile(
    rf"^{_PLACE}: (?P<severity>[Ff]atal error|[Ee]rror|[Ww]arning): "  # capitals: of gas
    r"(?P<message>.+?)(?: \[(?P<flag>-W[^\]\s]+)\])?$"
)
_OBJTOOL = re.compile(r"^(?P<file>\S+\.o): (?P<severity>error|warning): (?P<message>objtool: .+)$")
# Of Documentation/ comments: scripts/kernel-doc of 6.12 ("file:line: warning: ...") is a compiler's
# form, the Python one of 7.x says "Warning: file:line text".
_KERNEL_DOC = re.compile(
    r"^(?P<severity>Warning|Error): (?P<file>[^\s:][^:\n]{0,4094}):(?P<line>[0-9]{1,9}) "
    r"(?P<message>.+)$"
)
_MODPOST = re.compile(r"^(?P<severity>ERROR|WARNING): (?P<message>modpost: .+)$")
_KCONFIG = re.compile(rf"^{_PLACE}:(?P<severity>error|warning): ?(?P<message>.+)$")
# About all of what it was given: gas has no place of the source, only its own temporary input.
_ASSEMBLER = re.compile(
    r"^(?:\S+/cc\w{6}\.s(?::[0-9]{1,9})?: (?P<severity>[Ff]atal error|[Ee]rror|[Ww]arning)"
    r"|Fatal error): (?P<message>.+)$"
)
_LD = r"(?:\S*[/-])?ld(?:\.[a-z]{1,9})?"
_LINKER = re.compile(
    rf"^{_LD}: (?!NOTE: |\S+: in function `[^']+':$)"
    r"(?:(?P<file>\S+?\.[oa]): )?(?:in function `[^']+': )?"
    r"(?:(?P<severity>error|warning): )?(?P<message>.+)$"
)
# With debug information there is a line, else the section; of data no function was named before.
_UNDEFINED = re.compile(
    rf"^(?:{_LD}: )?(?P<object>\S+?\.o\)?:)?(?:(?P<file>[^\s:(]+):)?"
    r"(?:(?P<line>[0-9]{1,9}):(?:\([^\s()]+\):)?|\([^\s()]+\):) "
    r"(?P<message>(?:undefined reference|more undefined references|multiple definition) .+)$"
)
_SCRIPT = re.compile(
    rf"^{_LD}:(?P<file>[^\s:]+):(?:(?P<line>[0-9]{{1,9}}):)? (?P<message>.+)$"  # no blank after ld:
)
_DRIVER = re.compile(
    r"^(?:cc|gcc|cc1|as|collect2|clang)(?:-[\d.]+)?: "
    r"(?P<severity>fatal error|error): (?P<message>.+)$"
)
_MAKE = re.compile(
    r"^make(?:\[\d+\])?: \*\*\* "
    r"(?:\[(?P<file>[^\s:\]]+):(?P<line>[0-9]{1,9}): (?P<target>[^\]]+)\] )?(?P<message>.+)$"
)
_MAKEFILE = re.compile(rf"^{_PLACE}: \*\*\* (?P<message>.+?)\.?(?:  Stop\.)?$")

# "x.c: In function 'f':" (gcc's diagnostic-format) holds until the next such line of that file.
_NAMED = r"['\u2018](?P<function>[^'\u2019\n]{1,200})['\u2019]"
_INSIDE = re.compile(
    r"^(?P<file>[^\s:][^:\n]{0,4094}): "
    rf"(?:In (?:function|member function) {_NAMED}|At top level|Assembler messages).*:$"
)
# What was inlined is in no file: "In function 'memcpy'," and then each caller in its turn,
# "    inlined from 'f' at x.c:15:2:".  The last caller is the one that is compiled.
_INLINED = re.compile(
    rf"^(?P<what>In (?:function|member function)|    inlined from) {_NAMED}"
    r"(?: at (?P<file>[^\s:][^:\n]{0,4094}):[0-9])?.*[,:]$"
)
_LD_INSIDE = re.compile(rf"^{_LD}: (?P<file>\S+): in function `(?P<function>[^'\n]{{1,200}})':$")
# "  CC      virt/kvm/guest_memfd.o" (scripts/Kbuild.include, the short form of a command).
_STEP = re.compile(r"^  (?P<verb>[A-Z][A-Z0-9_]{1,9})(?: \[M\])? +(?P<target>\S+)")

_LONGEST_LINE = 64 << 10
_MOST_CALLERS = 100  # of what is inlined; the last one replaces those beyond
LONGEST_MESSAGE = 2000  # characters; what is longer is cut
MOST_DIAGNOSTICS = 10_000  # of one log; a kernel with every driver and W=1 has fewer

_FORMATS = (
    (_ASSEMBLER, None),
    (_COMPILER, None),
    (_KCONFIG, None),
    (_OBJTOOL, None),
    (_KERNEL_DOC, None),
    (_MODPOST, None),
    (_UNDEFINED, "error"),
    (_DRIVER, None),
    (_MAKEFILE, "error"),
    (_LINKER, "error"),
    (_SCRIPT, "error"),
)


def diagnose(line: str) -> Diagnostic | None:
    """One line of a build log as a message with severity "error" or "warning", else None.

    make's own "*** ... Error 1" is left out: it only repeats that a command failed; make_failure()
    reads it for the case that nothing else was said.
    """
    for pattern, severity in _FORMATS:
        if match := pattern.match(line):
            found = match.groupdict()
            said = (found.get("severity") or severity or "error").lower()
            return Diagnostic(
                severity="warning" if said == "warning" else "error",
                file=_inside(found.get("file") or (found.get("object") or "").rstrip(":")),
                line=int(found["line"]) if found.get("line") else None,
                message=found["message"][:LONGEST_MESSAGE],
                flag=found.get("flag"),
            )
    return None


def make_failure(line: str) -> Diagnostic | None:
    """make's report of a failed command, as the message of last resort."""
    match = _MAKE.match(line)
    if match is None:
        return None
    target = match["target"]
    message = f"make {target}: {match['message']}" if target else f"make: {match['message']}"
    return Diagnostic(
        severity="error",
        file=_inside(match["file"]),
        line=int(match["line"]) if match["line"] else None,
        message=message[:LONGEST_MESSAGE],
    )


def read_log(path: Path) -> Iterator[str]:
    """The lines of a build log; bytes that are no UTF-8 are shown as escapes.

    A line of more than _LONGEST_LINE characters comes in pieces.
    """
    with path.open(encoding="utf-8", errors="backslashreplace") as log:
        while line := log.readline(_LONGEST_LINE):
            yield line.rstrip("\n")


@dataclass(frozen=True)
class Step:
    """One command of a build, "CC virt/kvm/guest_memfd.o", as make names it."""

    verb: str
    target: str


def step_of(line: str) -> Step | None:
    match = _STEP.match(line)
    return Step(match["verb"], match["target"]) if match else None


def messages(lines: Iterable[str]) -> Iterator[tuple[Step | None, Diagnostic | None]]:
    """Each step when it is named, with None; each message with the step that it belongs to.

    That holds for a log of make --output-sync=target, where a step's output follows its name.
    """
    step: Step | None = None
    reader = _Reader()
    for line in lines:
        if (named := step_of(line)) is not None:
            step, reader = named, _Reader()
            yield step, None
        elif (found := reader.read(line)) is not None:
            yield step, found


class _Reader:
    """Messages with the function that a line before them named."""

    def __init__(self) -> None:
        self._file: str | None = None
        self._function: str | None = None
        self._inlined: list[tuple[str, str]] = []  # function and file, the innermost first
        self._linked: tuple[str | None, str | None] = (None, None)

    def read(self, line: str) -> Diagnostic | None:
        if match := _INSIDE.match(line):
            self._file, self._function = _inside(match["file"]), match["function"]
            self._inlined = []
        elif match := _INLINED.match(line):
            inner = self._inlined[:_MOST_CALLERS] if match["what"].startswith(" ") else []
            self._inlined = [*inner, (match["function"], match["file"] or "")]
        elif match := _LD_INSIDE.match(line):
            self._linked = (_inside(match["file"]), match["function"])
        elif (found := diagnose(line)) is not None:
            return self._placed(line, found)
        return None

    def _placed(self, line: str, found: Diagnostic) -> Diagnostic:
        if linked := _UNDEFINED.match(line):
            if linked["object"] is not None:
                return found
            file, function = self._linked
            return found.model_copy(update={"file": found.file or file, "function": function})
        if found.file is not None and self._inlined:
            return found.model_copy(update={"function": _of_a_source(self._inlined, found.file)})
        if found.file is not None and self._file == found.file:
            return found.model_copy(update={"function": self._function})
        return found


def _of_a_source(inlined: Sequence[tuple[str, str]], file: str) -> str:
    """The innermost function that is in no header, else the outermost.

    Of helpers in headers it tells whose call it is; who that function is inlined into in its turn
    is gcc's choice, which a patch elsewhere in the file can change.  ``file`` is the message's, and
    so the first function's.
    """
    (first, _), *callers = inlined
    functions = [(first, file), *callers]
    sources = (function for function, place in functions if not place.endswith(".h"))
    return next(sources, functions[-1][0])


def diagnostics(lines: Iterable[str]) -> tuple[Diagnostic, ...]:
    """The messages in the order of the log, each once; the first MOST_DIAGNOSTICS of them."""
    found: dict[Diagnostic, None] = {}
    for _, item in messages(lines):
        if item is not None:
            found[item] = None
        if len(found) >= MOST_DIAGNOSTICS:
            break
    return tuple(found)


# What moves when code moves: places, addresses, amounts of bytes, numbers of gcc's clones.
_PLACES = re.compile(
    r"\b0x[0-9a-f]+\b|(?<=:)[0-9]+(?::[0-9]+)?|\bline [0-9]+|\b[0-9]+(?= bytes?\b)"
    r"|(?<=\+)0x[0-9a-f]+"
)
# __COUNTER__ at the end of a name: of BUILD_BUG_ON() and __UNIQUE_ID() (include/linux/compiler*.h).
_COUNTED = re.compile(r"\b(__compiletime_assert_|__UNIQUE_ID_\w{0,200}?)[0-9]{1,9}\b")
_CLONES = re.compile(r"\.(?:isra|constprop|part|cold|llvm)(?:\.[0-9]{1,9}){0,4}")


def identity(message: Diagnostic) -> str:
    """The same for the same message in another build, wherever its line has moved to."""
    text = _CLONES.sub("", _COUNTED.sub(r"\1#", _PLACES.sub("#", message.message)))
    function = _CLONES.sub("", message.function or "")
    parts = (message.tool, message.flag or message.severity, message.file, function, text)
    return ":".join(part or "" for part in parts)


def first_error(lines: Iterable[str]) -> Diagnostic | None:
    """The first error with a place or a reason, else what make said first."""
    last_resort: Diagnostic | None = None
    reader = _Reader()
    for line in lines:
        found = reader.read(line)
        if found is not None and found.severity == "error":
            return found
        if last_resort is None:
            last_resort = make_failure(line)
    return last_resort


def _inside(file: str | None) -> str | None:
    """Paths as people name them: from the tree's top, which is /src inside the sandbox.

    arch/x86/kvm builds virt/kvm/ as ../../../virt/kvm/.
    """
    return posixpath.normpath(file.removeprefix("/src/")) if file else None
