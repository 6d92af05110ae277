# SPDX-License-Identifier: GPL-2.0-or-later
"""Git repositories; the only module that uses GitPython.

A ``Repository`` is used as a context manager, because GitPython keeps two ``git cat-file``
children for every repository that was read from (its README: "not suited for long-running
processes").  Every command goes through ``_HermeticGit``: no variable of the caller's environment
but PATH and TMPDIR, no system or user configuration, no hooks, no lazy fetch, a time limit.

GitPython guards its typed wrappers against option injection, ``repo.git.log(...)`` and its like
not: names that a user or a mail gave are resolved to a full sha first (``Repository.resolve``),
and stand behind ``--end-of-options`` or ``--`` in each command.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from kverdict.diffs import Change
from kverdict.errors import ExitStatus, InfraError, UserError
from kverdict.interrupt import undisturbed
from kverdict.proc import GRACE_SECONDS, Finished, ToolMissing, mortal, plain_environment, run
from kverdict.progress import Task
from kverdict.runs import scratch

# Where the user's own settings are (git(1)): for `git send-email` and the name in a reply.
_SETTINGS = ("XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
# GitPython looks at GIT_DIR, GIT_OBJECT_DIRECTORY and others itself; from a hook, or from `git
# rebase --exec`, they name somebody else's repository.
for _name in [name for name in os.environ if name.startswith("GIT_") and name not in _SETTINGS]:
    del os.environ[_name]
# Without git, importing GitPython raises; we say it in our own words at the first command.
os.environ["GIT_PYTHON_REFRESH"] = "quiet"

import git  # noqa: E402
from git.exc import InvalidGitRepositoryError, NoSuchPathError  # noqa: E402

QUICK = 120.0  # seconds: reads, refs, one patch
LONG = 1800.0  # seconds: a whole kernel tree is written or read

_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.autocrlf=false",
    "core.quotePath=false",
    "core.fsync=none",  # a cache: whatever a power cut destroys is made again
    "checkout.workers=0",  # as many as there are processors
    "commit.gpgSign=false",
    "gc.auto=0",
    "core.logAllRefUpdates=false",  # nobody reads them, and they grow with every checkout
    "maintenance.auto=false",
    "submodule.recurse=false",
    "protocol.allow=never",  # git before 2.45 does not know GIT_NO_LAZY_FETCH
    "am.threeWay=false",
    # A 3-way merge writes the files that the mail names, or none.
    "merge.renames=false",
    "merge.directoryRenames=false",
    "apply.whitespace=nowarn",
)
_VARIABLES = {
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ADVICE": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_AUTHOR_NAME": "kverdict",
    "GIT_AUTHOR_EMAIL": "kverdict@localhost",
    "GIT_COMMITTER_NAME": "kverdict",
    "GIT_COMMITTER_EMAIL": "kverdict@localhost",
}
_FETCH = {
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
}
_FOR_THE_NETWORK = (
    "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
    "SSH_AUTH_SOCK",
)  # fmt: skip
# For info/attributes of our repositories, which comes before any .gitattributes of a tree: what is
# checked out and merged is what the commits hold, whatever a tree says (gitattributes(5)).
NO_ATTRIBUTES = (
    "* -text !eol -ident -filter -working-tree-encoding"
    " !merge !diff !whitespace !conflict-marker-size\n"
)
_PERCENT = re.compile(r"^([A-Z][a-z ]+): +\d+% \((\d+)/(\d+)\)")
_SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class GitFailed(InfraError):
    """A git command that has to succeed did not."""


class NotARepository(InfraError):
    """There is no git repository at the given path."""


@dataclass(frozen=True)
class Commit:
    """What a commit says of itself; ``author`` is "Name <address>"."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: str
    authored: datetime
    committed: datetime
    subject: str


