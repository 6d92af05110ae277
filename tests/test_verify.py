# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job from the command line, on a tree of a few files; only the boot is a double."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kverdict import cli, evaluate
from kverdict.errors import ExitStatus, InfraError
from kverdict.exports import kcidb
from kverdict.exports.files import Format
from kverdict.interrupt import Interrupted
from kverdict.models import Guest, GuestEnd, Outcome
from kverdict.runs import read_links
from kverdict.stages import boot
from tests import factories
from tests.fakekernel import GMEM, HEADER, INIT_SHARED, WRITE, FakeBoot, FakeKernel

pytestmark = pytest.mark.host

ADD_WRITE = (HEADER, INIT_SHARED, INIT_SHARED + WRITE)
BREAK = (GMEM, "return GUEST_MEMFD_FLAG_MMAP |", "return undeclared |")


@dataclass
class World:
    """A folder of its own: tree, cache, runs, settings and the double of the boot."""

    home: Path
    kernel: FakeKernel
    fake: FakeBoot
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    out: str = ""
    err: str = ""

    def __call__(self, *args: str) -> int:
        self.monkeypatch.setattr(sys, "argv", ["pipeline.py", *args])
        status = cli._status()
        self.out, self.err = self.capsys.readouterr()
        assert "Traceback" not in self.err
        return int(status)

    def verify(self, *args: str | Path) -> int:
        return self("verify", "--tree", str(self.kernel.repo), *map(str, args))

    def runs(self) -> list[Path]:
        folder = self.home / "runs"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def evidence(self, name: str) -> str:
        rows = self.report()["verdict"]["evidence"]
        return str(next(row["proof"] for row in rows if row["name"] == name))

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.runs()[-1] / "verdict.json").read_text())
        return report

    def findings(self) -> list[tuple[str, str]]:
        rows = self.report()["verdict"]["findings"]
        return [(row["kind"], row["verdict"]) for row in rows]


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> World:
    fake = FakeBoot()
    monkeypatch.setattr(boot, "boot", lambda bzimage, **options: fake.boot(bzimage, **options))
    monkeypatch.setattr(evaluate, "choose_accelerator", fake.choose)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.config").write_text("CONFIG_KVM_SW_PROTECTED_VM=y\n")
    (tmp_path / "pipeline.toml").write_text(
        f"cache = {json.dumps(str(tmp_path / 'cache'))}\n"
        f"runs = {json.dumps(str(tmp_path / 'runs'))}\n"
        '[kernel]\nfragments = ["small.config"]\n'
        "[guest]\nbench_mib = 0\n"
    )
    kernel = FakeKernel.create(tmp_path / "linux")
    return World(tmp_path, kernel, fake, capsys, monkeypatch)


@pytest.fixture
def good(world: World) -> Path:
    return world.kernel.series(world.home / "patches", ADD_WRITE, subject="add write")


def test_a_good_series(world: World, good: Path) -> None:
    assert world.verify(good) == 0, world.err
    report = world.report()
    assert report["verdict"]["overall"] == "good"
    assert [row["verdict"] for row in report["verdict"]["cases"]] == ["PASS", "PASS"]
    assert report["base"]["blobs_matched"] == report["base"]["blobs_total"] == 1
    folder = world.runs()[0]
    names = {path.name for path in folder.iterdir()}
    assert {"run.json", "series", "evaluations", "report.html", "report.txt"} <= names
    for evaluation in (folder / "evaluations").iterdir():
        kept = {path.name for path in evaluation.iterdir()}
        assert {"config", "config.json", "build.log", "build.json", "console.log"} <= kept
        assert {"guest.json", "results.jsonl", "evaluation.json"} <= kept
        assert not kept & {"bzImage", "vmlinux"}


def test_a_run_leaves_the_files_of_other_tools_and_export_makes_the_same(
    world: World, good: Path
) -> None:
    assert world.verify(good) == 0, world.err
    (folder,) = world.runs()
    files = {format.value: (folder / format.value).read_bytes() for format in Format}
    hashes = [item["patchset_hash"] for item in json.loads(files["kcidb.json"])["checkouts"]]
    assert hashes[0] == "" and len(hashes[1]) == 64
    for name in files:
        (folder / name).unlink()
    assert world("export", str(folder)) == 0, world.err
    assert {name: (folder / name).read_bytes() for name in files} == files


