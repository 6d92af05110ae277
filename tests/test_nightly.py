# SPDX-License-Identifier: GPL-2.0-or-later
"""Nights over trees of a few files; real git, make and sandbox, only the boot is a double."""

from __future__ import annotations

import email
import email.policy
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kverdict import cli, evaluate, nightly
from kverdict.bisect import BisectRequest, BisectRun, bisect
from kverdict.errors import ExitStatus, InfraError, UserError
from kverdict.heads import Ended, HeadNight, HeadState
from kverdict.interrupt import Interrupted
from kverdict.models import Guest, GuestEnd, Outcome
from kverdict.nights import Night, Nights
from kverdict.progress import Progress
from kverdict.runs import finish_run, open_run, read_state, write_atomically
from kverdict.settings import Settings, load
from kverdict.stages import boot
from tests import factories
from tests.bisectworld import CLOSED
from tests.fakekernel import GMEM, HEADER, INIT_SHARED, FakeBoot, FakeKernel
from tests.repos import git

pytestmark = pytest.mark.host

# What the double of the boot takes for a kernel on which pwrite.at-eof fails.
BROKEN = "#define GUEST_MEMFD_FLAG_BROKEN\t\t(1ULL << 5)\n"
SLOWER = "#define GUEST_MEMFD_FLAG_SLOWER\t\t(1ULL << 6)\n"


def by_header(guest: Guest, facts: Mapping[str, Any]) -> Guest:
    """A guest that does what the header of its kernel says."""
    flags = facts["flags"]
    broken = "GUEST_MEMFD_FLAG_BROKEN" in flags
    planned = {
        "pwrite.at-eof": Outcome.FAIL if broken else Outcome.PASS,
        "write.page": Outcome.SKIP,
        "size.zero": Outcome.PASS,
    }
    wanted = facts.get("cases") or tuple(planned)
    cases = factories.cases({id: end for id, end in planned.items() if id in wanted})
    took = 1_100_000 if "GUEST_MEMFD_FLAG_SLOWER" in flags else 1_000_000
    rows = (factories.bench("memcpy", *(took + step for step in range(5))),)
    return guest.model_copy(update={"cases": cases, "bench": rows})


