# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder that a run works in: found or made, locked, and what to leave of it when it ends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kverdict import __version__
from kverdict.disk import (
    DISK_NEEDED,
    NEARLY_FULL,
    DiskFull,
    disk_full,
    free_at,
    is_about_space,
    require,
)
from kverdict.errors import InfraError, PatchError, UserError
from kverdict.interrupt import undisturbed
from kverdict.runs import TEMPORARY, check_usable, discard, open_run, scratch_homes, sweep
from kverdict.settings import Settings


@contextmanager
def workplace(settings: Settings, slug: str, asked: dict[str, object]) -> Iterator[Path]:
    """The folder of the unfinished run that asked the same, else a new one; ours until the end.

    A run that had not begun to evaluate leaves no folder behind, nor does one that was ended by
    the user's or a patch's mistake.  Raises InfraError when the folders cannot be used.
    """
    prepare(settings)
    with (
        open_run(settings.runs_folder, slug, asked, __version__) as folder,
        _nothing_left_behind(folder, settings.cache_folder),
    ):
        yield folder


def prepare(settings: Settings) -> None:
    """Raises InfraError when runs or cache cannot be used; clears what killed runs left."""
    for key, folder in (("runs", settings.runs_folder), ("cache", settings.cache_folder)):
        check_usable(folder, key)
        require(folder, 0, "a run")
    _sweep(settings)


def _sweep(settings: Settings) -> None:
    """What killed runs left goes, also where this run will not come to."""
    for home in (settings.runs_folder, *scratch_homes(settings.cache_folder)):
        sweep(home)
    sweep(Path(tempfile.gettempdir()), *TEMPORARY)


@contextmanager
def _nothing_left_behind(folder: Path, cache: Path) -> Iterator[None]:
    """A run goes on later only when it has begun to evaluate and was stopped by our trouble.

    Tools tell of a full disk in many words, or not at all; whatever failed on one failed for it.
    """
    try:
        yield
    except (UserError, PatchError):
        discard(folder)
        raise
    except DiskFull:
        raise
    except (InfraError, OSError) as error:
        free = min(free_at(folder), free_at(cache))
        if free < NEARLY_FULL or is_about_space(error):
            raise disk_full("a run", DISK_NEEDED, free) from error
        if isinstance(error, InfraError):
            raise
        raise _told(error) from error
    finally:
        if not any(path.is_file() for path in (folder / "evaluations").rglob("*")):
            with undisturbed():
                discard(folder)


def _told(error: OSError) -> InfraError:
    return InfraError(
        f"{error.filename or 'a file'}: {error.strerror or error}",
        "mend that and start again: the run goes on where it was",
    )
