# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are and what the user has set in pipeline.toml."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, field_validator, model_validator

from kverdict.errors import UserError
from kverdict.models import Frozen
from kverdict.policy import ReplySettings
from kverdict.runs import slugify
from kverdict.stages.fetch import ArchiveSettings

HOME = Path(__file__).resolve().parent.parent
DEFAULT_FRAGMENTS = ("base", "virtme", "kvm", "gcov")
SETTINGS_FILE = "pipeline.toml"
TEMPLATES = HOME / "templates"


class Kernel(Frozen):
    tree: str | None = None
    fragments: tuple[str, ...] = DEFAULT_FRAGMENTS
    guess_refs: tuple[str, ...] = ("HEAD",)


class GuestSettings(Frozen):
    accelerator: str = Field("auto", pattern="^(auto|kvm|tcg)$")
    bench_mib: int = Field(16, ge=0, le=4096)


class ConsoleSettings(Frozen):
    allow: str | None = None  # file with entries of the user's own, see kverdict.allowlist


class Keep(Frozen):
    """What `runs gc` leaves: so many runs, of so many days, and so much of the cache."""

    runs: int = Field(50, ge=0)
    days: float = Field(90, ge=0)
    cache_gib: float = Field(40, ge=0)


class KcidbSettings(Frozen):
    """What kcidb.json says of who tests and of which tree; without it the tree stays unnamed."""

    origin: str = Field("kverdict", pattern="^[a-z0-9_]+$", max_length=100)
    tree: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")  # "mainline"
    repository: str | None = Field(None, pattern=r"^https://[!-~]+$")


class PatchworkSettings(Frozen):
    """Where checks are posted, and as whom."""

    url: str | None = None
    project: str | None = None  # link name; needed where a mail is in several projects
    token_file: str | None = None
    context: str = Field("kverdict", pattern="^[-a-zA-Z0-9_]+$", max_length=255)
    target_url: str | None = None  # {run} is replaced by the name of the run's folder

    @property
    def token_path(self) -> Path | None:
        file = self.token_file
        return None if file is None else _expanded("patchwork.token_file", file)


class B4Settings(Frozen):
    """How `b4-check` names what it found."""

    # Where a report.html is served; {run} is replaced by the name of the run's folder.
    url: str | None = Field(None, pattern=r"^https?://[^\s{}]+/[^\s{}]*\{run\}[^\s{}]*$")


class WatchSettings(Frozen):
    """What `watch` looks for, and how much of it is verified; times in seconds."""

    queries: tuple[str, ...] = ()  # in the language of public-inbox's search
    interval: float = Field(900, ge=1)  # between two rounds
    daily_limit: int = Field(10, ge=1)  # verifications that are begun in one day (UTC)
    tree: str | None = None  # what --tree is when it is not given; else that of [kernel]


# git-check-ref-format(1)
_NOT_IN_REFSPEC = re.compile(r"[:?*\[\\^~]|\.\.|@\{|//|(?:/|\.|\.lock)$|^/|/\.")


class NightlyTree(Frozen):
    """A tree that `nightly` looks at; every one of ``refs`` has nights of its own."""

    name: str = Field(min_length=1, max_length=64)
    tree: str  # as --tree; with ``fetch`` a URL or path that git fetches from
    fetch: bool = False
    refs: tuple[str, ...] = Field(("HEAD",), min_length=1)
    fragments: tuple[str, ...] = ()  # besides those of [kernel]
    kselftests: tuple[str, ...] = ()  # COLLECTION:TEST
    bench_mib: int | None = Field(None, ge=0, le=4096)  # None: as [guest] says

    @field_validator("refs")
    @classmethod
    def _plain(cls, refs: tuple[str, ...]) -> tuple[str, ...]:
        for ref in refs:
            if not re.fullmatch(r"(?![-+])[!-~]+", ref):
                raise ValueError(f"{ref!r} is no name of a ref")
        return tuple(dict.fromkeys(refs))

    @model_validator(mode="after")
    def _can_be_fetched(self) -> Self:
        if self.fetch and (wrong := [ref for ref in self.refs if _NOT_IN_REFSPEC.search(ref)]):
            raise ValueError(f"{wrong[0]!r} cannot be fetched: name a branch or a tag")
        return self