@dataclass
class World:
    """Two trees, and the settings that say so."""

    home: Path
    kernels: dict[str, FakeKernel]
    fake: FakeBoot
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    trees: str = ""
    nightly: dict[str, str] = field(default_factory=dict)
    extra: str = ""  # settings before the first table
    out: str = ""
    err: str = ""

    def write_settings(self) -> None:
        keys = "".join(f"{key} = {value}\n" for key, value in self.nightly.items())
        (self.home / "pipeline.toml").write_text(
            f"{self.extra}cache = {json.dumps(str(self.home / 'cache'))}\n"
            f"runs = {json.dumps(str(self.runs))}\n"
            '[kernel]\nfragments = ["small.config"]\n[guest]\nbench_mib = 0\n'
            f'[archive]\nmidmask = "{CLOSED}"\n'
            f"[nightly]\n{keys}{self.trees}"
        )

    def __call__(self, *args: str) -> int:
        self.write_settings()
        self.monkeypatch.setattr(sys, "argv", ["pipeline.py", "nightly", *args])
        status = cli._status()
        self.out, self.err = self.capsys.readouterr()
        assert "Traceback" not in self.err
        return int(status)

    def bisect(self, how: Callable[..., BisectRun]) -> None:
        self.monkeypatch.setattr(nightly, "bisect", how)

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    @property
    def settings(self) -> Settings:
        return load(self.home / "pipeline.toml")

    def nights(self, tree: str = "alpha") -> tuple[Night, ...]:
        return Nights.below(self.runs).of(tree)

    def head(self, tree: str = "alpha") -> HeadNight:
        (head,) = self.nights(tree)[0].heads
        return head

    def page(self) -> str:
        return (self.runs / "nightly/index.html").read_text()

    def mails(self) -> list[Path]:
        return sorted((self.runs / "nightly").glob("*.eml"))

    def run_folders(self, word: str = "") -> list[Path]:
        return [path for path in sorted(self.runs.glob("*Z-*")) if word in path.name]

    def commit(self, tree: str, path: str, old: str, new: str, subject: str = "change") -> str:
        kernel = self.kernels[tree]
        text = (kernel.repo / path).read_text()
        assert text.count(old) == 1
        (kernel.repo / path).write_text(text.replace(old, new))
        kernel.git("commit", "-q", "-a", "-m", subject)
        return kernel.git("rev-parse", "HEAD").strip()

    def harmless(self, tree: str, number: int) -> str:
        old, new = "\treturn GUEST_MEMFD", f"\t/* {number} */\n\treturn GUEST_MEMFD"
        return self.commit(tree, GMEM, old, new, f"a comment, {number}")

    def break_it(self, tree: str = "alpha", subject: str = "KVM: break it") -> str:
        """The header says what the double of the boot does; the kernel is another one as well."""
        page = self.kernels[tree].repo / "mm/page.c"
        page.write_text(f"{page.read_text()}const int broken_{len(subject)} = 1;\n")
        return self.commit(tree, HEADER, INIT_SHARED, INIT_SHARED + BROKEN, subject)


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> World:
    fake = FakeBoot(change=by_header)
    monkeypatch.setattr(boot, "boot", lambda bzimage, **options: fake.boot(bzimage, **options))
    monkeypatch.setattr(evaluate, "choose_accelerator", fake.choose)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.config").write_text("CONFIG_KVM_SW_PROTECTED_VM=y\n")
    names = ("alpha", "beta")
    kernels = {name: FakeKernel.create(tmp_path / name) for name in names}
    kernels["beta"].git("commit", "-q", "--allow-empty", "-m", "another history")
    trees = "".join(
        f"[[nightly.trees]]\nname = {json.dumps(name)}\ntree = {json.dumps(str(tmp_path / name))}\n"
        for name in names
    )
    made = World(tmp_path, kernels, fake, capsys, monkeypatch, trees)
    made.bisect(walk)
    return made


def walk(request: BisectRequest, settings: Settings, progress: Progress) -> BisectRun:
    """A bisection that reads headers; the real one is in tests/test_bisect.py."""
    with open_run(settings.runs_folder, "bisect", request.model_dump(mode="json"), "1") as folder:
        write_atomically(folder / "bisect.html", "whose it is")
        finish_run(folder)
    mark = "FLAG_SLOWER" if request.question.startswith("bench:") else "FLAG_BROKEN"
    words = ("rev-list", "--reverse", f"{request.good}..{request.bad}")
    culprit = next(
        sha
        for sha in git(Path(request.tree), *words).split()
        if mark in git(Path(request.tree), "show", f"{sha}:{HEADER}")
    )
    subject = git(Path(request.tree), "show", "-s", "--format=%s", culprit)
    return BisectRun(folder, factories.bisection(culprit, subject, question=request.question))


def fail(error: Exception) -> Callable[..., BisectRun]:
    def raises(*rest: object) -> BisectRun:
        raise error

    return raises


# --- one night after the other --------------------------------------------------------------------


def test_the_first_night_has_nothing_to_compare_with(world: World) -> None:
    assert world() == 0, world.err
    for tree in ("alpha", "beta"):
        (night,) = world.nights(tree)
        assert night.done
        assert world.head(tree).state is HeadState.FIRST
        assert {case.answer.value for case in world.head(tree).cases} == {"pass", "skip"}
    assert "Night 1" in world.out
    assert len(world.mails()) == 1


