# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tree's own scripts and git say about each patch's text: a stage that needs no build.

A series must not be its own judge: every script that is run here is the base's, and lies in a
folder of its own.  The patches come to it as files: nothing of them is run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kverdict.am import Mail, read_mbox, split_mboxrd
from kverdict.findings.alike import Lines
from kverdict.findings.sources import (
    Said,
    Version,
    new_notes,
    read_checkpatch,
    read_kernel_doc,
    read_report,
    versions_of,
)
from kverdict.git import Repository
from kverdict.models import Absent, Applied, AppliedPatch, CheckNote, Checks, Series, SourceKind
from kverdict.proc import Finished
from kverdict.progress import Progress, Task
from kverdict.runs import scratch
from kverdict.sandbox import SRC, Bind, Isolation, Sandbox
from kverdict.text import shorten
from kverdict.trailers import (
    Remark,
    fixes_remarks,
    is_relay,
    lost_fixes,
    origin_remarks,
    trailers_of,
)
from kverdict.trees import Tree
from kverdict.worktrees import SLIGHT, slight

CHECKPATCH, KERNEL_DOC, COCCI = "scripts/checkpatch.pl", "scripts/kernel-doc", "scripts/coccinelle"
VERSIONS = Path("/versions")
PATCH_SECONDS = 60.0  # checkpatch on one patch: a second is usual
FILES_SECONDS = 300.0  # kernel-doc on FILES_AT_ONCE files: 20 ms each
FILES_AT_ONCE = 200
COCCI_SECONDS = 900.0  # all semantic patches together
MOST_NOTES = 200  # of one tool on one patch
MOST_OUTPUT = 16 << 20  # bytes of one run: more is no report that anybody could read

# All that the scripts open in the tree, and what checkpatch.pl knows a kernel by.
_JUDGES = (
    *("scripts", "tools/docs", "tools/lib/python", "Documentation/dev-tools/checkpatch.rst"),
    *("COPYING", "CREDITS", "Kbuild", "MAINTAINERS", "Makefile", "README"),
)
_LOOKED_FOR = ("Documentation", "arch", "include", "drivers", "fs", "init", "ipc", "kernel", "lib")
_SAID_BETTER = (  # by the checks of trailers here
    *("MISSING_SIGN_OFF", "NO_AUTHOR_SIGN_OFF", "BAD_FIXES_TAG"),
    "UNKNOWN_COMMIT_ID",  # it would need git's history inside the sandbox
    "UNDOCUMENTED_DT_STRING",  # it would need the bindings that the series adds
)
_NOT_FOUND = 127  # env(1)


class _Broken(Exception):
    """A check did not come to its end; the message says why."""


@dataclass
class _Collected:
    """What becomes a Checks."""

    ran: list[str] = field(default_factory=list)
    missing: list[Absent] = field(default_factory=list)
    notes: list[CheckNote] = field(default_factory=list)

    @contextmanager
    def check(self, tool: str) -> Iterator[None]:
        """A block that is one check; one that breaks is absent, with its reason."""
        try:
            yield
        except _Broken as broken:
            self.missing.append(Absent(tool=tool, why=str(broken)))
        else:
            self.ran.append(tool)

    def frozen(self) -> Checks:
        kept = sorted(self.notes, key=lambda note: note.patch)
        return Checks(ran=tuple(self.ran), missing=tuple(self.missing), notes=tuple(kept))


