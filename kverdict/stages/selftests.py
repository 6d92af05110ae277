# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree's own selftests: one test each, built as kselftest builds it, for the guest.

Documentation/dev-tools/kselftest.rst; lib.mk of tools/testing/selftests.  What a collection's
Makefile names may lie anywhere, also behind links: it is copied in the sandbox, and the host only
reads regular files of the copy.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kverdict.errors import InfraError, UserError
from kverdict.findings.suite import LONGEST_ID, CaseInfo, is_id
from kverdict.findings.warnings import first_error
from kverdict.models import Frozen
from kverdict.proc import Finished
from kverdict.progress import Progress
from kverdict.sandbox import OBJ, SRC, Isolation, Sandbox, read_left
from kverdict.stages.kmake import ARCH, make_command, make_sandbox
from kverdict.text import printable, shorten

HOME = "tools/testing/selftests"
DEFAULT_LIMIT = 45.0  # seconds, tools/testing/selftests/kselftest/runner.sh
NO_LIMIT = 3600.0  # for "timeout=0"
MOST_FILES = 1000
MOST_BYTES = 256 << 20
_BUILT, _INSTALLED = "kselftest", "install"  # below the object folder
_NAMED = re.compile(
    r"(?P<collection>[A-Za-z0-9_][\w.-]*(?:/[\w.-]+)*):(?P<test>[A-Za-z0-9_][\w.+-]*(?:/[\w.+-]+)*)",
    re.ASCII,
)
_LONGEST = 80
_FILE = re.compile(r"[\w.+=@,:~-]+(?:/[\w.+=@,:~-]+)*", re.ASCII)
_LIMIT = re.compile(r"^timeout=(\d{1,6})$", re.MULTILINE)
_LISTED = re.compile(r"^kverdict-(?P<kind>[a-z]+):(?P<words>.*)$", re.MULTILINE)
_SECONDS = 1800.0
_VARIABLES = {
    "tests": "$(TEST_GEN_PROGS) $(TEST_CUSTOM_PROGS) $(TEST_PROGS)",
    "files": "$(TEST_FILES) $(TEST_PROGS_EXTENDED) $(TEST_GEN_FILES) $(TEST_GEN_PROGS_EXTENDED)",
    "includes": "$(TEST_INCLUDES)",
}
_LIST = "kverdict-list: ; " + "".join(
    f"$(info kverdict-{kind}:{variables})" for kind, variables in _VARIABLES.items()
)
# As the install target of tools/testing/selftests/Makefile.
_HELPERS = ("module.sh", "runner.sh", "prefix.pl", "ktap_helpers.sh", "ksft.py")
_COPY = 'mkdir -p "$1" && to=$1 && shift && exec cp -RL -t "$to" -- "$@"'