def test_without_a_change_nothing_is_built_and_nothing_is_written(world: World) -> None:
    world()
    boots, runs, page = len(world.fake.calls), world.run_folders(), world.page()
    assert world() == 0, world.err
    assert world.out.count("no change, nothing to do") == 2
    assert "build" not in world.err
    assert len(world.fake.calls) == boots
    assert world.run_folders() == runs
    assert world.page() == page
    assert len(world.nights()) == len(world.mails()) == 1


def test_only_the_tree_that_changed_is_looked_at(world: World) -> None:
    world()
    sha = world.harmless("beta", 1)
    assert world() == 0, world.err
    assert "alpha: no change" in world.out
    assert [len(world.nights(tree)) for tree in ("alpha", "beta")] == [1, 2]
    assert world.head("beta").state is HeadState.GOOD
    assert world.head("beta").commit == sha
    assert world.head("beta").base == world.nights("beta")[1].heads[0].commit
    assert world.err.count("built before") == 1, "the last good head"


def test_a_regression_is_found_bisected_and_told_once(world: World) -> None:
    world()
    good = world.head().commit
    for number in range(3):
        world.harmless("alpha", number)
    culprit = world.break_it(subject="KVM: tidy up")
    world.commit("alpha", GMEM, "/* 2 */", "/* two */")
    assert world() == ExitStatus.BAD, world.err
    head = world.head()
    assert (head.state, head.base) == (HeadState.BAD, good)
    assert [found.key for found in head.failures()] == ["case:pwrite.at-eof"]
    (bisected,) = head.bisected
    assert bisected.ended is Ended.PROVEN
    assert (bisected.culprits, bisected.subject) == ((culprit,), "KVM: tidy up")
    assert "pwrite.at-eof: what pwrite.at-eof is about" in world.out
    assert "proven: the first bad commit is found and proven" in world.out
    assert f"../{bisected.run}/bisect.html" in world.page()

    world.harmless("alpha", 9)
    assert world() == 0, "it is not new any more"
    assert world.head().state is HeadState.BAD
    assert world.head().bisected == ()
    assert "since night 2" in world.out
    assert world.page().count(f"../{bisected.run}/bisect.html") == 2

    world.commit("alpha", HEADER, BROKEN, "", "KVM: mend it")
    assert world() == 0
    assert world.head().state is HeadState.GOOD
    assert world.head().base == good

    again = world.break_it(subject="KVM: break it again")
    assert world() == ExitStatus.BAD, "after a good night it is another failure"
    assert world.head().bisected[0].culprits == (again,)


def test_a_case_of_a_bad_night_is_bisected_from_the_night_in_which_it_passed(world: World) -> None:
    world()
    world.commit("alpha", HEADER, INIT_SHARED, INIT_SHARED + SLOWER, "KVM: slower")
    world()
    slow = world.head()
    assert slow.state is HeadState.BAD, world.err
    world.break_it()
    world()
    assert [one.good for one in world.head().bisected] == [slow.commit]


def test_a_slower_benchmark_is_a_regression(world: World) -> None:
    world()
    world.commit("alpha", HEADER, INIT_SHARED, INIT_SHARED + SLOWER, "KVM: slower")
    world.bisect(fail(UserError("the good end is not good")))
    assert world() == ExitStatus.BAD
    assert "memcpy takes +10.0%" in world.out
    assert [one.question for one in world.head().bisected] == ["bench:memcpy>+2%"]
    assert "median of 5 rounds 1,000,002, of 5 rounds now 1,100,002 guest instructions" in (
        world.out.replace("\n", " ").replace("        ", "")
    )
    assert world.page().count("data:image/svg+xml") == 2


def test_several_refs_of_one_tree_have_nights_of_their_own(world: World) -> None:
    world.kernels["alpha"].git("branch", "stable")
    world.trees = world.trees.replace('"alpha"\n', '"alpha"\nrefs = ["master", "stable"]\n')
    world()
    assert [head.ref for head in world.nights()[0].heads] == ["master", "stable"]
    world.break_it()
    assert world() == ExitStatus.BAD
    (head,) = world.nights()[0].heads
    assert head.ref == "master"
    assert "<h2>stable</h2>" in world.page()