@dataclass(frozen=True)
class _Bench:
    """Where the base's scripts look at the patches' files."""

    judges: Path  # of the base
    versions: Path
    there: frozenset[Version]
    touched: tuple[tuple[str, ...], ...]  # C files and headers of each patch
    added: tuple[Lines, ...]  # each patch's lines, by file
    isolation: Isolation

    def has(self, path: str) -> bool:
        return (self.judges / path).exists()

    @property
    def files(self) -> list[Version]:
        return sorted(self.there)

    def run(
        self, argv: Sequence[str], *, cwd: Path, timeout: float, stdin: bytes = b""
    ) -> Finished:
        """Inside; raises _Broken when the program is not installed, or over its limits."""
        sandbox = Sandbox(
            binds=(Bind(self.judges, SRC), Bind(self.versions, VERSIONS)),
            env={"GIT_DIR": "/nonexistent"},  # checkpatch.pl would ask git
            cwd=cwd,
            isolation=self.isolation,
        )
        done = sandbox.run(argv, stdin=stdin, timeout=timeout)
        if done.stopped is not None:
            raise _Broken(done.stopped)
        if len(done.stdout) + len(done.stderr) > MOST_OUTPUT:
            raise _Broken(f"it printed more than {MOST_OUTPUT} bytes")
        if done.returncode == _NOT_FOUND:
            raise _Broken(f"not installed: {_last_words(done)}")
        return done


def check(
    series: Series,
    applied: Applied,
    mbox: Path,
    tree: Tree,
    *,
    progress: Progress,
    isolation: Isolation = Isolation.BUBBLEWRAP,
    coccicheck: bool = False,
    thread: Path | None = None,
) -> Checks:
    """Trailers, checkpatch, kernel-doc and, when asked for, coccicheck; only what is new.

    ``mbox`` holds the mails of the series as b4 prepared them for git am, ``thread`` all mails as
    they were posted.  No worktree is needed.  A check that does not run, cannot run or breaks is
    in ``missing`` with the reason; raises InfraError for trouble with git, the disk or the sandbox
    only.
    """
    collected = _Collected()
    with progress.task("checking trailers"):
        posted = _posted(series, thread) if thread is not None else {}
        _check_trailers(collected, series, applied, mbox, tree, posted)
    with _bench(applied, tree, isolation) as bench:
        with progress.task("checkpatch") as task, collected.check("checkpatch"):
            collected.notes += _checkpatch(bench, applied.patches, tree, task)
        with progress.task("kernel-doc") as task, collected.check("kernel-doc"):
            collected.notes += _kernel_doc(bench, task)
        if coccicheck:
            with progress.task("coccicheck") as task, collected.check("coccicheck"):
                notes, skipped = _coccicheck(bench, task)
                collected.notes += notes
                collected.missing += skipped
        else:
            why = "not asked for: --coccicheck"
            collected.missing.append(Absent(tool="coccicheck", why=why))
    return collected.frozen()


# --- trailers -------------------------------------------------------------------------------------


def _check_trailers(
    collected: _Collected,
    series: Series,
    applied: Applied,
    mbox: Path,
    tree: Tree,
    posted: Mapping[str, Mail],
) -> None:
    senders = _senders(series, mbox)
    untold: list[str] = []
    before = applied.base
    for patch, mailed, sender in zip(applied.patches, series.patches, senders, strict=True):
        mail = posted.get(mailed.message_id)
        with Repository(tree.repo) as repository:
            trailers = trailers_of(repository, patch.commit)
            lost = lost_fixes(repository, mail) if mail is not None else ()
            author = repository.commit(patch.commit).author
        collected.notes += _remarked("DCO", patch, origin_remarks(author, sender, trailers))
        remarks, unknown = fixes_remarks(tree, before, (*trailers, *lost))
        collected.notes += _remarked("Fixes", patch, remarks)
        untold += unknown
        before = patch.commit
    collected.ran.append("DCO")
    if untold:
        why = f"{untold[0]}: {len(untold)} commits cannot be looked up"
        collected.missing.append(Absent(tool="Fixes", why=why))
    else:
        collected.ran.append("Fixes")


def _senders(series: Series, mbox: Path) -> list[str | None]:
    """Who mailed each patch, None where nobody did or a relay."""
    if series.kind is SourceKind.REV_RANGE:
        return [None] * len(series.patches)
    senders = [mail.sender for mail in read_mbox(mbox, len(series.patches))]
    return [None if not sender or is_relay(sender) else sender for sender in senders]


