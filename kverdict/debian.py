# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's linux-source packages, by an apt of our own.

The system's apt is asked only where its Debian archive is and with which key it is signed
(apt-get(8), indextargets); lists, downloads and sources of ours live under the cache, so nothing
of the system changes and no root is needed.  apt checks signatures and hashes.
"""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cmp_to_key
from pathlib import Path

from kverdict import proc
from kverdict.errors import ExitStatus, InfraError, UserError
from kverdict.git import Repository
from kverdict.imports import import_tarball, imported_repository
from kverdict.models import Frozen
from kverdict.progress import Progress
from kverdict.runs import flocked, scratch, write_atomically

# Beside the suites that the system itself uses: current kernels come to a stable release
# through its backports, and to forky and sid first.  A suite that the archive does not have is
# passed over.
MORE_SUITES = ("trixie-backports", "forky", "sid")
LATEST = "latest"

_PACKAGES = "linux-source-[0-9]*"
_NAME = re.compile(r"linux-source-(\d+(?:\.\d+)+)")
_WORD = re.compile(r"[0-9][0-9A-Za-z.+~-]*")
_NETWORK = (
    "Acquire::Retries=1",
    "Acquire::http::Timeout=20",
    "Acquire::https::Timeout=20",
    "Acquire::Languages=none",
)
_LOG_LIMIT = 1 << 20
SCRATCH = "deb-"  # of scratch folders


@dataclass(frozen=True)
class Candidate:
    """One version of a package that the archive has; ``digest`` is that of the .deb."""

    package: str  # "linux-source-7.2"
    version: str  # "7.2.12-1~bpo13+1"
    digest: str

    @property
    def series(self) -> str:
        return self.package.removeprefix("linux-source-")

    def answers(self, asked: str) -> bool:
        """Whether it is meant by "7.2", "7.2.12", "7.2.12-1~bpo13+1" or "latest"."""
        return asked in (LATEST, self.series, self.version.partition("-")[0], self.version)


class Import(Frozen):
    """A package that is a commit in our repository of imports."""

    package: str
    version: str
    digest: str
    commit: str

    @property
    def candidate(self) -> Candidate:
        return Candidate(self.package, self.version, self.digest)


@dataclass(frozen=True)
class Opened:
    """A package's kernel as a commit; ``note`` is one line for the report."""

    repo: Path
    commit: str
    note: str


@dataclass(frozen=True)
class Source:
    """The system's entry for the Debian archive; ``signed_by`` as deb822 has it, maybe empty."""

    uri: str
    suites: tuple[str, ...]
    signed_by: str


def open_package(
    asked: str, *, cache: Path, progress: Progress, sources: Sequence[Source] | None = None
) -> Opened:
    """The newest linux-source package that ``asked`` ("7.2", "7.2.12", "latest") means.

    ``sources`` are the archives to ask, those of this system when not given.  A version that was
    imported before is not downloaded again, and when ``asked`` is a full version the archive is
    not even asked; when it does not answer, the newest earlier import is taken, and the note says
    so.  Raises UserError when the system is no Debian
    (TOOL_MISSING) or there is no such package (BAD_TREE).
    """
    if not (asked == LATEST or _WORD.fullmatch(asked)):
        raise _no_such(asked, "debian:7.2, debian:7.2.12 and debian:latest are understood")
    home = cache.absolute() / "debian"
    for item in _imports(home, cache):
        if item.version == asked:  # a full version means one package for ever
            return _opened(item, cache, "")
    home.mkdir(parents=True, exist_ok=True)
    with flocked(home / "kverdict.lock", fcntl.LOCK_EX):  # apt itself gives up when it is locked
        return _newest_package(asked, home, cache, progress, sources)


def _newest_package(
    asked: str, home: Path, cache: Path, progress: Progress, sources: Sequence[Source] | None
) -> Opened:
    known = {item.candidate: item for item in _imports(home, cache)}
    with progress.task("asking Debian's archive"):
        apt = _Apt(home, sources)
        complaint = apt.update()
        offered = apt.candidates()
    # Earlier imports first: of two equal versions the one that is there is taken.
    matching = [item for item in dict.fromkeys((*known, *offered)) if item.answers(asked)]
    if not matching:
        raise _nothing_found(asked, offered, complaint)
    wanted = _newest(matching)
    if wanted in known:
        return _opened(known[wanted], cache, complaint)
    try:
        return _opened(_import(apt, wanted, home, cache, progress), cache, complaint)
    except InfraError as error:
        older = [item for item in known if item.answers(asked)]
        if not older or error.status is ExitStatus.DISK_FULL:
            raise
        return _opened(known[_newest(older)], cache, f"{error.problem}; imported earlier")


def _opened(item: Import, cache: Path, complaint: str) -> Opened:
    note = f"Debian's {item.package} {item.version}"
    return Opened(
        imported_repository(cache), item.commit, f"{note} ({complaint})" if complaint else note
    )