def test_a_tree_that_is_fetched_is_a_mirror_and_the_other_is_only_read(world: World) -> None:
    world.trees = world.trees.replace('"alpha"\n', '"alpha"\nfetch = true\nrefs = ["master"]\n')
    repo = world.kernels["alpha"].repo
    before = {path: path.read_bytes() for path in repo.rglob("*") if path.is_file()}
    assert world() == 0, world.err
    assert {path: path.read_bytes() for path in repo.rglob("*") if path.is_file()} == before
    assert "fetching" in world.err
    assert world.head().state is HeadState.FIRST
    culprit = world.break_it()
    assert world() == ExitStatus.BAD, world.err
    assert world.head().bisected[0].culprits == (culprit,)
    assert world() == 0
    assert "alpha: no change" in world.out


def test_history_that_was_thrown_away_begins_anew(world: World) -> None:
    world()
    kernel = world.kernels["alpha"]
    kernel.git("checkout", "-q", "--orphan", "other")
    kernel.git("commit", "-q", "-m", "all new")
    kernel.git("branch", "-q", "-D", "master")
    kernel.git("tag", "-d", "v7.2-fake")
    kernel.git("reflog", "expire", "--expire=now", "--all")
    kernel.git("gc", "-q", "--prune=now")
    assert world() == 0, world.err
    assert world.head().base is None
    assert world.head().state is HeadState.FIRST


def test_a_tree_without_history_is_compared_and_not_bisected(world: World) -> None:
    world.bisect(bisect)
    shutil.rmtree(world.home / "alpha/.git")
    assert world() == 0, world.err
    header = world.home / "alpha" / HEADER
    header.write_text(header.read_text().replace(INIT_SHARED, INIT_SHARED + BROKEN))
    assert world() == ExitStatus.BAD, world.err
    (bisected,) = world.head().bisected
    assert bisected.ended is Ended.REFUSED
    assert "there is no history between" in bisected.text


def test_other_questions_are_asked_of_the_same_head(world: World) -> None:
    world()
    (world.home / "small.config").write_text("CONFIG_KVM_SW_PROTECTED_VM=y\n# changed\n")
    assert world() == 0, world.err
    assert len(world.nights()) == 2
    assert world.head().state is HeadState.FIRST


# --- with the real bisection ----------------------------------------------------------------------


def test_a_night_finds_the_commit_and_proves_it(world: World) -> None:
    world.bisect(bisect)
    world()
    for number in range(3):
        world.harmless("alpha", number)
    culprit = world.break_it(subject="KVM: tidy up")
    world.harmless("alpha", 3)
    assert world() == ExitStatus.BAD, world.err
    (bisected,) = world.head().bisected
    assert (bisected.ended, bisected.culprits) == (Ended.PROVEN, (culprit,)), bisected.text
    assert bisected.run is not None
    assert (world.runs / bisected.run / "bisect.html").is_file()
    assert world.err.count("checking out") <= 10, "its ends were built already"
    assert "Test Author" in bisected.author


def test_a_bisection_that_was_broken_off_goes_on_in_the_same_night(world: World) -> None:
    world.bisect(bisect)
    world()
    for number in range(3):
        world.harmless("alpha", number)
    culprit = world.break_it()
    boots = len(world.fake.calls)

    def interrupt(guest: Guest, facts: Mapping[str, Any]) -> Guest:
        if len(world.fake.calls) > boots + 4:
            raise Interrupted
        return by_header(guest, facts)

    world.fake.change = interrupt
    assert world() == ExitStatus.INTERRUPTED
    before = world.run_folders()
    assert any("bisect" in run.name for run in before)
    world.fake.change = by_header
    assert world() == ExitStatus.BAD, world.err
    assert world.run_folders() == before
    assert world.head().bisected[0].culprits == (culprit,)
    assert all(is_finished(run) for run in before)


