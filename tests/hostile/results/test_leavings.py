# SPDX-License-Identifier: GPL-2.0-or-later
"""Each record of the corpus goes through the engine, from the boot's end to the verdict.

Only the guest is a double: in its place the folder is filled and the console written.  Reading,
counting, keeping, judging and removing are the real ones.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kverdict.accelerator import Choice
from kverdict.errors import InfraError
from kverdict.evaluate import Engine, recipe_of
from kverdict.models import Accelerator, Build, Evaluation, GuestEnd, Outcome
from kverdict.proc import Finished
from kverdict.progress import Silent
from kverdict.sandbox import read_left
from kverdict.stages import boot
from kverdict.trees import open_tree
from kverdict.verdict import Overall, Verdict
from tests import factories
from tests.fakekernel import FakeKernel
from tests.hostile.results.leavings import CORPUS, Leaving, Place

pytestmark = pytest.mark.host

SECRET = "the host's secret: 4d0c9ab1"
LIMITS = boot.Limits(results_bytes=1 << 20, results_files=500)
TEXTS = ("\x1b", "\x9b", "\x07", "\x00", "\u202e", "\u2066", "\r")


@dataclass
class Stand:
    """Boots nothing: the kernel is a real build of a small tree, its guest is ``leave``."""

    engine: Engine
    commit: str
    home: Path
    monkeypatch: pytest.MonkeyPatch

    def evaluate(self, record: Leaving) -> Evaluation:
        """The evaluation of a guest that leaves what the record says; never from the cache."""
        engine = replace(
            self.engine,
            recipe=self.engine.recipe.model_copy(update={"host": (record.name,)}),
        )
        self.monkeypatch.setattr(boot, "session", self._session(record))
        self.monkeypatch.setattr(boot, "_LOOK_EVERY", 0)  # a guest that is over at once is seen
        with engine.line() as line:
            return engine.evaluate(self.commit, record.name, line, self.evaluations)

    @property
    def evaluations(self) -> Path:
        return self.home / "evaluations"

    @property
    def secret(self) -> Path:
        return self.home / "secret"

    def _session(self, record: Leaving) -> Callable[..., SimpleNamespace]:
        """In the place of virtme.session: what runs in the end is ``leave`` and no QEMU."""

        def session(*asked: object, results: Path, **others: object) -> SimpleNamespace:
            def stream(
                argv: tuple[str, ...], *, log: Path, watch: Callable[[], str | None], **others: Any
            ) -> Finished:
                record.leave(Place(results, self.secret, self._hello(log.parent)))
                log.write_text("[    0.000000][    T0] Linux version 7.2.0-fake\n" + record.console)
                stopped = watch()
                return Finished(argv, -9 if stopped else 0, b"", b"", 1.0, stopped)

            return SimpleNamespace(argv=(), sandbox=SimpleNamespace(stream=stream))

        return session

    def _hello(self, folder: Path) -> dict[str, object]:
        build = Build.from_json((folder / "build.json").read_bytes())
        return {
            "event": "hello",
            "version": 1,
            "release": "7.2.0-fake",
            "build_id": build.build_id,
            "cmdline": "",
            "config_digest": hashlib.sha256((folder / "config").read_bytes()).hexdigest(),
            "kvm": True,
            "python": "3.11",
        }


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, str]:
    home = tmp_path_factory.mktemp("engine")
    kernel = FakeKernel.create(home / "linux")
    fragment = home / "small.config"
    fragment.write_text("CONFIG_KVM=y\n")
    tree = open_tree(str(kernel.repo), cache=home / "cache", progress=Silent())
    choice = Choice(accelerator=Accelerator.TCG, why="a double")
    made = Engine(
        tree=tree,
        recipe=recipe_of([fragment], "tcg", 0),
        fragments=(fragment,),
        cache=home / "cache",
        jobs=1,
        limits=LIMITS,
        progress=Silent(),
        choice=choice,
    )
    return made, tree.head


@pytest.fixture
def stand(engine: tuple[Engine, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand(*engine, tmp_path, monkeypatch)
    made.secret.write_text(SECRET)
    return made


def honest(place: Place) -> None:
    place.tell(*place.honest())


HONEST = Leaving("nothing", "the verdict is good", honest, ends=GuestEnd.DONE, good=True)


def judged(base: Evaluation, patched: Evaluation) -> Verdict:
    """As if ``patched`` were the series, and ``base`` another kernel that it applies to."""
    assert base.build is not None and base.guest is not None
    another = {"build_id": factories.BASE_ID}
    return factories.report(
        base.model_copy(
            update={
                "commit": factories.BASE,
                "build": base.build.model_copy(update=another),
                "guest": base.guest.model_copy(update=another),
            }
        ),
        patched.model_copy(update={"commit": factories.TIP}),
    ).verdict


def test_an_honest_guest_is_good(stand: Stand) -> None:
    """Without this nothing below would prove anything."""
    evaluation = stand.evaluate(HONEST)
    assert evaluation.guest is not None
    assert evaluation.guest.end is GuestEnd.DONE
    verdict = judged(evaluation, evaluation)
    assert verdict.overall is Overall.GOOD, verdict.headline


@pytest.mark.parametrize("record", CORPUS, ids=lambda record: record.name)
def test_what_a_hostile_guest_leaves(stand: Stand, record: Leaving) -> None:
    patched = stand.evaluate(record)
    guest = patched.guest
    assert guest is not None
    assert guest.end is record.ends, guest.problems
    if record.problem is not None:
        assert any(re.search(record.problem, problem) for problem in guest.problems)
    assert sum(case.outcome is Outcome.PASS for case in guest.cases) == record.passes

    told = guest.model_dump(mode="python")
    assert SECRET not in str(told)
    for text in _texts(told):
        assert not [mark for mark in TEXTS if mark in text]
    assert "\n" not in (guest.release or "") + "".join(guest.problems)

    verdict = judged(stand.evaluate(HONEST), patched)
    assert (verdict.overall is Overall.GOOD) is record.good, verdict.headline
    _only_plain_files_are_left(stand.evaluations)


def _texts(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for item in value.values() for text in _texts(item)]
        case list() | tuple():
            return [text for item in value for text in _texts(item)]
    return []


def _only_plain_files_are_left(evaluations: Path) -> None:
    """Small regular files of a plain mode, none of them with the secret."""
    for path in evaluations.rglob("*"):
        status = path.lstat()
        if path.parent == evaluations:
            assert stat.S_ISDIR(status.st_mode)
            continue
        assert stat.S_ISREG(status.st_mode), f"{path} is left"
        assert stat.S_IMODE(status.st_mode) & ~0o644 == 0
        assert status.st_size <= max(LIMITS.results_bytes, 8 << 20)
        assert SECRET.encode() not in path.read_bytes()


@pytest.mark.parametrize("record", CORPUS, ids=lambda record: record.name)
def test_no_leaving_is_read_that_is_no_file_of_a_fair_size(tmp_path: Path, record: Leaving) -> None:
    """sandbox.read_left by itself: it also reads what builds leave."""
    results = tmp_path / "results"
    results.mkdir()
    (tmp_path / "secret").write_text(SECRET)
    place = Place(results, tmp_path / "secret", {"event": "hello"})
    record.leave(place)
    try:
        data = read_left(place.file, LIMITS.results_bytes)
    except InfraError as error:
        assert "\n" not in str(error)
        assert (
            place.file.is_symlink()
            or not place.file.is_file()
            or place.file.stat().st_size > LIMITS.results_bytes
        )
    else:
        assert stat.S_ISREG(place.file.lstat().st_mode)
        assert data == place.file.read_bytes()


def _fair(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_size <= LIMITS.results_bytes


def test_counting_stops_at_the_limit_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten million files: a folder that never ends, looked at one entry over the limit."""
    looked = 0

    class Entry:
        path = str(tmp_path / "x")

        def stat(self, *, follow_symlinks: bool) -> Any:
            assert not follow_symlinks
            return tmp_path.joinpath("one").lstat()

    class Endless:
        def __enter__(self) -> Endless:
            return self

        def __exit__(self, *error: object) -> None: ...

        def __iter__(self) -> Endless:
            return self

        def __next__(self) -> Entry:
            nonlocal looked
            looked += 1
            return Entry()

    (tmp_path / "one").touch()
    monkeypatch.setattr("os.scandir", lambda place: Endless())
    assert boot.folder_use(tmp_path, 1000)[1] == 1001
    assert looked == 1001
