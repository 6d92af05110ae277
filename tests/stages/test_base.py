# SPDX-License-Identifier: GPL-2.0-or-later
"""The choice of a base, over real repositories: who wins, and what is recorded."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kverdict import models
from kverdict.errors import ExitStatus, PatchError, UserError
from kverdict.progress import Silent
from kverdict.stages.base import choose_base, preimages
from kverdict.trees import Tree, open_tree
from tests import factories
from tests.repos import Kernel, git, kernel, mbox

SENT = "2025-11-14T15:18:41+00:00"  # when the series of these tests are dated
EARLIER, LATER = "2025-11-10T10:00:00+00:00", "2025-12-24T10:00:00+00:00"


@dataclass
class World:
    """A tree in which main went on after the series was made on ``base``."""

    linux: Kernel
    tree: Tree
    folder: Path
    base: str
    tip: str

    def choose(
        self,
        *,
        user: str | None = None,
        refs: Sequence[str] = ("main",),
        find: Callable[[str], bytes | None] | None = None,
        options: Sequence[str] = (),
        **changes: object,
    ) -> models.BaseChoice:
        series = factories.series(patches=self.linux.patches(self.base, self.tip), **changes)
        path = mbox(self.folder, self.linux.mails(self.base, self.tip, *options))
        return choose_base(
            series,
            path,
            self.tree,
            user_base=user,
            guess_refs=refs,
            progress=Silent(),
            find_prerequisite=find,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    """main: root, base, and later one that conflicts; the series is on a branch from base."""
    linux = kernel(tmp_path / "linux")
    base = linux.replace("mm: base", "mm/util.c", "util 5", "util five", **at(EARLIER))
    git(linux.path, "checkout", "--quiet", "-b", "series")
    linux.replace("mm: one", "mm/util.c", "util 20", "util twenty", **at(SENT))
    tip = linux.commit("mm: two", {"mm/new.c": "new\n"}, **at(SENT))
    git(linux.path, "checkout", "--quiet", "main")
    linux.replace("mm: other", "mm/util.c", "util 20", "util 20 changed", **at(LATER))
    tree = open_tree(str(linux.path), cache=tmp_path / "cache", progress=Silent())
    return World(linux, tree, tmp_path, base, tip)


def at(date: str) -> dict[str, str]:
    return {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}


def test_the_named_base_commit_is_taken(world: World) -> None:
    chosen = world.choose(base_commit=world.base)
    assert (chosen.how, chosen.sha, chosen.ref) == (
        models.BaseHow.BASE_COMMIT,
        world.base,
        world.base,
    )
    assert (chosen.blobs_matched, chosen.blobs_total) == (1, 1)
    assert chosen.description == "7.2.12"
    assert [(a.applies, a.note) for a in chosen.attempts] == [(True, "applies")]


def test_an_absent_base_commit_is_recorded_and_a_guess_made(world: World) -> None:
    absent = "dead" * 10
    chosen = world.choose(base_commit=absent)
    assert (chosen.how, chosen.sha, chosen.ref) == (models.BaseHow.GUESS, world.base, "main")
    first, second = chosen.attempts
    assert (first.how, first.sha, first.applies) == (models.BaseHow.BASE_COMMIT, None, None)
    assert "does not have it" in first.note
    assert (second.sha, second.applies, second.blobs_matched) == (world.base, True, 1)


def test_the_users_base_wins(world: World) -> None:
    git(world.linux.path, "tag", "here", world.base)
    other = world.linux.sha(f"{world.base}~1")
    chosen = world.choose(user="here~1", base_commit=world.base, options=("--full-index",))
    assert (chosen.how, chosen.sha, chosen.ref) == (models.BaseHow.USER, other, "here~1")
    assert chosen.blobs_matched == 0
    assert [(a.how, a.sha, a.applies) for a in chosen.attempts] == [
        (models.BaseHow.BASE_COMMIT, world.base, None),
        (models.BaseHow.USER, other, True),
    ]


def test_the_users_base_is_never_replaced(world: World) -> None:
    with pytest.raises(PatchError) as caught:
        world.choose(user="main", base_commit=world.base)
    assert caught.value.status is ExitStatus.UNTESTABLE
    assert "patch 1/2 'mm: one' does not apply" in caught.value.problem
    assert "mm/util.c, hunk @@ -17,7 +17,7 @@" in caught.value.problem
    assert "    the patch expects:   util 20\n" in caught.value.detail
    assert "    the tree has there:  util 20 changed\n" in caught.value.detail
    assert "base-commit trailer" in caught.value.detail


def test_an_unknown_base_of_the_user(world: World) -> None:
    git(world.linux.path, "tag", "v7.2.12")
    with pytest.raises(UserError, match=r"no commit called 'v7.2.1': did you mean v7.2.12\?") as e:
        world.choose(user="v7.2.1")
    assert e.value.status is ExitStatus.UNKNOWN_REVISION


def test_a_guess_takes_the_newest_state_with_all_blobs(world: World) -> None:
    """What came later and does not touch the files is newer, and as good."""
    git(world.linux.path, "checkout", "--quiet", "-b", "quiet", world.base)
    newest = world.linux.commit("virt: elsewhere", {"virt/x.c": "x\n"}, **at(LATER))
    assert world.choose(refs=("quiet",)).sha == newest


def test_a_guess_looks_at_named_refs_only(world: World) -> None:
    root = world.linux.sha("main~2")
    git(world.linux.path, "branch", "old", root)
    chosen = world.choose(refs=("missing", "old"), options=("--full-index",))
    assert (chosen.ref, chosen.sha, chosen.blobs_matched) == ("old", root, 0)
    assert world.choose(refs=("old", "main")).sha == world.base


def test_a_merged_patch_is_told(world: World) -> None:
    """A changed context: only a 3-way merge applies the patch."""
    git(world.linux.path, "checkout", "--quiet", "-b", "context", world.base)
    world.linux.replace("mm: near", "mm/util.c", "util 18", "util 18.5")
    chosen = world.choose(user="context", options=("--full-index",))
    assert chosen.attempts[-1].note == "applies, patch 1 by a 3-way merge"


def test_when_nothing_applies_the_closest_is_explained(world: World) -> None:
    git(world.linux.path, "checkout", "--quiet", "--orphan", "other")
    world.linux.commit("unrelated", {"mm/util.c": "nothing\n"}, **at(EARLIER))
    with pytest.raises(PatchError) as caught:
        world.choose(refs=("other",))
    assert "mm/util.c, hunk @@ -17,7 +17,7 @@" in caught.value.problem
    assert "guessed by preimage blobs other: patch 1 does not apply" in caught.value.detail


def test_no_ref_at_all(world: World) -> None:
    with pytest.raises(PatchError, match="no commit is there to apply the series to"):
        world.choose(refs=("missing",))


def test_a_series_of_new_files(world: World) -> None:
    git(world.linux.path, "checkout", "--quiet", "-b", "fresh", "main")
    world.base, world.tip = (
        world.linux.sha("main"),
        world.linux.commit("new only", {"mm/other.c": "x\n"}),
    )
    chosen = world.choose()
    assert (chosen.sha, chosen.blobs_total) == (world.linux.sha("main"), 0)


def test_a_range_needs_no_choice(world: World) -> None:
    chosen = world.choose(
        kind=models.SourceKind.REV_RANGE,
        asked="main~1..series",
        rev_range=(world.base, world.tip),
        user="main",
    )
    assert (chosen.how, chosen.sha) == (models.BaseHow.RANGE, world.base)
    assert (chosen.blobs_matched, chosen.blobs_total) == (1, 1)


# --- prerequisites ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Needed:
    """A patch that the series of the world was made upon, in no ref of the tree."""

    patch_id: str
    mail: bytes


def with_prerequisite(world: World) -> Needed:
    git(world.linux.path, "checkout", "--quiet", "--detach", world.base)
    needed = world.linux.replace("mm: needed", "mm/util.c", "util 21", "util 21 needed")
    world.tip = world.linux.replace("mm: one", "mm/util.c", "util 22", "util 22 new")
    mail = world.linux.mails(world.base, needed)
    done = subprocess.run(
        ["git", "patch-id", "--stable"], input=mail, capture_output=True, check=True
    )
    world.base = needed
    return Needed(done.stdout.split()[0].decode(), mail)


def test_a_prerequisite_is_applied_first(world: World) -> None:
    base, needed = world.base, with_prerequisite(world)
    chosen = world.choose(
        base_commit=base,
        prerequisite_patch_ids=(needed.patch_id,),
        find={needed.patch_id: needed.mail}.get,
    )
    assert chosen.ref == base
    assert chosen.sha != base
    commit = world.tree.commit(chosen.sha)
    assert (commit.subject, commit.parents) == ("mm: needed", (base,))
    assert (chosen.blobs_matched, chosen.blobs_total) == (1, 1)
    (told,) = chosen.prerequisites
    assert told.patch_id == needed.patch_id
    assert told.state.startswith("applied from <")


def test_a_prerequisite_that_the_base_has(world: World) -> None:
    needed = with_prerequisite(world)
    git(world.linux.path, "branch", "applied", world.base)
    chosen = world.choose(base_commit=world.base, prerequisite_patch_ids=(needed.patch_id,))
    assert chosen.sha == world.base
    assert [item.state for item in chosen.prerequisites] == ["in base"]


def test_a_missing_prerequisite_is_not_passed_over(world: World) -> None:
    base, needed = world.base, with_prerequisite(world)
    with pytest.raises(PatchError, match=f"needs the patch {needed.patch_id}"):
        world.choose(
            base_commit=base,
            prerequisite_patch_ids=(needed.patch_id,),
            find=lambda _: None,
        )


def test_a_wrong_mail_for_a_prerequisite_is_not_taken(world: World) -> None:
    base, needed = world.base, with_prerequisite(world)
    wrong = needed.mail.replace(b"util 21 needed", b"util 21 evil")
    with pytest.raises(PatchError, match="needs the patch"):
        world.choose(
            base_commit=base,
            prerequisite_patch_ids=(needed.patch_id,),
            find=lambda _: wrong,
        )


def test_the_users_base_is_tried_without_a_missing_prerequisite(world: World) -> None:
    needed = with_prerequisite(world)
    git(world.linux.path, "checkout", "--quiet", "-b", "squashed", world.base)
    git(world.linux.path, "reset", "--quiet", "--soft", "HEAD~2")
    world.linux.commit("squashed: the id is another", {})
    chosen = world.choose(user="squashed", prerequisite_patch_ids=(needed.patch_id,))
    assert [item.state for item in chosen.prerequisites] == ["not found"]
    assert chosen.attempts[-1].note == f"applies, without prerequisite {needed.patch_id[:12]}"


# --- preimages ----------------------------------------------------------------------------------


def change(old: str, blob: str, new: str) -> models.BlobChange:
    return models.BlobChange(old_path=old, preimage=blob, new_path=new)


def test_only_the_first_touch_of_a_path_speaks_of_the_base() -> None:
    patches = [
        factories.patch(1, blobs=(change("a", "1111111", "a"), change("new", "0000000", "new"))),
        factories.patch(2, blobs=(change("a", "2222222", "b"), change("new", "3333333", "new"))),
        factories.patch(3, blobs=(change("b", "4444444", "b"), change("c", "5555555", "c"))),
    ]
    assert preimages(patches) == {"a": "1111111", "c": "5555555"}