# --- trouble --------------------------------------------------------------------------------------


def test_one_tree_s_trouble_does_not_stop_the_others(world: World) -> None:
    world()
    (world.home / "alpha").rename(world.home / "away")
    world.harmless("beta", 1)
    assert world() == 0, world.err
    (night, _) = world.nights("alpha")
    assert "alpha is missing: give a kernel's git repository" in night.trouble
    assert "could not be looked at" in world.out
    assert world.head("beta").state is HeadState.GOOD
    assert "alpha is missing" in world.page()
    assert "1 could not be tested" in subject_of(world.mails()[-1])
    (world.home / "away").rename(world.home / "alpha")
    assert world() == 0
    assert "alpha: no change" in world.out, "the good night before still counts"


def subject_of(mail: Path) -> str:
    parsed = email.message_from_bytes(mail.read_bytes(), policy=email.policy.default)
    return str(parsed["Subject"])


def test_trouble_with_every_tree_is_our_trouble(world: World) -> None:
    for name in ("alpha", "beta"):
        (world.home / name).rename(world.home / f"{name}-away")
    assert world() == ExitStatus.BAD_TREE
    assert world.page().count("is missing") >= 2


def test_a_regression_counts_though_another_tree_is_in_trouble(world: World) -> None:
    world()
    (world.home / "beta").rename(world.home / "away")
    world.break_it()
    assert world() == ExitStatus.BAD


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ('fragments = ["nothing"]', "there is no Kconfig fragment 'nothing'"),
        ('refs = ["nope"]', "has no commit called 'nope'"),
        ('kselftests = ["kvm"]', "kvm"),
    ],
)
def test_a_mistake_in_one_tree_s_settings_is_told_in_its_row(
    world: World, key: str, said: str
) -> None:
    world.trees = world.trees.replace('"alpha"\n', f'"alpha"\n{key}\n')
    assert world() == 0, world.err
    assert said in world.nights("alpha")[0].trouble
    assert world.head("beta").state is HeadState.FIRST


def test_a_lost_guest_is_trouble_and_asked_again_the_next_night(world: World) -> None:
    world()
    sha = world.harmless("alpha", 1)
    world.fake.change = lambda guest, facts: guest.model_copy(update={"end": GuestEnd.LOST})
    assert world() == 0, world.err
    assert world.head().state is HeadState.TROUBLE
    world.fake.change = by_header
    assert world() == 0, world.err
    assert (world.head().commit, world.head().state) == (sha, HeadState.GOOD)


def test_one_head_s_trouble_does_not_stop_the_tree_s_other_heads(world: World) -> None:
    world.kernels["alpha"].git("branch", "stable")
    world.trees = world.trees.replace('"alpha"\n', '"alpha"\nrefs = ["master", "stable"]\n')
    world.break_it()

    def fails(guest: Guest, facts: Mapping[str, Any]) -> Guest:
        if "GUEST_MEMFD_FLAG_BROKEN" in facts["flags"]:
            raise OSError(5, "Input/output error", "console.log")
        return by_header(guest, facts)

    world.fake.change = fails
    assert world() == 0, world.err
    heads = {head.ref: head for head in world.nights()[0].heads}
    assert heads["master"].state is HeadState.TROUBLE
    assert "Input/output error" in heads["master"].headline
    assert heads["stable"].state is HeadState.FIRST
    world.fake.change = by_header
    world()
    assert [head.ref for head in world.nights()[0].heads] == ["master"], "asked again"