def test_a_submission_that_is_not_valid_takes_nothing_from_the_verdict(
    world: World, good: Path
) -> None:
    def refuse(*args: object) -> bytes:
        raise InfraError("the KCIDB submission is not valid at $", "please report that")

    world.monkeypatch.setattr(kcidb, "kcidb", refuse)
    assert world.verify(good) == 0, world.err
    assert "no files for other tools: the KCIDB submission is not valid" in world.err
    (folder,) = world.runs()
    assert (folder / "verdict.json").exists() and not (folder / "kcidb.json").exists()
    assert world("export", str(folder)) == 128
    assert world("export", str(folder), "--junit") == 0


def test_a_series_of_which_nothing_is_compiled(world: World) -> None:
    comment = ("Kconfig", "mainmenu", "# of no consequence\nmainmenu")
    patch = world.kernel.series(world.home / "patches", comment)
    assert world.verify(patch) == 125, world.err
    assert "nothing of the series is compiled here" in world.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--kselftest", "kvm"), "'kvm' names no selftest"),
        (("--kselftest", "kvm:x86/a", "--kselftest", "kvm:b/a"), "one name in the report"),
        (("--kunit", "../../etc"), "'../../etc' names no folder of a tree"),
    ],
)
def test_a_slip_of_the_pen_is_told_before_anything_is_fetched(
    world: World, options: tuple[str, ...], words: str
) -> None:
    assert world("verify", "--tree", "/nowhere", "no@such.mail", *options) == ExitStatus.USAGE
    assert words in world.err
    assert world.runs() == []


def test_kunit_asks_for_what_the_series_brings_and_the_user_has_the_last_word(
    world: World, good: Path
) -> None:
    """The .kunitconfig is a stranger's, and the base does not have what it names."""
    text = "CONFIG_KUNIT=y\n\nCONFIG_NOT_IN_THE_BASE=y\n# CONFIG_KVM_SW_PROTECTED_VM is not set\n"
    (world.kernel.repo / "mm/.kunitconfig").write_text(text)
    world.kernel.git("add", "-A")
    world.kernel.git("commit", "-q", "-m", "mm: tests")
    assert world.verify("--kunit", "mm", good) == 0, world.err
    asked = world.report()["base_evaluation"]["config"]["asked"]
    states = {row["name"]: (row["fragment"], row["state"]) for row in asked}
    assert states["NOT_IN_THE_BASE"] == ("kunit.config", "unknown symbol")
    assert states["KVM_SW_PROTECTED_VM"] == ("small.config", "as asked")
    assert all(call["kunit"] for call in world.fake.calls)
    assert world.verify("--kunit", "virt", good) == ExitStatus.USAGE
    assert "the tree has no virt/.kunitconfig" in world.err


def test_a_suite_that_left_nothing_is_an_error_in_the_report(world: World, good: Path) -> None:
    (world.kernel.repo / "mm/.kunitconfig").write_text("CONFIG_KUNIT=y\n")
    world.kernel.git("add", "-A")
    world.kernel.git("commit", "-q", "-m", "mm: tests")
    suite = factories.case("kunit.made")
    world.fake.change = lambda guest, facts: guest.model_copy(
        update={"cases": (suite, *guest.cases)}
    )
    world.verify("--kunit", "mm", good)
    first = world.report()["patch_evaluations"][-1]["guest"]["cases"][0]
    assert (first["id"], first["outcome"]) == ("kunit.made", "error")


def test_without_a_sandbox_the_report_says_so(world: World, good: Path) -> None:
    assert world.verify(good) == 0, world.err
    assert world.evidence("sandbox") == "holds"
    assert world.verify(good, "--unsafe-no-sandbox") == 0, world.err
    assert len(world.fake.calls) == 4, "what a sandbox kept apart is not taken for what nothing did"
    assert world.evidence("sandbox") == "fails"
    assert "--unsafe-no-sandbox" in (world.runs()[-1] / "report.txt").read_text()


def test_dependencies_are_enabled_and_listed(world: World, good: Path) -> None:
    world.verify(good)
    config = world.report()["patch_evaluations"][-1]["config"]
    assert config["differing"] == []
    assert {row["name"]: row["needed_by"] for row in config["added"]} == {
        "EXPERT": "KVM_SW_PROTECTED_VM",
        "VIRTUALIZATION": "KVM_SW_PROTECTED_VM",
        "KVM": "KVM_SW_PROTECTED_VM",
        "KVM_AMD": "KVM_SW_PROTECTED_VM",
    }


def test_the_second_time_nothing_is_built_or_booted(world: World, good: Path) -> None:
    world.verify(good)
    first, boots = world.report(), len(world.fake.calls)
    assert boots == 2
    assert world.verify(good) == 0
    assert len(world.fake.calls) == boots
    assert world.report() == first
    assert len(world.runs()) == 2
    assert "built before" in world.err
    assert "build, " not in world.err