def _posted(series: Series, thread: Path) -> dict[str, Mail]:
    """The patches' mails by message-id, without their trip through b4; {} where nobody posted."""
    if series.kind is SourceKind.REV_RANGE or not thread.is_file():
        return {}
    wanted = {patch.message_id for patch in series.patches}
    mails = ((mail.message_id, mail) for mail in reversed(split_mboxrd(thread.read_bytes())))
    return {id: mail for id, mail in mails if id in wanted}


def _remarked(tool: str, patch: AppliedPatch, remarks: Sequence[Remark]) -> list[CheckNote]:
    notes = [
        CheckNote(
            tool=tool,
            patch=patch.number,
            severity=remark.severity,
            file=None,
            line=None,
            message=remark.message,
        )
        for remark in remarks
    ]
    return _at_most(notes)


# --- the bench ------------------------------------------------------------------------------------


@contextmanager
def _bench(applied: Applied, tree: Tree, isolation: Isolation) -> Iterator[_Bench]:
    """The base's scripts and all versions of the touched C files, in folders that go afterwards."""
    home = tree.repo.parent / "am"
    touched = tuple(tuple(filter(_is_c, patch.paths)) for patch in applied.patches)
    with Repository(tree.repo) as repository:
        listed = repository.run(
            "ls-tree", "-r", "-z", "--name-only", "--full-tree", applied.base, "--", *_JUDGES
        )
        added = tuple(repository.added_lines(patch.commit) for patch in applied.patches)
    judges = [path for path in listed.text.split("\0") if path]
    with (
        slight(tree.repo, applied.base, judges, home) as base,
        scratch(home, SLIGHT) as temporary,
    ):
        assert base.worktree is not None
        for name in _LOOKED_FOR:
            (base.worktree / name).mkdir(exist_ok=True)
        versions = temporary / "versions"
        versions.mkdir()
        there = _write_versions(versions, applied, touched, tree)
        yield _Bench(base.worktree, versions, there, touched, added, isolation)


def _write_versions(
    folder: Path, applied: Applied, touched: Sequence[Sequence[str]], tree: Tree
) -> frozenset[Version]:
    """The touched files as each patch leaves them; gives those that exist."""
    commits = (applied.base, *(patch.commit for patch in applied.patches))
    there = set()
    with Repository(tree.repo) as repository:
        for version in versions_of(touched):
            content = repository.show_file(commits[version.patch], version.path)
            if content is not None:
                there.add(version)
                place = folder / version.place
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
    return frozenset(there)


def _is_c(path: str) -> bool:
    return PurePosixPath(path).suffix in (".c", ".h")


# --- the tree's scripts ---------------------------------------------------------------------------


def _checkpatch(
    bench: _Bench, patches: Sequence[AppliedPatch], tree: Tree, task: Task
) -> list[CheckNote]:
    """As the commits stand, not as mailed: checkpatch.pl does not decode mails.

    Without --strict: neither submit-checklist.rst nor KVM asks for it.
    """
    if not bench.has(CHECKPATCH):
        raise _Broken(f"this tree has no {CHECKPATCH}")
    command = [
        *("perl", str(SRC / CHECKPATCH), f"--root={SRC}", "--color=never"),
        *("--terse", "--show-types", "--showfile", "--no-summary"),
        *("--ignore", ",".join(_SAID_BETTER), "-"),
    ]
    notes: list[CheckNote] = []
    for done_before, patch in enumerate(patches):
        task.update(done_before, len(patches), patch.subject)
        with Repository(tree.repo) as repository:
            mail = repository.run(
                *("format-patch", "--stdout", "--find-renames", "--no-signature", "-1"),
                *("--no-encode-email-headers", patch.commit),
            ).stdout
        done = bench.run(command, cwd=SRC, timeout=PATCH_SECONDS, stdin=mail)
        found = read_checkpatch(done.text, patch.number, patch.paths)
        if done.returncode not in (0, 1) or (done.returncode == 1 and not found):
            raise _Broken(f"it failed on patch {patch.number}: {_last_words(done)}")
        notes += _at_most(found)
    return notes


