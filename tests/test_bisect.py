# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole bisections on small kernels; only the boot is a double."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kverdict.bisection import Answer, Bisection, Role
from kverdict.judgement import Proof
from kverdict.settings import HOME
from kverdict.stable import digest
from kverdict.stages.fetch import search_patch_id
from tests.archive.lore_double import lore_double
from tests.bisectworld import CASE, CLOSED, BisectWorld, write_settings

pytestmark = pytest.mark.host


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> BisectWorld:
    return BisectWorld.create(tmp_path, monkeypatch, capsys)


def proofs(world: BisectWorld) -> dict[str, Proof]:
    return {item.name: item.proof for item in world.result.proofs}


def long_history(world: BisectWorld) -> str:
    """27 commits; next to the culprit one that does not build and one of documentation only."""
    history = world.history
    history.harmless(9)
    history.broken("init")
    history.document("document before")
    culprit = history.fault("case", "break write")
    history.document("document after")
    history.harmless(13)
    return culprit


def test_the_culprit_is_found_and_proven(world: BisectWorld) -> None:
    culprit = long_history(world)
    assert world.bisect(CASE) == 0, world.err
    result = world.result
    assert result.culprit is not None and result.culprit.sha == culprit
    assert result.culprit.fixes == f'Fixes: {culprit[:12]} ("KVM: break write")'
    assert proofs(world) == dict.fromkeys(("parent", "culprit", "revert"), Proof.HOLDS)
    assert len(world.asked) <= math.log2(result.plan.commits) + 4
    assert result.confidence >= 0.99
    folder = world.runs[0]
    assert {"bisection.json", "bisect.html", "bisect.txt", "steps"} <= {
        path.name for path in folder.iterdir()
    }
    assert "first bad commit" in result.log
    assert "FOUND: first bad commit" in world.out
    assert not list(folder.glob(".*.*"))
    assert f"#regzbot introduced: {culprit}" in (folder / "bisect.eml").read_text()
    assert "this tree has no scripts/get_maintainer.pl" in (folder / "bisect.txt").read_text()
    page = (folder / "bisect.html").read_bytes()
    (folder / "bisect.html").unlink()
    assert world("report", str(folder)) == 0
    assert (folder / "bisect.html").read_bytes() == page
    assert "FOUND: first bad commit" in world.out