class NightlySettings(Frozen):
    trees: tuple[NightlyTree, ...] = ()
    confidence: float = Field(0.99, gt=0.5, lt=1)  # of bisections
    bisections: int = Field(5, ge=0)  # of one head in one night
    slower_percent: float = Field(2, gt=0)  # from which on a benchmark is a regression
    nights: int = Field(30, ge=1)  # of each tree, whose runs the index links to
    fetch_minutes: float = Field(30, gt=0)
    to: tuple[str, ...] = ()  # recipients of the summary's draft
    gc: bool = False  # `runs gc` at the end

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        folders = [slugify(tree.name) for tree in self.trees]
        for name in folders:
            if folders.count(name) > 1:
                raise ValueError(f"two trees would have the folder {name!r}: rename one")
        return self


class Settings(Frozen):
    """pipeline.toml, all of it optional."""

    archive: ArchiveSettings = ArchiveSettings()
    kernel: Kernel = Kernel()
    guest: GuestSettings = GuestSettings()
    console: ConsoleSettings = ConsoleSettings()
    keep: Keep = Keep()
    kcidb: KcidbSettings = KcidbSettings()
    patchwork: PatchworkSettings = PatchworkSettings()
    reply: ReplySettings = ReplySettings()
    b4: B4Settings = B4Settings()
    watch: WatchSettings = WatchSettings()
    nightly: NightlySettings = NightlySettings()
    cache: str | None = None  # folder; default $XDG_CACHE_HOME/kverdict
    runs: str | None = None  # folder; default runs/ beside pipeline.py
    templates: str | None = None  # folder with templates of the user's own

    @property
    def cache_folder(self) -> Path:
        """Raises UserError when it is not named and there is no home folder."""
        if self.cache is not None:
            return _expanded("cache", self.cache)
        root = Path(os.environ.get("XDG_CACHE_HOME", ""))
        if not root.is_absolute():  # then it has to be ignored, says the XDG specification
            root = _expanded("cache", "~/.cache")
        return root / "kverdict"

    @property
    def runs_folder(self) -> Path:
        return HOME / "runs" if self.runs is None else _expanded("runs", self.runs)

    @property
    def allow_file(self) -> Path | None:
        allow = self.console.allow
        return None if allow is None else _expanded("console.allow", allow)

    @property
    def template_folders(self) -> tuple[Path, ...]:
        """Where a template is looked for, in order; raises UserError when one is no folder."""
        if self.templates is None:
            return (TEMPLATES,)
        folder = _expanded("templates", self.templates)
        if not folder.is_dir():
            raise UserError(f"the templates folder {folder} is no folder", "see docs/templates.md")
        return (folder, TEMPLATES)


def _expanded(key: str, text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise _no_home(key) from error
    if text.startswith("~") and (not path.is_absolute() or os.environ.get("HOME") == ""):
        raise _no_home(key)
    return path


def _no_home(key: str) -> UserError:
    return UserError(
        f"there is no home folder to put {key!r} in",
        f'set HOME, or `{key} = "/some/folder"` in pipeline.toml',
    )


def load(path: Path | None) -> Settings:
    """The file named, else pipeline.toml of the current folder when there is one.

    Raises UserError for a file that cannot be read and for unknown keys or values.
    """
    file = path or Path(SETTINGS_FILE)
    if path is None and not file.exists():
        return Settings()
    try:
        return Settings.model_validate(tomllib.loads(file.read_text()))
    except OSError as error:
        raise UserError(f"{file} cannot be read", error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not TOML", str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{file}: {key}: {first['msg']}", "see docs/settings.md") from error


def find_fragment(name: str) -> Path:
    """A fragment by its name in kconfigs/, or a file of the user's."""
    for candidate in (HOME / "kconfigs" / f"{name}.config", Path(name)):
        if candidate.is_file():
            return candidate.resolve()
    known = sorted(path.stem for path in (HOME / "kconfigs").glob("*.config"))
    raise UserError(
        f"there is no Kconfig fragment {name!r}", f"name a file or one of {', '.join(known)}"
    )