class Named(Frozen):
    """COLLECTION:TEST as the user gives it; a test may be named with its folder or without."""

    collection: str
    test: str

    @property
    def name(self) -> str:
        """As kselftest calls it, which installs all tests of a collection into one folder."""
        return posixpath.basename(self.test)

    @property
    def id(self) -> str:
        return f"kselftest.{self.collection.replace('/', '.')}.{self.name}"

    @property
    def info(self) -> CaseInfo:
        return CaseInfo(
            id=self.id,
            title=f"selftest {self.name} of {self.collection}",
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
    files: tuple[str, ...] = ()  # paths as installed; file number n is called "n"
    missing: tuple[str, ...] = ()  # what the Makefile names besides, and could not be had


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
    def program(self) -> Path:
        """Its place among the installed files."""
        return Path(self.named.collection, self.named.name)

    @property
    def limit(self) -> float:
        return self.made.limit

    @property
    def why(self) -> str:
        return self.made.why


def parse(text: str) -> Named:
    """Raises UserError for anything but COLLECTION:TEST that can be the name of a case."""
    match = _NAMED.fullmatch(text)
    words = match.group("collection", "test") if match else ()
    if match is None or ".." in text or any(len(word) > _LONGEST for word in words):
        raise UserError(f"{text!r} names no selftest", "e.g. kvm:guest_memfd_test")
    named = Named(collection=match["collection"], test=match["test"])
    if not is_id(named.id):
        raise UserError(
            f"{text!r} cannot be the name of a case",
            f"{named.id} has other signs than letters, digits and _ . -, or over {LONGEST_ID}",
        )
    return named


def parse_all(texts: Sequence[str]) -> tuple[Named, ...]:
    """Each test once, whether it was named with its folder or without; raises UserError."""
    found: dict[str, Named] = {}
    for named in map(parse, texts):
        other = found.setdefault(named.id, named)
        same = named == other or (
            named.collection == other.collection and not ("/" in named.test and "/" in other.test)
        )
        if not same:
            raise UserError(
                f"{other.collection}:{other.test} and {named.collection}:{named.test} "
                "would have one name in the report",
                "name one of them",
            )
    return tuple(found.values())


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
    if not (src / HOME / named.collection / "Makefile").is_file():
        return Made(
            why=f"this tree has no selftests {named.collection!r}",
            known=False,
            others=f"see {HOME} of the tree",
        )
    with progress.task(f"  selftest {named.collection}:{named.test}"):
        maker = _Maker(src, obj, named, jobs, isolation)
        listed = maker.listed()
        if isinstance(listed, str):
            return Made(why=f"the Makefile of {named.collection} fails: {listed}")
        test = listed.find(named.test)
        if test is None:
            return _unknown(named, listed)
        if test.generated and (why := maker.make(test)):
            return Made(why=f"does not build: {why}")
        return _installed(maker, listed, test, into)


def _unknown(named: Named, listed: _Listed) -> Made:
    others = shorten(f"it has {' '.join(sorted(word.short for word in listed.tests))}", 1000)
    why = f"there is no such test in {named.collection}"
    return Made(why=why, known=False, others=printable(others, keep=""))


def _installed(maker: _Maker, listed: _Listed, test: _Word, into: Path) -> Made:
    """A script may call the collection's other tests, a program is one by itself."""
    named = maker.named
    others = [
        word for word in listed.tests if word != test and not (test.generated and word.generated)
    ]
    files = list(dict.fromkeys((*others, *listed.files)))
    maker.make_all([word for word in files if word.generated])
    maker.install(test, files, listed.includes)
    try:
        found = dict(_left(maker.obj / _INSTALLED))
    except _TooMuch as error:
        return Made(why=str(error))
    program = f"{named.collection}/{named.name}"
    if program not in found:
        return Made(why=f"its Makefile names {test.short}, and there is no such file")
    for number, content in enumerate(found.values()):
        (into / str(number)).write_bytes(content)
    there = {posixpath.basename(path) for path in found}
    folders = {folder for path in found for folder in path.split("/")[:-1]}
    missing = sorted({word.name for word in files} - there - folders)
    return Made(
        why="",
        limit=_limit(found.get(f"{named.collection}/settings")),
        files=tuple(found),
        missing=tuple(printable(name, keep="")[:80] for name in missing[:50]),
    )


@dataclass(frozen=True)
class _Word:
    """A file that a Makefile names; ``path`` as make has it."""

    path: str
    generated: bool
    short: str  # without the folder that it is built in

    @property
    def name(self) -> str:
        return posixpath.basename(self.path.rstrip("/"))


@dataclass(frozen=True)
class _Listed:
    tests: tuple[_Word, ...] = ()
    files: tuple[_Word, ...] = ()
    includes: tuple[_Word, ...] = ()

    def find(self, asked: str) -> _Word | None:
        """The test of that path, else the first one of that name."""
        exact = (word for word in self.tests if word.short == asked)
        by_name = (word for word in self.tests if word.name == asked)
        return next(exact, None) or next(by_name, None)


@dataclass(frozen=True)
class _Maker:
    src: Path
    obj: Path
    named: Named
    jobs: int
    isolation: Isolation

    @property
    def where(self) -> Path:
        return SRC / HOME / self.named.collection

    @property
    def output(self) -> Path:
        return OBJ / _BUILT / self.named.collection

    @property
    def sandbox(self) -> Sandbox:
        return make_sandbox(self.src, self.obj, isolation=self.isolation)

    def run(self, command: Sequence[str]) -> Finished:
        """Raises InfraError when it was not the Makefile that failed."""
        done = self.sandbox.run(command, timeout=_SECONDS)
        if done.stopped is not None or done.returncode < 0 or done.returncode in (126, 127):
            how = done.stopped or f"exit status {done.returncode}"
            named = f"{self.named.collection}:{self.named.test}"
            raise InfraError(f"the build of selftest {named} was ended: {how}", _said(done))
        return done

    def command(self, *words: str) -> list[str]:
        headers = f"KHDR_INCLUDES=-isystem {OBJ}/usr/include"
        # try-run of tools/build/Build.include would work in the source, and find nothing to work.
        attempts = "TMPOUT=/tmp/try"
        variables = (f"ARCH={ARCH}", f"OUTPUT={self.output}", headers, attempts)
        return ["make", "-C", str(self.where), *variables, *words]

    def listed(self) -> _Listed | str:
        """What the collection's Makefile names; why it does not, when it fails."""
        (self.obj / _BUILT / self.named.collection).mkdir(parents=True)
        done = self.run(self.command("-s", f"--eval={_LIST}", "kverdict-list"))
        if not done.ok:
            return _said(done)
        found = {
            match["kind"]: tuple(self._word(word) for word in match["words"].split())
            for match in _LISTED.finditer(done.text)
        }
        return _Listed(**{kind: found.get(kind, ()) for kind in _VARIABLES})

    def _word(self, path: str) -> _Word:
        output = self.obj / _BUILT / self.named.collection
        inside = str(output.absolute() if self.isolation is Isolation.NONE else self.output)
        short = path.removeprefix(f"{inside}/")
        return _Word(path, generated=short != path, short=short)

    def make(self, word: _Word) -> str:
        """Why it does not build, "" when it does."""
        for command in (*self._headers(), self.command(f"-j{self.jobs}", word.path)):
            done = self.run(command)
            if not done.ok:
                return _said(done)
        return ""

    def make_all(self, words: Sequence[_Word]) -> None:
        """As many as can be built: the test may do without the others."""
        if words:
            for command in self._headers():
                self.run(command)
            self.run(self.command("-k", f"-j{self.jobs}", *(word.path for word in words)))

    def _headers(self) -> tuple[list[str], ...]:
        if (self.obj / "usr" / "include").is_dir():
            return ()
        return (make_command(("headers",), jobs=self.jobs),)

    def install(self, test: _Word, files: Sequence[_Word], includes: Sequence[_Word]) -> None:
        """As the tree's own install target, which takes rsync and builds the whole collection."""
        home = OBJ / _INSTALLED
        own = home / self.named.collection
        self._copy(own, [test.path])
        others = [word.path for word in files if word.name != test.name]
        self._copy(own, [*others, "settings", "config"])
        for word in includes:
            place = posixpath.normpath(posixpath.join(self.named.collection, word.path))
            if not place.startswith(("/", "..")):
                self._copy(home / posixpath.dirname(place), [word.path])
        if not test.generated:
            self._copy(home / "kselftest", [str(SRC / HOME / "kselftest" / n) for n in _HELPERS])

    def _copy(self, to: Path, paths: Sequence[str]) -> None:
        """Of those that are not there the others are copied all the same: cp(1)."""
        self.run(["sh", "-c", _COPY, "sh", str(to), *(str(self.where / path) for path in paths)])


def _said(done: Finished) -> str:
    """The first error that make's tools told, else its last word."""
    said = done.stderr.decode(errors="replace").splitlines()
    error = first_error(said)
    reason = error.message if error is not None else "".join(said[-1:])
    return shorten(printable(reason, keep=""), 200)


class _TooMuch(Exception):
    """More than is worth carrying into a guest."""


def _left(home: Path) -> Iterator[tuple[str, bytes]]:
    """Regular files below ``home`` with their contents, by path; raises _TooMuch."""
    size = 0
    for count, path in enumerate(_files(home)):
        if count == MOST_FILES:
            raise _TooMuch(f"it takes more than {MOST_FILES} files")
        content = read_left(path, MOST_BYTES)
        size += len(content)
        if size > MOST_BYTES:
            raise _TooMuch(f"it takes more than {MOST_BYTES >> 20} MiB")
        yield path.relative_to(home).as_posix(), content


def _files(home: Path) -> Iterator[Path]:
    """No link is followed; make could have left one in place of ``home`` itself."""
    if home.is_symlink():
        return
    for place, folders, names in os.walk(home):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if _FILE.fullmatch(path.relative_to(home).as_posix()) and not path.is_symlink():
                yield path


def _limit(settings: bytes | None) -> float:
    """kselftest: "timeout=<seconds>", where 0 means none."""
    match = _LIMIT.search((settings or b"").decode(errors="replace"))
    return (float(match[1]) or NO_LIMIT) if match else DEFAULT_LIMIT