def test_the_report_of_a_later_revision_keeps_the_run_that_it_links_to(
    world: World, good: Path
) -> None:
    world.verify(good)
    (first,) = world.runs()
    later = good.with_name("v2.patch")
    later.write_text(good.read_text().replace("[PATCH]", "[PATCH v2]"))
    assert world.verify(later) == 0, world.err
    (second,) = set(world.runs()) - {first}
    assert f"../{first.name}/report.html" in (second / "report.html").read_text()
    assert read_links(second) == {first.name}


def test_a_new_revision_reuses_the_base(world: World, good: Path) -> None:
    world.verify(good)
    again = world.kernel.series(
        world.home / "v2", ADD_WRITE, (GMEM, "return GUEST", "return 8 | GUEST"), subject="again"
    )
    boots = len(world.fake.calls)
    assert world.verify(again) == 0, world.err
    assert len(world.fake.calls) == boots + 1
    assert world.err.count("built before") == 1


def test_the_user_s_repository_is_only_read(world: World, good: Path) -> None:
    (world.kernel.repo / "init/main.c").write_text("not committed\n")

    def state() -> dict[str, bytes]:
        files = (path for path in world.kernel.repo.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files}

    before = state()
    assert world.verify(good) == 0
    assert state() == before


def test_a_rev_range_of_the_tree(world: World, good: Path) -> None:
    world.kernel.git("am", "-q", str(good))
    assert world.verify("v7.2-fake..HEAD") == 0, world.err
    assert world.report()["base"]["how"] == "rev range"


def test_a_failing_case_is_new_when_the_base_skipped_it(world: World, good: Path) -> None:
    def fail(guest: Guest, facts: Mapping[str, Any]) -> Guest:
        if "GUEST_MEMFD_FLAG_WRITE" not in facts["flags"]:
            return guest
        cases = factories.cases({"write.refused": Outcome.PASS, "write.page": Outcome.FAIL})
        return guest.model_copy(update={"cases": cases})

    world.fake.change = fail
    assert world.verify(good) == 1
    assert world.findings() == [("case", "NEW-FAIL")]


def test_a_build_error_is_the_series_fault(world: World) -> None:
    patch = world.kernel.series(world.home / "patches", BREAK)
    assert world.verify(patch) == 1
    assert world.findings() == [("build", "NEW-FAIL")]
    assert f"{GMEM}:8" in world.out
    assert len(world.fake.calls) == 1  # the base


def test_a_conflict_explains_itself_and_leaves_nothing(world: World) -> None:
    patch = world.kernel.series(world.home / "patches", ADD_WRITE)
    text = (world.kernel.repo / HEADER).read_text().replace("INIT_SHARED", "INIT_SHARD")
    (world.kernel.repo / HEADER).write_text(text)
    world.kernel.git("commit", "-q", "-a", "-m", "rename")
    assert world.verify(patch, "--base", "HEAD") == 125
    assert HEADER in world.err
    assert "@@" in world.err
    assert world.runs() == []


def test_another_kernel_than_the_one_built_proves_nothing(world: World, good: Path) -> None:
    world.fake.change = lambda guest, facts: guest.model_copy(update={"build_id": "ab" * 20})
    assert world.verify(good) == 128
    assert world.report()["verdict"]["overall"] == "our trouble"


def test_a_lost_guest_is_asked_again(world: World, good: Path) -> None:
    world.fake.change = lambda guest, facts: guest.model_copy(update={"end": GuestEnd.LOST})
    world.verify(good)
    assert len(world.fake.calls) == 4  # base and patched, each once more
    world.fake.change = lambda guest, facts: guest
    assert world.verify(good) == 0
    assert len(world.fake.calls) == 6


def test_the_report_names_the_console_of_the_boot_that_counts(world: World, good: Path) -> None:
    def lose_the_first(guest: Guest, facts: Mapping[str, Any]) -> Guest:
        first = world.fake.calls[-1]["console"].name == "console.log"
        return guest.model_copy(update={"end": GuestEnd.LOST}) if first else guest

    world.fake.change = lose_the_first
    world.verify(good)
    patched = world.report()["patch_evaluations"][-1]
    assert (patched["guest"]["boot"], [one["boot"] for one in patched["reruns"]]) == (2, [1])
    folder = f"evaluations/{patched['key']}"
    page = (world.runs()[0] / "report.html").read_text()
    assert f"<code>{folder}/console-2.log</code>, other boots: <code>{folder}/console.log" in page
    assert (world.runs()[0] / folder / "console-2.log").is_file()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Interrupted])
