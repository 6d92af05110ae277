# SPDX-License-Identifier: GPL-2.0-or-later
"""A history of small kernels, of which some have a fault that the double of the boot can see.

git, make, the sandbox and the engine are real.  A fault is a word in the kernel's image, so that
a kernel behaves as its source says, whatever commit it was built from.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kverdict import bisect, cli, elf, evaluate
from kverdict.bisection import Bisection, Role, Step
from kverdict.interrupt import Interrupted
from kverdict.models import BenchRow, Guest, GuestEnd, Outcome
from kverdict.stages import boot
from kverdict.stages.boot import Mode
from tests import factories
from tests.fakekernel import GMEM, FakeBoot, FakeKernel

CASE = "write.page"
CLOSED = "http://127.0.0.1:9/lkml/%s"  # an archive that nobody serves
ROUNDS = 5


@dataclass
class Kernels(FakeBoot):
    """Boots that read their fault from the image; ``lost`` guests vanish first."""

    flaky: Callable[[int], bool] = lambda turn: True  # whether the n-th boot of one shows it
    lost: int = 0
    exact: bool = True
    stop_at: int | None = None  # interrupted before this boot
    turns: Counter[str] = field(default_factory=Counter)

    def boot(self, bzimage: Path, **options: Any) -> Guest:
        if len(self.calls) == self.stop_at:
            raise Interrupted
        self.calls.append({"bzimage": bzimage, **options})
        image, facts = bzimage.read_bytes(), options["facts"]
        (options["results"] / "results.jsonl").write_text('{"event": "done"}\n')
        options["console"].write_text("[    0.000000][    T0] Linux version 7.2.0-fake\n")
        asked = facts["cases"]
        cases = [CASE, "write.refused"] if asked is None else list(asked)
        config = (options["console"].parent / "config").read_bytes()
        guest = factories.guest(
            elf.build_id(bzimage),
            config_digest=hashlib.sha256(config).hexdigest(),
            cases=factories.cases(dict.fromkeys(cases, Outcome.PASS)),
            bench=(),
        )
        if self.lost:
            self.lost -= 1
            return guest.model_copy(update={"end": GuestEnd.LOST, "cases": _unasked(cases)})
        if b"fault:reset" in image:
            return guest.model_copy(update={"end": GuestEnd.LOST, "cases": _unasked(cases)})
        if options.get("mode") is Mode.BENCH:
            return guest.model_copy(update={"bench": self._bench(image)})
        self.turns[bzimage.parent.name] += 1
        return self._faulty(guest, image, cases, self.turns[bzimage.parent.name])

    def _faulty(self, guest: Guest, image: bytes, cases: list[str], turn: int) -> Guest:
        outcomes = dict.fromkeys(cases, Outcome.PASS)
        if b"fault:other" in image and CASE in outcomes:
            outcomes[CASE] = Outcome.TIMEOUT
        if b"fault:skip" in image and CASE in outcomes:
            outcomes[CASE] = Outcome.SKIP
        if b"fault:case" in image and CASE in outcomes and self.flaky(turn):
            outcomes[CASE] = Outcome.FAIL
        guest = guest.model_copy(update={"cases": factories.cases(outcomes)})
        if b"fault:splat" in image and CASE in outcomes:
            splat = factories.splat(fingerprint="f1f1", during=CASE)
            guest = guest.model_copy(update={"splats": (splat,)})
        if b"fault:wide" in image and len(cases) > 1:  # it takes more than one case
            splat = factories.splat(fingerprint="f1f1", during=CASE)
            guest = guest.model_copy(update={"splats": (splat,)})
        if b"fault:panic" in image:
            changes = {"end": GuestEnd.PANIC, "splats": (factories.panic(fingerprint="dead"),)}
            guest = guest.model_copy(update={**changes, "cases": _unasked(cases)})
        return guest

    def _bench(self, image: bytes) -> tuple[BenchRow, ...]:
        slow = 1.5 if b"fault:slow" in image else 1.0
        jitter = (0, 1, 2, 1, 0) if self.exact else (0, 900, 2500, 4000, 1200)
        unit = "guest instructions" if self.exact else "ns"
        rounds = tuple(int(100_000 * slow) + value for value in jitter)
        return (factories.bench("write", *rounds, unit=unit),)


def _unasked(cases: list[str]) -> tuple[Any, ...]:
    return factories.cases(dict.fromkeys(cases, Outcome.NOT_RUN))


@dataclass
class History:
    """A fake kernel and its commits by name."""

    kernel: FakeKernel
    named: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def commit(self, name: str, files: Mapping[str, str], *, body: str = "") -> str:
        for path, text in files.items():
            place = self.kernel.repo / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        self.kernel.git("add", "-A")
        message = f"KVM: {name}\n\n{body}" if body else f"KVM: {name}"
        self.kernel.git("commit", "-q", "--allow-empty", "-m", message)
        self.named[name] = self.kernel.git("rev-parse", "HEAD").strip()
        return self.named[name]

    def harmless(self, number: int = 1, path: str = GMEM) -> None:
        """Code that changes the kernel, and nothing that it does."""
        for _ in range(number):
            self.count += 1
            text = (self.kernel.repo / path).read_text()
            line = f"const int harmless_{self.count} = {self.count};\n"
            self.commit(f"harmless {self.count}", {path: text + line})

    def fault(self, word: str, name: str = "", path: str = "mm/page.c", body: str = "") -> str:
        text = (self.kernel.repo / path).read_text()
        line = f'const char fault_{word}[] = "fault:{word}";\n'
        return self.commit(name or f"break {word}", {path: text + line}, body=body)

    def mend(self, word: str, name: str = "", path: str = "mm/page.c") -> str:
        text = (self.kernel.repo / path).read_text()
        line = f'const char fault_{word}[] = "fault:{word}";\n'
        assert line in text
        return self.commit(name or f"mend {word}", {path: text.replace(line, "")})

    def broken(self, name: str) -> None:
        """A commit that does not build, and one that mends it."""
        text = (self.kernel.repo / "init/main.c").read_text()
        self.commit(f"{name}: does not build", {"init/main.c": text + "int x = undeclared;\n"})
        self.commit(f"{name}: builds again", {"init/main.c": text})

    def document(self, name: str = "document it") -> str:
        self.count += 1
        return self.commit(name, {f"Documentation/kvm-{self.count}.rst": "Words.\n"})


@dataclass
class BisectWorld:
    """A folder of its own: tree, cache, runs, settings and the double of the boot."""

    home: Path
    history: History
    kernels: Kernels
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    out: str = ""
    err: str = ""

    @classmethod
    def create(
        cls, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> BisectWorld:
        kernels = Kernels()
        monkeypatch.setattr(
            boot, "boot", lambda bzimage, **options: kernels.boot(bzimage, **options)
        )
        monkeypatch.setattr(evaluate, "choose_accelerator", kernels.choose)
        monkeypatch.setattr(bisect, "search_patch_id", lambda id, **options: None)
        monkeypatch.chdir(home)
        write_settings(home)
        kernel = FakeKernel.create(home / "linux")
        return cls(home, History(kernel), kernels, capsys, monkeypatch)

    def __call__(self, *args: str) -> int:
        self.monkeypatch.setattr(sys, "argv", ["pipeline.py", *args])
        status = cli._status()
        self.out, self.err = self.capsys.readouterr()
        assert "Traceback" not in self.err
        return int(status)

    def bisect(
        self, question: str, *options: str, good: str = "v7.2-fake", bad: str = "master"
    ) -> int:
        words = ("bisect", "--tree", str(self.history.kernel.repo), "--for", question)
        return self(*words, *options, good, bad)

    @property
    def runs(self) -> list[Path]:
        folder = self.home / "runs"
        return sorted(folder.glob("[!.]*")) if folder.is_dir() else []

    @property
    def result(self) -> Bisection:
        return Bisection.from_json((self.runs[-1] / "bisection.json").read_bytes())

    @property
    def asked(self) -> list[Step]:
        return [step for step in self.result.steps if step.role is Role.STEP]


def write_settings(home: Path) -> None:
    (home / "small.config").write_text("CONFIG_KVM_SW_PROTECTED_VM=y\n")
    (home / "pipeline.toml").write_text(
        f"cache = {json.dumps(str(home / 'cache'))}\n"
        f"runs = {json.dumps(str(home / 'runs'))}\n"
        '[kernel]\nfragments = ["small.config"]\n'
        "[guest]\nbench_mib = 16\n"
        f'[archive]\nmidmask = "{CLOSED}"\n'
    )