@pytest.mark.parametrize("there", [True, False])
def test_the_mail_that_it_was_made_from_is_found_by_its_patch_id(
    world: BisectWorld, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    culprit = world.history.fault("case")
    world.history.harmless(1)
    mail = world.history.kernel.git("format-patch", "-1", "--stdout", culprit).partition("\n")[2]
    posted = f"Message-ID: <posted-1@dev.example>\nTo: kvm@vger.example\n{mail}"
    monkeypatch.setattr("kverdict.bisect.search_patch_id", search_patch_id)
    with lore_double([posted.encode()] if there else []) as archive:
        settings = world.home / "pipeline.toml"
        settings.write_text(settings.read_text().replace(CLOSED, archive.midmask))
        assert world.bisect(CASE) == 0, world.err
    draft = (world.runs[0] / "bisect.eml").read_text()
    assert ("\nIn-Reply-To: <posted-1@dev.example>\n" in draft) is there
    assert ("the archive has no such patch" in world.result.notes) is not there


def test_an_archive_that_does_not_answer_is_told(
    world: BisectWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.history.fault("case")
    monkeypatch.setattr("kverdict.bisect.search_patch_id", search_patch_id)
    assert world.bisect(CASE) == 0, world.err
    assert any(note.startswith("the mail is an answer to none: ") for note in world.result.notes)
    assert "In-Reply-To" not in (world.runs[0] / "bisect.eml").read_text()


def test_an_unbuildable_commit_is_skipped(world: BisectWorld) -> None:
    history = world.history
    history.harmless(2)
    text = (history.kernel.repo / "init/main.c").read_text()
    history.commit("does not build", {"init/main.c": text + "int x = undeclared;\n"})
    bad = history.fault("case", "break write, and not yet build")
    history.commit("builds again", {"init/main.c": text})
    history.harmless(1)
    assert world.bisect(CASE) == 125, world.err
    result = world.result
    # What stands between the last good and the first bad one could not be asked.
    assert {item.sha for item in result.candidates} == {
        history.named["does not build"],
        bad,
        history.named["builds again"],
    }
    assert result.culprit is None
    assert result.proofs == ()
    skipped = [step for step in world.asked if step.answer is Answer.SKIP]
    assert {step.commit for step in skipped} <= {history.named["does not build"], bad}
    assert "does not build: " in skipped[0].why
    assert "NOT FOUND" in world.out
    assert not (world.runs[0] / "bisect.eml").exists()


def unreadable(world: BisectWorld) -> str:
    """A commit whose Kconfig does not parse, and one that mends it; gives a good commit before."""
    history, repo = world.history, world.history.kernel.repo
    makefile, conf = (repo / "Makefile").read_text(), "\t@cp $(KCONFIG_ALLCONFIG) $(KCONFIG_CONFIG)"
    refuses = (
        "\t@! grep -q boole $(SRC)/Kconfig || { echo 'Kconfig:13: syntax error' >&2; exit 1; }"
    )
    assert makefile.count(conf) == 1
    good = history.commit(
        "conf refuses", {"Makefile": makefile.replace(conf, f"{refuses}\n{conf}")}
    )
    history.harmless(2)
    kconfig = (repo / "Kconfig").read_text()
    broken = kconfig.replace('config EXPERT\n\tbool "Expert"', "config EXPERT\n\tboole")
    assert broken != kconfig
    history.commit("no Kconfig", {"Kconfig": broken})
    history.commit("Kconfig again", {"Kconfig": kconfig})
    return good


def test_a_commit_that_cannot_be_configured_is_skipped(world: BisectWorld) -> None:
    good = unreadable(world)
    culprit = world.history.fault("case")
    world.history.harmless(1)
    assert world.bisect(CASE, good=good) == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    broken = world.history.named["no Kconfig"]
    (step,) = [step for step in world.asked if step.commit == broken]
    assert step.answer is Answer.SKIP and "cannot be tested: " in step.why
    assert world.bisect("build", good=good, bad=broken) == 129
    assert "does not show it: cannot be tested: " in world.err


def test_a_commit_without_a_symbol_of_a_fragment_is_skipped(world: BisectWorld) -> None:
    history = world.history
    history.harmless(1)
    kconfig = (history.kernel.repo / "Kconfig").read_text()
    renamed = kconfig.replace("config KVM_SW_PROTECTED_VM", "config KVM_SW_GUARDED_VM")
    assert renamed != kconfig
    history.commit("rename it", {"Kconfig": renamed})
    history.commit("and back", {"Kconfig": kconfig})
    culprit = history.fault("case")
    assert world.bisect(CASE) == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    (step,) = [step for step in world.asked if step.commit == history.named["rename it"]]
    assert step.answer is Answer.SKIP and "CONFIG_KVM_SW_PROTECTED_VM" in step.why


def test_paths_that_the_culprit_does_not_touch(world: BisectWorld) -> None:
    history = world.history
    history.harmless(3)
    history.fault("case")
    history.harmless(2, path="init/main.c")
    assert world.bisect(CASE, "--paths", "virt") == 125, world.err
    assert world.result.headline == (
        "no commit of these paths is bad: the first bad one touches none of them"
    )
    assert [step.answer for step in world.asked] == [Answer.GOOD] * 2
    assert "None of those that were asked." in (world.runs[0] / "bisect.html").read_text()
    assert "NOT FOUND: no commit of these paths" in world.out
    assert world.bisect(CASE, "--paths", "sound") == 129
    assert "no commit between the ends touches these paths" in world.err


def test_the_first_commit_of_a_branch_that_began_before_the_good_end(world: BisectWorld) -> None:
    """Its one parent is older than the good end, and asked all the same."""
    history, git = world.history, world.history.kernel.git
    history.harmless(2)
    git("checkout", "-q", "-b", "topic")
    culprit = history.fault("case", "break write on a branch")
    history.harmless(1, path="init/main.c")
    git("checkout", "-q", "master")
    history.harmless(2)
    good = git("rev-parse", "HEAD").strip()
    history.harmless(1)
    git("merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
    assert world.bisect(CASE, good=good) == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    assert proofs(world)["parent"] is Proof.HOLDS


def test_a_confidence_that_cannot_be_reached_is_no_proof(world: BisectWorld) -> None:
    world.history.fault("case", "break write rarely")
    world.kernels.flaky = lambda turn: turn % 10 == 0
    assert world.bisect(CASE) == 125, world.err
    assert world.result.confidence < 0.99
    assert proofs(world)["parent"] is Proof.OPEN
    assert "0.99 is wanted" in (world.runs[0] / "bisect.txt").read_text().replace("\n", " ")


@pytest.mark.parametrize("question", ["build", "bench:write>+10%"])
def test_repeats_where_they_mean_nothing(world: BisectWorld, question: str) -> None:
    assert world.bisect(question, "--repeat", "3") == 129
    assert "--repeat has no meaning" in world.err


def test_another_failure_is_no_answer(world: BisectWorld) -> None:
    """The same case fails by its time limit in between: that is another bug."""
    history = world.history
    history.harmless(2)
    history.fault("other", path="mm/policy.c")  # not compiled: of no effect
    history.fault("other", "hang")
    history.mend("other", "mend the hang")
    history.harmless(1)
    culprit = history.fault("case")
    history.harmless(2)
    assert world.bisect(CASE) == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    others = [step for step in world.asked if step.commit == history.named["hang"]]
    assert all(step.answer is Answer.SKIP and step.other for step in others)


def test_merges_are_followed(world: BisectWorld) -> None:
    history, git = world.history, world.history.kernel.git
    history.harmless(2)
    git("checkout", "-q", "-b", "topic")
    history.harmless(2, path="init/main.c")
    culprit = history.fault("case", "break write on a branch")
    history.harmless(2, path="init/main.c")
    git("checkout", "-q", "master")
    history.harmless(3)
    git("merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
    merge = git("rev-parse", "HEAD").strip()
    history.harmless(1)
    assert world.bisect(CASE) == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    assert world.bisect(CASE, "--first-parent") == 0, world.err
    found = world.result
    assert found.culprit is not None and found.culprit.sha == merge
    assert proofs(world)["revert"] is Proof.OPEN
    parents = [step.answer for step in found.steps if step.role is Role.PARENT]
    assert parents == [Answer.GOOD], "what the merge brings is not asked by itself"


def test_documentation_cannot_be_the_culprit(world: BisectWorld) -> None:
    """Answers of before make it look so; nothing of the kernel has changed."""
    history = world.history
    history.harmless(1)
    document = history.document()
    history.harmless(1)
    found = suspect_of(world, document)
    assert found == (
        "its kernel is its parent's to the bit: nothing that runs has changed",
        "it touches no code: Documentation/kvm-2.rst",
    )
    assert proofs(world) == {
        "parent": Proof.HOLDS,
        "culprit": Proof.FAILS,
        "revert": Proof.FAILS,
    }


def suspect_of(world: BisectWorld, commit: str) -> tuple[str, ...]:
    """Replays answers under which ``commit`` is the first bad one."""
    history = world.history
    history.fault("case")
    log = "".join(
        f"git bisect {'good' if name == 'harmless 1' else 'bad'} {sha}\n"
        for name, sha in history.named.items()
    )
    (world.home / "log").write_text(log)
    assert world.bisect(CASE, "--replay", str(world.home / "log")) == 125, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == commit
    assert all(step.why == "replayed" for step in world.asked)
    assert "suspect" in world.result.headline
    return world.result.suspicions


def test_a_flaky_culprit_is_found_with_confidence(world: BisectWorld) -> None:
    history = world.history
    history.harmless(5)
    culprit = history.fault("case", "break write now and then")
    history.harmless(6)
    world.kernels.flaky = lambda turn: turn % 3 == 0  # a third, and not the first
    assert world.bisect(CASE) == 0, world.err
    result = world.result
    assert result.culprit is not None and result.culprit.sha == culprit
    assert result.plan.rate == 0.3 and result.plan.asked == 10
    assert result.plan.repeats == 17  # 0.7^17 = 0.0023 <= 0.01 / 4 steps
    assert result.confidence >= 0.99
    good = [step for step in world.asked if step.answer is Answer.GOOD]
    assert good and all(step.good == 17 for step in good)
    assert "3 of 10 guests: 17 guests a step for a confidence of 0.99" in world.err


def test_a_lost_guest_is_asked_again(world: BisectWorld) -> None:
    world.history.harmless(2)
    culprit = world.history.fault("case")
    world.kernels.lost = 1
    assert world.bisect(CASE) == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    assert world.result.steps[0].weak == 1


def test_a_guest_that_is_lost_again_and_again_is_no_answer(world: BisectWorld) -> None:
    world.history.fault("case")
    world.kernels.lost = 100
    assert world.bisect(CASE) == 129
    assert "does not show it: ended without a word, in 3 guests" in world.err
    assert world.runs == []


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("v7.2-fake", "HEAD~1", "does not show it: passes"),
        ("HEAD", "HEAD~1", "the bad end is older than the good one: swap them"),
        ("HEAD", "HEAD", "both ends are the same commit"),
        ("v9", "HEAD", "no commit called 'v9'"),
    ],
)
def test_ends_that_do_not_hold(world: BisectWorld, good: str, bad: str, said: str) -> None:
    world.history.harmless(2)
    world.history.fault("case")
    assert world.bisect(CASE, good=good, bad=bad) in (129, 161)
    assert said in world.err
    assert world.runs == []


def test_a_good_end_that_is_bad(world: BisectWorld) -> None:
    world.history.fault("case")
    world.history.harmless(2)
    assert world.bisect(CASE, good="HEAD~1") == 129
    assert "the good end" in world.err and "shows it as well: fails (fail)" in world.err


def test_a_good_end_that_cannot_be_asked(world: BisectWorld) -> None:
    world.history.fault("skip")
    world.history.mend("skip")
    world.history.fault("case")
    assert world.bisect(CASE, good="HEAD~2") == 129
    assert "cannot be asked: skipped" in world.err


def test_a_build_failure(world: BisectWorld) -> None:
    history = world.history
    history.harmless(3)
    text = (history.kernel.repo / "mm/page.c").read_text()
    culprit = history.commit("break the build", {"mm/page.c": text + "int y = missing;\n"})
    history.harmless(3)
    assert world.bisect("build") == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    assert "'missing' undeclared" in world.result.finding
    assert world.kernels.calls == [], "no guest is needed"
    assert world.result.confidence == 1.0


def test_another_build_error_is_skipped(world: BisectWorld) -> None:
    history = world.history
    history.harmless(1)
    history.broken("another")
    text = (history.kernel.repo / "mm/page.c").read_text()
    culprit = history.commit("break the build", {"mm/page.c": text + "int y = missing;\n"})
    history.harmless(1)
    assert world.bisect("build") == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit


def test_a_boot_failure(world: BisectWorld) -> None:
    history = world.history
    history.harmless(2)
    culprit = history.fault("panic")
    history.harmless(2)
    assert world.bisect("boot") == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    assert "panic" in world.result.finding
    assert all(call["facts"]["cases"] == [] for call in world.kernels.calls)
    assert world.result.console == (
        "------------[ cut here ]------------",
        *world.result.console[1:],
    )


def test_a_kernel_that_resets(world: BisectWorld) -> None:
    """Its guests vanish without a word: three times in a row that is an answer, for boot alone."""
    history = world.history
    history.harmless(2)
    culprit = history.fault("reset")
    history.harmless(1)
    assert world.bisect("boot") == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    assert "in 3 of 3 guests" in world.result.finding
    assert world.bisect(CASE) == 129


def test_a_console_report_is_narrowed_to_its_case(world: BisectWorld) -> None:
    history = world.history
    history.harmless(2)
    culprit = history.fault("splat")
    history.harmless(2)
    assert world.bisect("console:f1f1") == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    asked = [call["facts"]["cases"] for call in world.kernels.calls]
    assert asked[0] is None
    assert all(cases == [CASE] for cases in asked[1:])


def test_a_console_report_that_takes_the_whole_suite(world: BisectWorld) -> None:
    history = world.history
    history.harmless(1)
    culprit = history.fault("wide")
    history.harmless(1)
    assert world.bisect("console:f1f1") == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    asked = [call["facts"]["cases"] for call in world.kernels.calls]
    assert asked.count([CASE]) == 10, "it was looked for with its case alone"
    assert world.result.confidence >= 0.99


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("question", ["bench:write>+10%", "bench:write>120000"])
def test_a_benchmark(world: BisectWorld, question: str, exact: bool) -> None:
    history = world.history
    history.harmless(2)
    culprit = history.fault("slow")
    history.harmless(2)
    world.kernels.exact = exact
    assert world.bisect(question) == 0, world.err
    result = world.result
    assert result.culprit is not None and result.culprit.sha == culprit
    assert all(len(step.rounds) >= 5 for step in result.steps)
    assert result.confidence == (1.0 if exact else 0.99)
    assert ("guest instructions" in result.finding) is exact


def test_a_guest_that_was_lost_while_it_measured(world: BisectWorld) -> None:
    culprit = world.history.fault("slow")
    world.kernels.lost = 1
    assert world.bisect("bench:write>+10%") == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    assert world.result.steps[0].weak == 1
    world.history.harmless(1)
    world.kernels.lost = 100  # what is known of the good end is not asked again, but for the first
    assert world.bisect("bench:write>+10%") == 129
    assert "does not show it: ended without a word" in world.err


def test_what_is_not_measured_is_no_answer(world: BisectWorld) -> None:
    world.history.fault("slow")
    assert world.bisect("bench:memcpy>5") == 129
    assert "cannot be asked: nothing was measured for memcpy" in world.err


def test_a_benchmark_that_did_not_rise(world: BisectWorld) -> None:
    world.history.harmless(2)
    assert world.bisect("bench:write>+10%") == 129
    assert "does not show it: not above the limit" in world.err


def test_only_commits_that_touch_the_paths(world: BisectWorld) -> None:
    history = world.history
    history.harmless(6)
    culprit = history.fault("case")
    history.harmless(6)
    assert world.bisect(CASE, "--paths", "mm") == 0, world.err
    assert world.result.plan.commits == 1
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    assert world.bisect(CASE, "--paths", "sound") == 129
    assert "no commit between the ends touches these paths" in world.err


def test_terms(world: BisectWorld) -> None:
    world.history.harmless(2)
    world.history.fault("case")
    assert world.bisect(CASE, "--term-old", "works", "--term-new", "fails") == 0, world.err
    assert "first fails commit" in world.out
    assert "git bisect works" in world.result.log
    assert world.bisect(CASE, "--term-old", "bad", "--term-new", "good") == 129
    assert world.bisect(CASE, "--term-old", "skip") == 129


def test_commits_are_built_ahead(world: BisectWorld) -> None:
    culprit = long_history(world)
    assert world.bisect(CASE, "--ahead", "2") == 0, world.err
    assert world.result.culprit is not None and world.result.culprit.sha == culprit
    assert len(list(world.home.glob("cache/slots/*-1"))) == 1, "in a slot of its own"
    built = {path.name for path in world.home.glob("cache/stages/builds/*")}
    asked = {step.commit for step in world.result.steps}
    assert len(built) > len(asked), "some were built for nothing"
    plain = [(step.commit, step.answer) for step in world.result.steps]
    assert world.bisect(CASE) == 0
    assert [(step.commit, step.answer) for step in world.result.steps] == plain


def test_the_same_again_builds_and_boots_nothing(world: BisectWorld) -> None:
    long_history(world)
    assert world.bisect(CASE) == 0
    first, boots = world.result, len(world.kernels.calls)
    assert world.bisect(CASE) == 0
    assert len(world.kernels.calls) == boots
    assert digest(world.result) == digest(first)
    assert len(world.runs) == 2


@pytest.mark.parametrize("last", [0, 7, 9])
def test_killed_it_goes_on_and_asks_nothing_twice(
    world: BisectWorld, tmp_path_factory: pytest.TempPathFactory, last: int
) -> None:
    history = world.history
    history.harmless(6)
    history.fault("case")
    history.harmless(6)
    words = ["bisect", "--tree", "linux", "--for", CASE, "v7.2-fake", "master"]
    world.monkeypatch.setattr("kverdict.bisect.search_patch_id", search_patch_id)  # as the child
    assert world(*words) == 0
    whole, boots = world.result, len(world.kernels.calls)
    assert boots > last
    other = tmp_path_factory.mktemp("killed")
    shutil.copytree(world.home / "linux", other / "linux", symlinks=True)
    write_settings(other)
    assert child(other, last, *words) == -signal.SIGKILL
    assert child(other, 1000, *words) == 0
    (run,) = (other / "runs").glob("[!.]*")
    found = Bisection.from_json((run / "bisection.json").read_bytes())
    assert digest(found) == digest(whole)
    booted = (other / "boots").read_text().splitlines()
    assert len(booted) == len(set(booted)) == boots
    assert not [path for path in run.rglob(".*") if path.name != ".lock"]


def child(home: Path, last: int, *words: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", "tests.bisectchild", str(last), *words],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(HOME)},
        check=False,
    ).returncode


def test_a_damaged_journal_goes_on_from_what_is_whole(world: BisectWorld) -> None:
    long_history(world)

    world.kernels.stop_at = 9
    assert world.bisect(CASE) == 130
    (run,) = world.runs
    assert world("doctor") in (0, 128)
    words = f"bisect --tree {world.history.kernel.repo} --for {CASE} --fragment small.config"
    assert f"goes on with the same command: ./pipeline.py {words}" in world.out
    steps = sorted((run / "steps").iterdir())
    assert len(steps) >= 4
    steps[-2].write_text("{")
    for path in run.glob("evaluations/*/evaluation.json"):
        path.write_text("")
    world.kernels.stop_at = None
    assert world.bisect(CASE) == 0, world.err
    assert world.runs == [run]
    assert len(world.kernels.calls) == len({str(call["console"]) for call in world.kernels.calls})


def test_another_bad_end_asks_only_what_is_new(world: BisectWorld) -> None:
    world.history.harmless(4)
    world.history.fault("case")
    assert world.bisect(CASE) == 0
    boots = len(world.kernels.calls)
    world.history.document()
    assert world.bisect(CASE) == 0, world.err
    ends = world.err[: world.err.index("looked for: ")]
    assert ends.count("booted and tested before") == 6, "documentation changes no kernel"
    assert len(world.kernels.calls) < 2 * boots


def test_a_run_is_replayed_from_another(world: BisectWorld) -> None:
    culprit = long_history(world)
    assert world.bisect(CASE) == 0
    (run,) = world.runs
    for source in (run, run / "steps"):
        assert world.bisect(CASE, "--replay", str(source)) == 0, world.err
        assert world.result.culprit is not None and world.result.culprit.sha == culprit
        assert {step.why for step in world.asked} == {"replayed"}
    (world.home / "empty").write_text("nothing\n")
    assert world.bisect(CASE, "--replay", str(world.home / "empty")) == 129
    assert "has no answers" in world.err
