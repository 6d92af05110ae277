# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree's own selftests: one program each, built as kselftest builds it, for the guest.

Documentation/dev-tools/kselftest.rst; lib.mk of tools/testing/selftests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from kverdict.errors import UserError
from kverdict.findings.suite import CaseInfo
from kverdict.findings.warnings import first_error
from kverdict.models import Frozen
from kverdict.progress import Progress
from kverdict.sandbox import OBJ, SRC, Isolation, Sandbox, read_left
from kverdict.stages.kmake import ARCH, make_command, make_sandbox
from kverdict.text import printable, shorten

HOME = "tools/testing/selftests"
DEFAULT_LIMIT = 45.0  # seconds, tools/testing/selftests/kselftest/runner.sh
_NAMED = re.compile(
    r"^(?P<collection>[A-Za-z0-9_][\w./-]{0,80}):(?P<test>[A-Za-z0-9_][\w.-]{0,80})$"
)
_LIMIT = re.compile(r"^timeout=(\d{1,6})$", re.MULTILINE)
_LISTED = re.compile(r"^kverdict-(?P<kind>scripts|programs|files):(?P<names>.*)$", re.MULTILINE)
_SECONDS = 1800.0
_LARGEST = 64 << 20  # bytes of one file
_MOST_FILES = 200
_LIST = (
    "kverdict-list: ; @echo 'kverdict-scripts:$(TEST_PROGS)'; "
    "echo 'kverdict-programs:$(notdir $(TEST_GEN_PROGS))'; echo 'kverdict-files:$(TEST_FILES)'"
)


class Named(Frozen):
    """COLLECTION:TEST as the user gives it."""

    collection: str
    test: str

    @property
    def id(self) -> str:
        return f"kselftest.{self.collection.replace('/', '.')}.{self.test}"

    @property
    def info(self) -> CaseInfo:
        return CaseInfo(
            id=self.id,
            title=f"selftest {self.test} of {self.collection}",
            source=f"{HOME}/{self.collection}",
            needs=(),
            defect=None,
        )


class Made(Frozen):
    """What came of building one; ``why`` is "" when it is there."""

    why: str
    known: bool = True  # whether the tree has it at all
    others: str = ""  # what the tree has instead
    limit: float = DEFAULT_LIMIT
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selftest:
    """A test to run in the guest; ``folder`` is None when it does not build here."""

    named: Named
    made: Made
    folder: Path | None

    @property
    def id(self) -> str:
        return self.named.id

    @property
    def info(self) -> CaseInfo:
        return self.named.info

    @property
    def name(self) -> str:
        return self.named.test

    @property
    def limit(self) -> float:
        return self.made.limit

    @property
    def why(self) -> str:
        return self.made.why


def parse(text: str) -> Named:
    """Raises UserError for anything but COLLECTION:TEST."""
    match = _NAMED.match(text)
    if match is None or ".." in text:
        raise UserError(f"{text!r} names no selftest", "e.g. kvm:guest_memfd_test")
    return Named(collection=match["collection"], test=match["test"])


def build(
    src: Path,
    obj: Path,
    named: Named,
    into: Path,
    *,
    jobs: int,
    progress: Progress,
    isolation: Isolation = Isolation.BUBBLEWRAP,
) -> Made:
    """Builds one test of the checked out tree and copies what it takes to run it ``into`` a folder.

    ``obj`` is an empty folder to build in.  A test that does not build, or that this tree does not
    have, is told by Made.why; InfraError is our trouble.
    """
    maker = _Maker(src, obj, named, jobs, isolation)
    if not (src / HOME / named.collection / "Makefile").is_file():
        return Made(
            why=f"this tree has no selftests {named.collection!r}",
            known=False,
            others=f"see {HOME} of the tree",
        )
    with progress.task(f"  selftest {named.collection}:{named.test}"):
        scripts, programs, files = maker.listed()
        if named.test not in (*scripts, *programs):
            others = shorten(f"it has {' '.join(sorted((*scripts, *programs)))}", 1000)
            why = f"there is no such test in {named.collection}"
            return Made(why=why, known=False, others=printable(others, keep=""))
        if named.test in programs and (why := maker.program()):
            return Made(why=why)
        names = (*files, "settings", *((named.test,) if named.test in scripts else ()))
        kept = [name for name in names[:_MOST_FILES] if _copied(maker.home / name, into)]
        if named.test in programs:
            product = obj / "kselftest" / named.test
            _write(into / named.test, read_left(product, _LARGEST))
            kept.append(named.test)
    (into / named.test).chmod(0o755)
    return Made(why="", limit=_limit(into / "settings"), files=tuple(sorted(set(kept))))


@dataclass(frozen=True)
class _Maker:
    src: Path
    obj: Path
    named: Named
    jobs: int
    isolation: Isolation

    @property
    def home(self) -> Path:
        return self.src / HOME / self.named.collection

    @property
    def sandbox(self) -> Sandbox:
        return make_sandbox(self.src, self.obj, isolation=self.isolation)

    def command(self, *words: str) -> list[str]:
        headers = f"KHDR_INCLUDES=-isystem {OBJ}/usr/include"
        output = OBJ / "kselftest"
        where = SRC / HOME / self.named.collection
        # try-run of tools/build/Build.include would work in the source, and find nothing to work.
        attempts = "TMPOUT=/tmp/try"
        variables = (f"ARCH={ARCH}", f"OUTPUT={output}", headers, attempts)
        return ["make", "-C", str(where), *variables, *words]

    def listed(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """TEST_PROGS, TEST_GEN_PROGS and TEST_FILES of the collection."""
        (self.obj / "kselftest").mkdir(exist_ok=True)
        done = self.sandbox.run(
            self.command("-s", f"--eval={_LIST}", "kverdict-list"), timeout=_SECONDS
        )
        found = {
            match["kind"]: tuple(match["names"].split()) for match in _LISTED.finditer(done.text)
        }
        return (
            tuple(name for name in found.get("scripts", ()) if "/" not in name),
            found.get("programs", ()),
            tuple(name for name in found.get("files", ()) if "/" not in name),
        )

    def program(self) -> str:
        """Why it does not build, "" when it does."""
        commands = (
            make_command(("headers_install",), jobs=self.jobs),
            self.command(f"-j{self.jobs}", str(OBJ / "kselftest" / self.named.test)),
        )
        for command in commands:
            done = self.sandbox.run(command, timeout=_SECONDS)
            if not done.ok:
                said = done.stderr.decode(errors="replace").splitlines()
                error = first_error(said)
                reason = error.message if error is not None else "".join(said[-1:])
                return f"does not build: {shorten(printable(reason, keep=''), 200)}"
        return ""


def _copied(path: Path, into: Path) -> bool:
    """Files of the worktree, where git has made them; no links, no folders."""
    if path.is_symlink() or not path.is_file():
        return False
    _write(into / path.name, read_left(path, _LARGEST))
    (into / path.name).chmod(0o755)
    return True


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _limit(settings: Path) -> float:
    """kselftest: "timeout=<seconds>", where 0 means none: then the guest's own limit holds."""
    if not settings.is_file():
        return DEFAULT_LIMIT
    match = _LIMIT.search(settings.read_text(errors="replace"))
    return float(match[1]) or 3600.0 if match else DEFAULT_LIMIT