def test_an_interrupted_run_goes_on(world: World, good: Path, stop: type[BaseException]) -> None:
    def interrupt(guest: Guest, facts: Mapping[str, Any]) -> Guest:
        raise stop

    world.fake.change = interrupt
    assert world.verify(good) == ExitStatus.INTERRUPTED
    assert "the same command goes on from here" in world.err
    folder = world.runs()[0]
    assert not list(folder.rglob("results-*"))
    world.fake.change = lambda guest, facts: guest
    assert world.verify(good) == 0
    assert world.runs() == [folder]
    assert "built before" in world.err


def test_a_disk_that_was_full_for_a_moment_is_told_with_the_room_needed(
    world: World, good: Path
) -> None:
    def fail(guest: Guest, facts: Mapping[str, Any]) -> Guest:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    world.fake.change = fail
    assert world.verify(good) == ExitStatus.DISK_FULL
    assert "the disk is full during a run" in world.err
    assert "MiB free): free 4096 MiB and start again" in world.err


def garbled(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"add write", b"add wrote"))


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def gone(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", ["series/series.json", "series/series.mbx"])
@pytest.mark.parametrize("damage", [garbled, half, gone, folder], ids=lambda it: it.__name__)
def test_a_damaged_series_of_an_unfinished_run_is_fetched_again(
    world: World, good: Path, name: str, damage: Callable[[Path], None]
) -> None:
    run = interrupted(world, good)
    damage(run / name)
    assert world.verify(good) == 0, world.err
    assert world.runs() == [run]
    assert "reading the series" in world.err
    assert world.report()["series"]["subject"] == "KVM: add write"


def interrupted(world: World, good: Path) -> Path:
    """The folder of a run that was interrupted in its first guest."""

    def interrupt(guest: Guest, facts: Mapping[str, Any]) -> Guest:
        raise Interrupted

    world.fake.change = interrupt
    assert world.verify(good) == ExitStatus.INTERRUPTED
    world.fake.change = lambda guest, facts: guest
    (run,) = world.runs()
    return run


def test_what_killed_runs_left_anywhere_is_gone_after_the_next(world: World, good: Path) -> None:
    assert world.verify(good) == 0
    left = [
        "runs/.gc.ab12cd34/run",
        "cache/.probe.ab12cd34",
        "cache/debian/deb-ab12cd34/unpacked",
        "cache/repos/.linux.git.ab12cd34/whole",
        "cache/repos/am/am-ab12cd34/tree",
        "cache/slots/k-7/objects-ab12cd34/obj",
        "cache/stages/builds/.draft.ab12cd34/whole",
    ]
    for name in left:
        (world.home / name).mkdir(parents=True)
    (repo,) = world.home.glob("cache/repos/*.git")
    (repo / "objects/info/.alternates.ab12cd34").write_text("half")
    assert world.verify(good) == 0, world.err
    assert list(world.home.rglob("*ab12cd34")) == []


def test_a_whole_series_is_not_fetched_again(world: World, good: Path) -> None:
    interrupted(world, good)
    assert world.verify(good) == 0
    assert "reading the series" not in world.err


@pytest.mark.parametrize("damage", [half, gone], ids=lambda it: it.__name__)
def test_damaged_files_of_an_unfinished_evaluation_are_made_again(
    world: World, good: Path, damage: Callable[[Path], None]
) -> None:
    run = interrupted(world, good)
    damaged = [path for path in run.glob("evaluations/*/*") if path.is_file()]
    assert {"config", "config.json", "build.log", "build.json"} <= {path.name for path in damaged}
    for path in damaged:
        damage(path)
    assert world.verify(good) == 0, world.err
    assert all(json.loads(path.read_text()) for path in run.glob("evaluations/*/*.json"))
    assert world.runs() == [run]


def test_a_damaged_run_json_gives_a_new_run(world: World, good: Path) -> None:
    run = interrupted(world, good)
    half(run / "run.json")
    assert world.verify(good) == 0, world.err
    assert len(world.runs()) == 2


def test_folders_that_cannot_be_used_are_told_before_any_work(world: World, good: Path) -> None:
    settings = (world.home / "pipeline.toml").read_text()
    for key in ("runs", "cache"):
        (world.home / "file").write_text("")
        used = json.dumps(str(world.home / key))
        (world.home / "pipeline.toml").write_text(settings.replace(used, '"file"'))
        assert world.verify(good) == ExitStatus.TROUBLE
        assert world.err.splitlines() == [
            f"kverdict: the {key} folder file cannot be used: File exists: "
            f'name another: `{key} = "..."` in pipeline.toml'
        ]


def test_rendering_again_gives_the_same_bytes(world: World, good: Path) -> None:
    world.verify(good)
    folder = world.runs()[0]
    page = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert world("report", str(folder)) == 0
    assert (folder / "report.html").read_bytes() == page


Setup = Callable[[World], list[str]]


def no_tree(world: World) -> list[str]:
    return ["--tree", str(world.home / "nowhere")]


def no_kernel(world: World) -> list[str]:
    (world.home / "empty").mkdir()
    return ["--tree", str(world.home / "empty")]


def unknown_base(world: World) -> list[str]:
    return ["--base", "v9.9"]


def unknown_symbol(world: World) -> list[str]:
    (world.home / "odd.config").write_text("CONFIG_KVM_AMT=y\n")
    return ["--fragment", "odd.config"]


def malformed_fragment(world: World) -> list[str]:
    (world.home / "odd.config").write_text("KVM_AMD=y\n")
    return ["--fragment", "odd.config"]


def no_fragment(world: World) -> list[str]:
    return ["--fragment", "nothing-of-that-name"]


def no_settings(world: World) -> list[str]:
    return ["--config", "nothing.toml"]


@pytest.mark.parametrize(
    ("setup", "status", "said"),
    [
        (no_tree, 160, "nowhere is missing"),
        (no_kernel, 160, "is neither a git repository nor an unpacked kernel"),
        (unknown_base, 161, "'v9.9'"),
        (unknown_symbol, 129, "odd.config:1: this kernel has no CONFIG_KVM_AMT: did you mean KVM"),
        (malformed_fragment, 129, "odd.config:1: 'KVM_AMD=y' is no Kconfig assignment"),
        (no_fragment, 129, "no Kconfig fragment 'nothing-of-that-name'"),
        (no_settings, 129, "nothing.toml cannot be read"),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing(
    world: World, good: Path, setup: Setup, status: int, said: str
) -> None:
    assert world.verify(good, *setup(world)) == status
    assert said in world.err
    assert len([line for line in world.err.splitlines() if line.startswith("kverdict:")]) == 1
    assert world.runs() == []
    assert world.fake.calls == []


def test_a_kconfig_that_does_not_parse_is_the_patch_s_fault(world: World) -> None:
    patch = world.kernel.series(
        world.home / "patches",
        ("Kconfig", 'config EXPERT\n\tbool "Expert"', "config EXPERT\n\tboole"),
    )
    makefile = world.kernel.repo / "Makefile"
    # The tree's own conf refuses it as well, in the words of scripts/kconfig/parser.y.
    text = makefile.read_text().replace(
        "\t@cp $(KCONFIG_ALLCONFIG) $(KCONFIG_CONFIG)",
        "\t@! grep -q boole $(SRC)/Kconfig"
        " || { echo 'Kconfig:13: syntax error' >&2; exit 1; }; \\\n"
        "\tcp $(KCONFIG_ALLCONFIG) $(KCONFIG_CONFIG)",
    )
    makefile.write_text(text)
    world.kernel.git("commit", "-q", "-a", "-m", "a conf with eyes")
    assert world.verify(patch) == 125
    assert "the tree's Kconfig does not parse: Kconfig:13: syntax error" in world.err


@pytest.mark.parametrize("more", [[], ["--reach"]])
def test_a_symbol_that_only_the_base_has_was_taken_away_by_the_patch(
    world: World, more: list[str]
) -> None:
    symbol = "config KVM_SW_PROTECTED_VM\n"
    renamed = ("Kconfig", symbol, symbol.replace("SW_", "SOFT_"))
    patch = world.kernel.series(world.home / "patches", renamed)
    assert world.verify(patch, *more) == 125
    assert (
        "kverdict: patch 1/1 leaves no CONFIG_KVM_SW_PROTECTED_VM, which small.config:1 asks for: "
        "write `# optional: why` above it there, or name a fragment of your own\n"
    ) in world.err
    assert world.runs() == []


def test_usage_errors_are_not_bad_series(world: World) -> None:
    assert world("verify") == 129
    assert world("no-such-command") == 129
    assert world("suite", "no.such-case") == 129
    assert world("report", str(world.home)) == 129


def test_the_suite_is_listed(world: World) -> None:
    assert world("suite", "write.page") == 0
    assert world.out.startswith("write.page ")