def _import(apt: _Apt, wanted: Candidate, home: Path, cache: Path, progress: Progress) -> Import:
    with scratch(home, SCRATCH) as folder:
        package = apt.download(wanted, folder, progress)
        with progress.task(f"unpacking {wanted.package}"):
            done = proc.run(["dpkg-deb", "-x", str(package), str(folder / "unpacked")])
        if not done.ok:
            raise _apt_failure("dpkg-deb", done)
        package.unlink()
        tarballs = sorted((folder / "unpacked/usr/src").glob("linux-source-*.tar.*"))
        if len(tarballs) != 1:
            raise InfraError(f"{wanted.package} {wanted.version} holds no tarball of a kernel")
        _, commit = import_tarball(tarballs[0], cache=cache, progress=progress)
    item = Import(
        package=wanted.package, version=wanted.version, digest=wanted.digest, commit=commit
    )
    record = home / "imports" / f"{wanted.package}_{wanted.version}.json"
    record.parent.mkdir(exist_ok=True)
    write_atomically(record, item.to_json())
    return item


def _imports(home: Path, cache: Path) -> list[Import]:
    """What was imported before and is still there."""
    records = sorted((home / "imports").glob("*.json"))
    found = [item for path in records if (item := _record(path)) is not None]
    repo = imported_repository(cache)
    if not found or not repo.is_dir():
        return []
    with Repository(repo) as ours:
        return [item for item in found if ours.resolve(item.commit) is not None]


def _record(path: Path) -> Import | None:
    try:
        return Import.from_json(path.read_bytes())
    except (OSError, ValueError):  # damaged: it is imported again
        return None


# --- apt ----------------------------------------------------------------------------------------


class _Apt:
    """apt-get and apt-cache over folders of our own."""

    def __init__(self, home: Path, asked: Sequence[Source] | None) -> None:
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise UserError(
                "debian: trees need apt-get and dpkg-deb, which are not here",
                "give a kernel tarball or a git repository instead",
                status=ExitStatus.TOOL_MISSING,
            )
        for name in ("lists", "cache", "parts"):
            (home / name).mkdir(parents=True, exist_ok=True)
        text = sources_text(system_sources() if asked is None else asked)
        (home / "parts/kverdict.sources").write_text(text)
        self._options = [
            word
            for option in (
                "Dir::Etc::sourcelist=/dev/null",
                f"Dir::Etc::sourceparts={home / 'parts'}",
                f"Dir::State::Lists={home / 'lists'}",
                f"Dir::Cache={home / 'cache'}",
                # Images of Debian turn these off; without them each call reads all lists again.
                "Dir::Cache::pkgcache=pkgcache.bin",
                "Dir::Cache::srcpkgcache=srcpkgcache.bin",
                *_NETWORK,
            )
            for word in ("-o", option)
        ]

    def update(self) -> str:
        """Fetches the lists; what the archive did not answer, in a few words, else empty.

        A suite that the archive does not have is no complaint.  When nothing answers, apt goes on
        with the lists that it has.
        """
        words = ["apt-get", *self._options, "-q", "-o", "APT::Update::Error-Mode=any", "update"]
        done = proc.run(words, timeout=600)
        if "No space left on device" in done.error_text:
            raise _apt_failure("apt-get update", done)
        failed = [line for line in done.error_text.splitlines() if "Failed to fetch" in line]
        if done.stopped or any("404" not in line for line in failed):
            return "the archive could not be asked for newer versions"
        return ""

    def candidates(self) -> list[Candidate]:
        done = proc.run(["apt-cache", *self._options, "show", _PACKAGES])
        return sorted(candidates_in(done.text), key=lambda item: (item.package, item.version))

    def download(self, wanted: Candidate, folder: Path, progress: Progress) -> Path:
        """The .deb in ``folder``, its hash checked by apt."""
        words = ["apt-get", *self._options, "-q", "-o", "APT::Status-Fd=1", "download"]
        log = folder / "apt.log"
        with progress.task(f"downloading {wanted.package} {wanted.version}") as task:

            def show(line: str) -> None:
                if (percent := re.match(r"dlstatus:\d+:([\d.]+):", line)) is not None:
                    task.update(float(percent[1]), 100)

            done = proc.stream(
                [*words, f"{wanted.package}={wanted.version}"],
                log=log,
                timeout=1800,
                log_limit=_LOG_LIMIT,
                cwd=folder,
                on_line=show,
            )
        found = list(folder.glob("*.deb"))
        if not done.ok or len(found) != 1:
            text = log.read_bytes()
            raise _apt_failure(
                "apt-get download",
                proc.Finished(done.argv, done.returncode, b"", text, done.seconds, done.stopped),
            )
        return found[0]