def test_a_kconfig_that_does_not_parse_is_nobody_s_trouble(world: World) -> None:
    world()
    makefile = world.kernels["alpha"].repo / "Makefile"
    # The tree's own conf refuses it as well, in the words of scripts/kconfig/parser.y.
    text = makefile.read_text().replace(
        "\t@cp $(KCONFIG_ALLCONFIG) $(KCONFIG_CONFIG)",
        "\t@! grep -q boole $(SRC)/Kconfig"
        " || { echo 'Kconfig:13: syntax error' >&2; exit 1; }; \\\n"
        "\tcp $(KCONFIG_ALLCONFIG) $(KCONFIG_CONFIG)",
    )
    makefile.write_text(text)
    old, new = 'config EXPERT\n\tbool "Expert"', "config EXPERT\n\tboole"
    world.commit("alpha", "Kconfig", old, new)
    assert world() == 0, world.err
    assert world.head().state is HeadState.UNTESTABLE
    assert "the tree's Kconfig does not parse" in world.out
    assert world() == 0
    assert "alpha: no change" in world.out, "it would be said again"


def test_a_head_that_does_not_build_is_bad_and_no_base(world: World) -> None:
    world()
    good = world.head().commit
    world.commit("alpha", GMEM, "return GUEST_MEMFD_FLAG_MMAP |", "return undeclared |")
    world.bisect(fail(UserError("no")))
    assert world() == ExitStatus.BAD, world.err
    assert [one.question for one in world.head().bisected] == ["build"]
    world.commit("alpha", GMEM, "return undeclared |", "return GUEST_MEMFD_FLAG_MMAP |")
    assert world() == 0
    assert world.head().base == good


@pytest.mark.parametrize(
    ("error", "ended", "again"),
    [
        (UserError("the good end is bad"), Ended.REFUSED, False),
        (InfraError("the disk is on fire"), Ended.TROUBLE, True),
        (OSError(5, "Input/output error", "x"), Ended.TROUBLE, True),
    ],
)
def test_a_bisection_that_fails_is_told_and_asked_again_after_our_trouble(
    world: World, error: Exception, ended: Ended, again: bool
) -> None:
    world()
    world.break_it()
    world.bisect(fail(error))
    assert world() == ExitStatus.BAD, world.err
    assert [one.ended for one in world.head().bisected] == [ended]
    assert str(error) in " ".join(world.out.split())
    world.bisect(walk)
    assert world() == 0, "it was told before"
    assert len(world.nights()) == (3 if again else 2)
    assert (world.head().bisected[0].ended is Ended.PROVEN) is again


def test_no_more_bisections_than_allowed(world: World) -> None:
    world.nightly["bisections"] = "0"
    world()
    world.break_it()
    assert world() == ExitStatus.BAD
    assert world.head().bisected == ()


def test_without_trees_there_is_nothing_to_do(world: World) -> None:
    world.trees = ""
    assert world() == ExitStatus.USAGE
    assert "there is no tree to look at" in world.err


# --- what stays -----------------------------------------------------------------------------------


def age(run: Path) -> None:
    """As if it had been a year."""
    then = (run / "run.json").stat().st_mtime - 365 * 86400
    os.utime(run / "run.json", (then, then))


def test_the_runs_of_the_newest_nights_stay_and_older_ones_go(world: World) -> None:
    world.nightly |= {"nights": "2"}
    world.trees = world.trees.split('[[nightly.trees]]\nname = "beta"')[0]
    world()
    world.break_it()
    world()
    bisection = world.head().bisected[0].run
    for number in range(2):
        world.harmless("alpha", number)
        world()
    (first, *_) = (night.run for night in reversed(world.nights()))
    for run in world.run_folders():
        age(run)
    world.harmless("alpha", 5)
    world.nightly |= {"gc": "true"}
    world()
    left = {run.name for run in world.run_folders()}
    newest = [night.run for night in world.nights()[:2]]
    assert left == {*newest, bisection}, (
        "the failure that is still there was bisected in an old one"
    )
    assert f"../{first}" not in world.page()
    links = re.findall(r'href="\.\./([^/"]+)/', world.page())
    assert {*links} == left


