from pathlib import Path
from dataclasses import dataclass
from kverdict.progress import Progress


@dataclass(frozen=True)
class Package:
    repo: Path
    commit: str
    note: str


def open_package(version: str, *, cache: Path, progress: Progress) -> Package:
    raise NotImplementedError