class _HermeticGit(git.Git):
    """Starts each command of GitPython through env(1) with an environment made from nothing.

    GitPython itself only ever adds to the caller's environment, and an inherited GIT_DIR or
    GIT_INDEX_FILE (``git rebase --exec``, a hook) would lead its commands astray.
    """

    scope: Mapping[str, str] = {}

    def execute(
        self,
        command: Sequence[str],
        *args: Any,
        env: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Any:
        executable = shutil.which("git")
        if executable is None:
            raise ToolMissing("git is not installed", "run `make setup`")
        kept = plain_environment()
        variables = {name: kept[name] for name in ("PATH", "TMPDIR", "LC_ALL") if name in kept} | {
            **_VARIABLES,
            **self.scope,
            **(env or {}),
        }
        words = mortal(["env", "-i", *(f"{name}={value}" for name, value in variables.items())])
        words += [executable, *(word for item in _CONFIG for word in ("-c", item)), *command[1:]]
        return super().execute(words, *args, **kwargs)


class _HermeticRepo(git.Repo):
    GitCommandWrapperType = _HermeticGit


class Repository:
    """A repository (bare, a checkout or a linked worktree) that is open for a while.

    Raises NotARepository when ``path`` is neither the top of a checkout nor a git folder, unless
    ``search_parents`` is set and a folder above it is.
    """

    def __init__(self, path: Path, *, search_parents: bool = False) -> None:
        try:
            self._repo = _HermeticRepo(
                path.absolute(), search_parent_directories=search_parents, expand_vars=False
            )
        except (InvalidGitRepositoryError, NoSuchPathError) as error:
            raise NotARepository(f"{path} is not a git repository") from error
        # An explicit GIT_DIR also spares the ownership check (safe.directory): the user named
        # this repository, and only reads that run nothing of it are done in it.
        self.git_dir = Path(self._repo.git_dir).resolve()
        scope = {"GIT_DIR": str(self.git_dir)}
        self.worktree = _worktree_of(path.absolute(), self.git_dir, search_parents)
        if self.worktree is not None:
            scope["GIT_WORK_TREE"] = str(self.worktree)
        self._git = _HermeticGit(str(self.worktree or self.git_dir))
        self._git.scope = scope
        cast(_HermeticGit, self._repo.git).scope = scope

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._repo.close()

    # --- commands -------------------------------------------------------------------------------

    def run(
        self,
        *words: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout: float = QUICK,
        check: bool = True,
    ) -> Finished:
        """One git command to its end; raises GitFailed when ``check`` is set and it failed."""
        began = time.monotonic()
        with self._started(words, env, timeout) as (process, overdue):
            stdout, stderr = process.communicate(stdin)
        seconds = time.monotonic() - began
        done = _finished(words, process, stdout, stderr, seconds, overdue, timeout)
        if check and not done.ok:
            raise failure_of(done)
        return done

    def run_with_progress(
        self, *words: str, task: Task, env: Mapping[str, str] | None = None, timeout: float = LONG
    ) -> None:
        """A command that reports "What: 12% (34/280)" on stderr; its stdout is given up."""
        tail = ""
        with self._started(words, env, timeout, with_stdout=False) as (process, overdue):
            assert process.stdin is not None and process.stderr is not None
            process.stdin.close()
            while chunk := os.read(process.stderr.fileno(), 65536):
                *whole, rest = re.split(r"[\r\n]+", tail + chunk.decode(errors="replace"))
                for line in whole:
                    if percent := _PERCENT.match(line):
                        done, total = int(percent[2]), int(percent[3])
                        task.update(done, total, percent[1].lower())
                tail = "\n".join([*whole, rest])[-4000:]
            process.wait()
        finished = _finished(words, process, b"", tail.encode(), 0.0, overdue, timeout)
        if not finished.ok:
            raise failure_of(finished)

    def run_counting(
        self, *words: str, task: Task, unit: str, env: Mapping[str, str], timeout: float = LONG
    ) -> None:
        """A command that writes a line for each thing done; shows how many there were."""
        lines = 0
        with self._started(words, env, timeout) as (process, overdue):
            assert process.stdin and process.stdout and process.stderr
            process.stdin.close()
            stderr = _Collector(process.stderr)
            while chunk := os.read(process.stdout.fileno(), 65536):
                lines += chunk.count(b"\n")
                task.update(note=f"{lines} {unit}")
            said = stderr.result()
            process.wait()
        done = _finished(words, process, b"", said, 0.0, overdue, timeout)
        if not done.ok:
            raise failure_of(done)

    def feed(self, *words: str, chunks: Iterable[bytes], timeout: float = LONG) -> None:
        """A command that reads a long stream from stdin; raises GitFailed."""
        with self._started(words, None, timeout) as (process, overdue):
            assert process.stdin is not None
            try:
                for chunk in chunks:
                    process.stdin.write(chunk)
                process.stdin.flush()
            except BrokenPipeError:
                pass  # it gave up reading: its exit status and its last words say why
            stdout, stderr = process.communicate()
        done = _finished(words, process, stdout, stderr, 0.0, overdue, timeout)
        if not done.ok:
            raise failure_of(done)

    @contextmanager
    def _started(
        self,
        words: Sequence[str],
        env: Mapping[str, str] | None,
        timeout: float,
        *,
        with_stdout: bool = True,
    ) -> Iterator[tuple[subprocess.Popen[bytes], threading.Event]]:
        """The process in its own group, and an event that says that its time was up."""
        handle = self._git.execute(
            ["git", *words],
            istream=subprocess.PIPE,
            as_process=True,
            with_stdout=with_stdout,
            env=env,
            start_new_session=True,
        )
        process: subprocess.Popen[bytes] = handle.proc
        overdue = threading.Event()

        def stop() -> None:
            overdue.set()
            _stop_group(process)

        timer = threading.Timer(timeout, stop)
        timer.start()
        try:
            yield process, overdue
        finally:
            with undisturbed():
                timer.cancel()
                timer.join()
                if process.poll() is None:  # Ctrl-C, or the caller gave up
                    _stop_group(process)
                for pipe in (process.stdin, process.stdout, process.stderr):
                    if pipe is not None:
                        # What was buffered for a process that is gone.
                        with suppress(BrokenPipeError):
                            pipe.close()
                handle.proc = None

    def fetch(
        self, remote: str, refspecs: Sequence[str], *, task: Task, timeout: float = LONG
    ) -> None:
        """Fetches from a URL or path into refs of this repository; raises GitFailed.

        Only protocols that start no program that the URL names (gitprotocol-*(5)): not ext::.
        ssh asks nobody for a password.
        """
        env = {name: os.environ[name] for name in _FOR_THE_NETWORK if name in os.environ}
        self.run_with_progress(
            "fetch", "--progress", "--no-write-fetch-head", "--no-recurse-submodules",
            "--end-of-options", remote, *refspecs,
            task=task, env={**env, **_FETCH}, timeout=timeout,
        )  # fmt: skip

    # --- names ----------------------------------------------------------------------------------

    @property
    def common_dir(self) -> Path:
        """The git folder that all worktrees share."""
        found = self.run("rev-parse", "--git-common-dir").text.rstrip("\n")
        return (self.worktree or self.git_dir).joinpath(found).resolve()

    def resolve(self, rev: str) -> str | None:
        """The full sha of the commit that ``rev`` names, None when there is none."""
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
        done = self.run(*words, check=False)
        sha = done.text.strip()
        return sha if done.ok and _SHA.fullmatch(sha) else None

    def refs(self) -> tuple[tuple[str, str], ...]:
        """Branches, remote branches and tags with their commits, by name."""
        form = "%(refname:short)%00%(objectname)%00%(objecttype)%00%(*objectname)%00%(*objecttype)"
        places = ("refs/heads", "refs/remotes", "refs/tags")
        found = []
        for line in self.run("for-each-ref", f"--format={form}", *places).text.splitlines():
            name, sha, kind, peeled, peeled_kind = line.split("\0")
            if "commit" in (kind, peeled_kind):
                found.append((name, sha if kind == "commit" else peeled))
        return tuple(found)

    def close_refs(self, rev: str) -> tuple[str, ...]:
        """At most three names that look like ``rev``."""
        stem = re.split(r"[~^@:]", rev, maxsplit=1)[0]
        return tuple(get_close_matches(stem, [name for name, _ in self.refs()], 3, 0.5))

    def describe(self, sha: str) -> str | None:
        """``git describe`` by tags, None when no tag is near or it takes too long."""
        done = self.run(
            "describe", "--tags", "--abbrev=12", "--end-of-options", sha, timeout=30, check=False
        )
        return done.text.strip() if done.ok else None

    # --- content --------------------------------------------------------------------------------

    def commit(self, sha: str) -> Commit:
        """What the commit with this full sha says; raises GitFailed when it cannot be read."""
        name = _full(sha)
        try:
            found = self._repo.commit(name)
            return Commit(
                sha=found.hexsha,
                tree=found.tree.hexsha,
                parents=tuple(parent.hexsha for parent in found.parents),
                author=f"{found.author.name} <{found.author.email}>",
                authored=found.authored_datetime,
                committed=found.committed_datetime,
                subject=str(found.summary),
            )
        except (ValueError, IndexError) as error:  # gitdb's BadObject and BadName are ValueErrors
            raise GitFailed(f"commit {sha[:12]} cannot be read: {error}") from error

    def show_file(self, sha: str, path: str) -> bytes | None:
        """The content of a file (a symlink's target) at a commit, None when it has none there."""
        entry = self.run("ls-tree", "-z", "--full-tree", _full(sha), "--", path).stdout
        kind, _, rest = entry.partition(b" ")[2].partition(b" ")
        if kind != b"blob" or not entry.endswith(b"\t" + os.fsencode(path) + b"\0"):
            return None
        blob = rest.partition(b"\t")[0].decode()
        return self.run("cat-file", "blob", blob).stdout

    def blob_ids(self, places: Sequence[tuple[str, str]]) -> tuple[str | None, ...]:
        """The object id at each (commit, path), None where there is none; one git process."""
        asked = "".join(f"{_full(sha)}:{path}\n" for sha, path in places if "\n" not in path)
        words = ("cat-file", "--batch-check=%(objectname)", "--buffer")
        answers = iter(self.run(*words, stdin=asked.encode()).text.splitlines())
        ids = (next(answers).split()[0] if "\n" not in path else "" for _, path in places)
        return tuple(found if _SHA.fullmatch(found) else None for found in ids)

    def size(self, sha: str) -> tuple[int, int]:
        """(bytes, files) of a commit's whole tree."""
        words = ("ls-tree", "-r", "--full-tree", "--format=%(objectsize)", _full(sha))
        sizes = self.run(*words).stdout.split()
        return sum(int(size) for size in sizes if size != b"-"), len(sizes)

    def changed_paths(self, base: str, tip: str) -> tuple[str, ...]:
        """Paths that differ between two commits, sorted; a rename counts as both names."""
        words = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", _full(base), _full(tip))
        return tuple(sorted(os.fsdecode(p) for p in self.run(*words).stdout.split(b"\0") if p))

    def changes(self, base: str, tip: str) -> tuple[Change, ...]:
        """Each file that differs between two commits, by path; a rename is two of them."""
        words = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev")
        raw = self.run(*words, _full(base), _full(tip)).stdout
        fields = [os.fsdecode(field) for field in raw.split(b"\0")[:-1]]
        heads = [field.removeprefix(":").split(" ") for field in fields[::2]]
        return tuple(
            Change(path, old_mode=head[0], new_mode=head[1], blob=head[3])
            for head, path in zip(heads, fields[1::2], strict=True)
        )

    def diff(self, base: str, tip: str) -> bytes:
        """The patch between two commits, as git diff writes it."""
        return self.run(
            "diff-tree", "-r", "-p", "--no-renames", "--no-color", "--full-index", "--no-ext-diff",
            "--no-textconv", _full(base), _full(tip),
        ).stdout  # fmt: skip

    def added_lines(self, sha: str) -> dict[str, tuple[range, ...]]:
        """The lines that a commit added or changed, as it leaves them, by file."""
        said = self.run(
            "diff-tree",
            "-p",
            "-U0",
            "--no-commit-id",
            "--no-color",
            "--no-ext-diff",
            "-r",
            "-M",
            sha,
        ).stdout
        return added_lines(said.decode(errors="replace"))

    def commits_between(self, base: str, tip: str) -> tuple[str, ...]:
        """Commits of ``base..tip``, oldest first."""
        words = ("rev-list", "--reverse", "--topo-order", f"{_full(base)}..{_full(tip)}")
        return tuple(self.run(*words).text.split())


class _Collector(threading.Thread):
    """Empties a pipe beside the one that is being read."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe, self._said = pipe, b""
        self.start()

    def run(self) -> None:
        self._said = self._pipe.read()

    def result(self) -> bytes:
        self.join()
        return self._said


_HUNK = re.compile(r"@@ -[0-9]+(?:,(?P<old>[0-9]+))? \+(?P<start>[0-9]+)(?:,(?P<new>[0-9]+))? @@")


def added_lines(diff: str) -> dict[str, tuple[range, ...]]:
    """By file, from what git diff -U0 prints; hunk headers say how many lines are content."""
    found: dict[str, list[range]] = {}
    file, content = "", 0
    for line in diff.split("\n"):
        if content and line[:1] in ("+", "-"):
            content -= 1
        elif line.startswith("+++ b/"):
            file = line.removeprefix("+++ b/").rstrip("\t")
        elif match := _HUNK.match(line):
            start, new = int(match["start"]), int(match["new"] or 1)
            content = new + int(match["old"] or 1)
            if new:
                found.setdefault(file, []).append(range(start, start + new))
    return {name: tuple(ranges) for name, ranges in found.items()}


def user_identity(folder: Path) -> tuple[str, str]:
    """(user.name, user.email) of the user's own git configuration, seen from ``folder``.

    Nothing else is asked of it.  git itself would make a name up from the host's (git-var(1)).
    Raises UserError when one of the two is not set.
    """
    found = []
    for key in ("user.name", "user.email"):
        kept = {name: os.environ[name] for name in _SETTINGS if name in os.environ}
        done = run(["git", "config", "--get", key], cwd=folder, env=plain_environment(**kept))
        value = done.text.strip()
        if not value:
            raise UserError(f"git does not know your {key}", f'git config --global {key} "..."')
        found.append(value)
    return found[0], found[1]


def create_bare(path: Path, *, object_format: str = "sha1") -> None:
    """A bare repository of ours; complete when it appears, also when two make it at once."""
    words = ["git", "init", "--quiet", "--bare", f"--object-format={object_format}"]
    with scratch(path.parent, f".{path.name}.") as draft:
        fresh = draft / "whole"
        status, _, stderr = _HermeticGit(str(path.parent)).execute(
            [*words, "--initial-branch=main", "--template=", "--", str(fresh)],
            with_extended_output=True,
            with_exceptions=False,
            kill_after_timeout=QUICK,
        )
        if status:
            raise failure_of(Finished(tuple(words), status, b"", stderr.encode(), 0.0))
        with suppress(OSError):  # another process was first: its repository is as good
            fresh.rename(path)


def failure_of(done: Finished) -> GitFailed:
    """One line from git's own words; a full disk and damaged objects get a remedy."""
    lines = [line for line in done.error_text.strip().splitlines() if line]
    fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    last = (fatal or lines or ["no output"])[-1].removeprefix("fatal: ").removeprefix("error: ")
    command = next(word for word in done.argv if not word.startswith("-") and word != "git")
    how = done.stopped or last
    status, remedy = None, ""
    if "No space left on device" in done.error_text:
        status, remedy = ExitStatus.DISK_FULL, "make room, or put --cache on another disk"
    elif "is corrupt" in done.error_text or "missing blob" in done.error_text:
        remedy = "run `git fsck` in the tree"
    return GitFailed(f"git {command} failed: {how}", remedy, status=status, detail=done.error_text)


def _worktree_of(path: Path, git_dir: Path, search_parents: bool) -> Path | None:
    """The folder whose ``.git`` led to ``git_dir``, None for a bare repository or a git folder."""
    for folder in (path, *(path.parents if search_parents else ())):
        if (folder / ".git").exists():
            return folder.resolve()
        if folder.resolve() == git_dir:
            return None
    return None


def _full(sha: str) -> str:
    """Guards commands whose arguments have to be shas: nothing else gets through."""
    if not _SHA.fullmatch(sha):
        raise ValueError(f"not a full sha: {sha!r}")
    return sha


def _finished(
    words: Sequence[str],
    process: subprocess.Popen[bytes],
    stdout: bytes,
    stderr: bytes,
    seconds: float,
    overdue: threading.Event,
    timeout: float,
) -> Finished:
    stopped = f"time limit of {timeout:.0f} s" if overdue.is_set() else None
    return Finished(("git", *words), process.returncode, stdout, stderr, seconds, stopped)


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM first: git then removes its lock files."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sig)
        except ProcessLookupError:
            break
        until = time.monotonic() + GRACE_SECONDS
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