def test_the_page_is_the_same_for_the_same_nights(world: World) -> None:
    world()
    world.break_it()
    world()
    files = {
        path: path.read_bytes() for path in (world.runs / "nightly").rglob("*") if is_told(path)
    }
    for path in (world.runs / "nightly").glob("index.html"):
        path.unlink()
    world()
    assert {path: path.read_bytes() for path in files} == files


def is_told(path: Path) -> bool:
    return path.suffix in (".html", ".eml", ".txt", ".json")


def test_strangers_words_act_nowhere(world: World) -> None:
    name = "<b>alpha</b>\u202e"
    world.trees = world.trees.replace('"alpha"', json.dumps(name))
    world()
    hostile = "<script>alert(1)</script> \x1b[2J {{ 7 * 7 }}"
    world.break_it(subject=hostile)

    def says(guest: Guest, facts: Mapping[str, Any]) -> Guest:
        guest = by_header(guest, facts)
        cases = [case.model_copy(update={"message": hostile}) for case in guest.cases]
        return guest.model_copy(update={"cases": tuple(cases)})

    world.fake.change = says
    assert world() == ExitStatus.BAD, world.err
    page, mail = world.page(), world.mails()[-1].read_bytes()
    assert "<script" not in page
    assert "<b>alpha" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for text in (page, mail.decode(), world.out):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "{{ 7 * 7 }}" in text
    assert (world.runs / "nightly/b-alpha-b").is_dir()


def test_the_draft_is_a_mail_and_has_no_sender(world: World) -> None:
    world.nightly["to"] = '["KVM <kvm@example.org>", "no address\\nBcc: x@example.org"]'
    world()
    world.break_it()
    world()
    mail = email.message_from_bytes(world.mails()[-1].read_bytes(), policy=email.policy.default)
    assert str(mail["To"]) == "KVM <kvm@example.org>"
    assert mail["From"] is None
    assert mail["Bcc"] is None
    assert re.fullmatch(r"\[nightly\] \d{4}-\d\d-\d\d: 1 new failure", str(mail["Subject"]))
    assert max(map(len, mail.get_content().splitlines())) <= 78


def test_a_template_of_the_user_s_that_is_none_is_told_before_any_work(world: World) -> None:
    folder = world.home / "templates"
    folder.mkdir()
    (folder / "nightly.html.j2").write_text("{% for %}")
    world.extra = f"templates = {json.dumps(str(folder))}\n"
    assert world() == ExitStatus.USAGE
    assert "nightly.html.j2:1" in world.err
    assert world.fake.calls == []
    (folder / "nightly.html.j2").write_text("{{ trees[0].name }} as I like it")
    assert world() == 0
    assert world.page() == "alpha as I like it"


# --- killed, and two at once ----------------------------------------------------------------------


def test_an_interrupted_night_goes_on_where_it_was(world: World) -> None:
    world()
    world.harmless("alpha", 1)
    culprit = world.break_it("beta")

    def interrupt(*rest: object) -> BisectRun:
        raise Interrupted

    world.bisect(interrupt)
    assert world() == ExitStatus.INTERRUPTED
    assert world.nights("alpha")[0].done
    assert not world.nights("beta")[0].done
    boots, runs = len(world.fake.calls), world.run_folders("nightly")
    world.bisect(walk)
    assert world() == ExitStatus.BAD, world.err
    assert len(world.fake.calls) == boots, "nothing is asked twice"
    assert world.run_folders("nightly") == runs
    assert all(is_finished(run) for run in runs)
    assert [len(world.nights(tree)) for tree in ("alpha", "beta")] == [2, 2]
    assert world.head("beta").bisected[0].culprits == (culprit,)
    text = world.mails()[-1].read_text()
    assert "alpha" in text and "beta" in text, "one mail tells of the whole night"
    assert len(world.mails()) == 2
    assert not (world.runs / "nightly/tonight.json").exists()


def is_finished(run: Path) -> bool:
    state = read_state(run)
    return state is not None and state.finished