def system_sources() -> tuple[Source, ...]:
    """Debian's archive as this system's apt knows it, then its security archive if there is one.

    Raises UserError when it knows no archive of Debian.
    """
    form = "$(SOURCESENTRY)\t$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)\t$(ORIGIN)\t$(LABEL)"
    done = proc.run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"])
    entries = [line.split("\t") for line in done.text.splitlines() if line.count("\t") == 5]
    main = [entry for entry in entries if entry[3] == "main"]
    # Without lists (a fresh image) apt does not know the origin; the release's name decides.
    archive = _of_one_archive([entry for entry in main if entry[4:] == ["Debian", "Debian"]])
    archive = archive or _of_one_archive([entry for entry in main if entry[2] == _codename()])
    if archive is None:
        raise UserError(
            "this system's apt has no entry for Debian's main archive",
            "debian: trees work on Debian; give a kernel tarball or a git repository instead",
            status=ExitStatus.TOOL_MISSING,
        )
    more = replace(archive, suites=tuple(dict.fromkeys((*archive.suites, *MORE_SUITES))))
    # Old stable releases get newer kernels there only (bookworm: 6.12).
    security = _of_one_archive(
        [entry for entry in main if entry[4:] == ["Debian", "Debian-Security"]]
    )
    return (more, security) if security else (more,)


def _of_one_archive(entries: Sequence[Sequence[str]]) -> Source | None:
    if not entries:
        return None
    place, uri = entries[0][0], entries[0][1]
    suites = tuple(dict.fromkeys(entry[2] for entry in entries if entry[1] == uri))
    return Source(uri, suites, signed_by(place))


def signed_by(place: str) -> str:
    """The Signed-By of an entry, ``place`` being apt's "FILE:NUMBER"; empty when it has none.

    NUMBER counts stanzas in a .sources file and lines in a .list file, from 1.
    """
    name, _, number = place.rpartition(":")
    try:
        text = Path(name).read_text()
        if name.endswith(".sources"):
            return stanzas(text)[int(number) - 1].get("Signed-By", "")
        option = re.search(r"\[[^\]]*signed-by=([^\]\s]+)", text.splitlines()[int(number) - 1])
    except (OSError, ValueError, IndexError) as error:
        raise InfraError(f"apt's entry {place} cannot be read: {error}") from error
    return option[1] if option else ""


def sources_text(sources: Sequence[Source]) -> str:
    """A sources file (sources.list(5), deb822), a stanza a suite: one may be missing."""
    return "".join(
        f"Types: deb\nURIs: {source.uri}\nSuites: {suite}\nComponents: main\n"
        + (f"Signed-By: {source.signed_by}\n" if source.signed_by else "")
        + "\n"
        for source in sources
        for suite in source.suites
    )


def candidates_in(text: str) -> Iterator[Candidate]:
    """The linux-source packages in the output of ``apt-cache show``."""
    for fields in stanzas(text):
        package = fields.get("Package", "")
        if _NAME.fullmatch(package) and "Version" in fields and "SHA256" in fields:
            yield Candidate(package, fields["Version"], fields["SHA256"])


def stanzas(text: str) -> list[Mapping[str, str]]:
    """The stanzas of a deb822 text (deb822(5)); continuation lines stay as they are."""
    found: list[dict[str, str]] = [{}]
    field = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if not line.strip():
            found.append({})
        elif line[0] in " \t":
            found[-1][field] += f"\n{line}"
        elif ":" in line:
            field, _, value = line.partition(":")
            found[-1][field] = value.strip()
    return [fields for fields in found if fields]


def _newest(candidates: Sequence[Candidate]) -> Candidate:
    def order(one: Candidate, other: Candidate) -> int:
        if one.version == other.version:
            return 0
        words = ["dpkg", "--compare-versions", one.version, "gt", other.version]
        return 1 if proc.run(words).ok else -1

    return max(candidates, key=cmp_to_key(order))


def _codename() -> str:
    """VERSION_CODENAME of os-release(5)."""
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        return ""
    found = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', text, re.MULTILINE)
    return found[1] if found else ""


def _nothing_found(asked: str, have: Sequence[Candidate], complaint: str) -> Exception:
    if not have and complaint:
        return InfraError(
            "Debian's archive cannot be reached", "check the network, or give a tarball"
        )
    series = sorted({item.series for item in have}, key=lambda s: [int(n) for n in s.split(".")])
    return _no_such(asked, f"the archive has {', '.join(series)}" if series else "it has none")


def _no_such(asked: str, remedy: str) -> UserError:
    return UserError(
        f"debian:{asked}: there is no such linux-source package",
        remedy,
        status=ExitStatus.BAD_TREE,
    )


def _apt_failure(what: str, done: proc.Finished) -> InfraError:
    lines = [line for line in done.error_text.splitlines() if line.startswith(("E: ", "dpkg"))]
    last = done.stopped or (lines or [f"exit status {done.returncode}"])[-1]
    if "No space left on device" in done.error_text:
        return InfraError(
            f"{what}: no space left on the disk", "make room", status=ExitStatus.DISK_FULL
        )
    return InfraError(f"{what} failed: {last}", "check the network and the archive's entry in apt")