def _kernel_doc(bench: _Bench, task: Task) -> list[CheckNote]:
    """Without -Wall, as the build itself runs it (cmd_checkdoc in scripts/Makefile.build)."""
    if not bench.has(KERNEL_DOC):
        raise _Broken(f"this tree has no {KERNEL_DOC}")
    files = bench.files
    spoken: dict[Version, set[Said]] = {}
    for start in range(0, len(files), FILES_AT_ONCE):
        some = files[start : start + FILES_AT_ONCE]
        task.update(start, len(files))
        command = [str(SRC / KERNEL_DOC), "-none", *(version.place for version in some)]
        done = bench.run(command, cwd=VERSIONS, timeout=FILES_SECONDS)
        if done.returncode:
            raise _Broken(f"it failed: {_last_words(done)}")
        spoken |= read_kernel_doc(done.error_text, some)
    return _new(bench, "kernel-doc", spoken)


def _coccicheck(bench: _Bench, task: Task) -> tuple[list[CheckNote], list[Absent]]:
    """Each semantic patch that can report, on all versions at once, as scripts/coccicheck does.

    Gives the notes and the scripts that failed, e.g. because they need an OCaml compiler.
    """
    scripts = _reporting(bench.judges)
    if not scripts:
        raise _Broken(f"this tree has no reporting scripts in {COCCI}")
    files = bench.files
    if not files:
        return [], []
    until = time.monotonic() + COCCI_SECONDS
    spoken: dict[Version, set[Said]] = {}
    skipped: list[Absent] = []
    for number, (script, options) in enumerate(scripts):
        name = script.removeprefix(f"{COCCI}/")
        task.update(number, len(scripts), name)
        command = [
            *("spatch", "-D", "report", "--no-show-diff", "--very-quiet"),
            *("--cocci-file", str(SRC / script), *options, "--dir", "."),
        ]
        left = until - time.monotonic()
        if left <= 0:
            raise _Broken(f"over its time limit of {COCCI_SECONDS:.0f} s")
        done = bench.run(command, cwd=VERSIONS, timeout=left)
        if done.returncode:
            skipped.append(Absent(tool=f"coccicheck {name}", why=_last_words(done)))
            continue
        for version, said in read_report(done.text, files, name).items():
            spoken.setdefault(version, set()).update(said)
    if len(skipped) == len(scripts):
        raise _Broken(f"no script ran: {skipped[0].why}")
    return _new(bench, "coccicheck", spoken), skipped


def _reporting(judges: Path) -> list[tuple[str, list[str]]]:
    """(path in the tree, its options) of each semantic patch with a report mode, by path."""
    found = []
    for path in sorted((judges / COCCI).rglob("*.cocci")):
        if path.is_symlink() or not path.is_file():
            continue
        lines = path.read_text(errors="replace").splitlines()
        options = [line.partition("Options:")[2].split() for line in lines if "Options:" in line]
        if any(
            line.split()[:2] in (["virtual", "report"], ["virtual", "report;"]) for line in lines
        ):
            found.append((str(path.relative_to(judges)), [word for one in options for word in one]))
    return found


def _new(bench: _Bench, tool: str, spoken: dict[Version, set[Said]]) -> list[CheckNote]:
    notes = new_notes(tool, bench.touched, bench.there, spoken, bench.added)
    numbers = sorted({note.patch for note in notes})
    each = ([note for note in notes if note.patch == number] for number in numbers)
    return [note for some in each for note in _at_most(some)]


def _at_most(notes: Sequence[CheckNote]) -> list[CheckNote]:
    """The first of one tool on one patch, and a word on how many there are besides."""
    kept = list(notes[:MOST_NOTES])
    more = len(notes) - len(kept)
    if more:
        plain = {"severity": "note", "file": None, "line": None, "message": f"and {more} more"}
        kept.append(kept[-1].model_copy(update=plain))
    return kept


def _last_words(done: Finished) -> str:
    said = done.error_text.strip() or done.text.strip() or f"exit status {done.returncode}"
    return shorten(said.splitlines()[-1], 200)
