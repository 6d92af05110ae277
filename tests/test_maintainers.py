# SPDX-License-Identifier: GPL-2.0-or-later
"""get_maintainer.pl of a tree, in the sandbox; the script is a stand-in that checks its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from kverdict.maintainers import Recipients, maintainers_of, read_roles
from kverdict.progress import Silent
from kverdict.sandbox import Isolation
from kverdict.trees import open_tree
from tests.repos import KERNEL, Kernel, kernel

# As the real one: it knows the top of a tree by these, and reads the patch from stdin.
SCRIPT = """
my @files = ("COPYING", "CREDITS", "Kbuild", "MAINTAINERS", "Makefile", "README");
my @folders = ("Documentation", "arch", "include", "drivers", "fs", "init", "ipc", "kernel", "lib");
foreach my $f (@files) { -f $f or die "no $f" }
foreach my $d (@folders, "scripts") { -d $d or die "no $d" }
die "no file: $_" for grep { !/^--/ } @ARGV;
die "options" unless grep { $_ eq "--no-git" } @ARGV;
my @touched = grep { /^\\+\\+\\+ b/ } <STDIN>;
print "Paolo Bonzini <pbonzini\\@redhat.com> (maintainer:KVM)\\n" if "@touched" =~ /virt/;
print "kvm\\@vger.kernel.org (open list:KVM)\\n";
open(my $out, '>', "written") and die "the tree can be written to";
"""


def tree_with(tmp_path: Path, script: str) -> Kernel:
    names = ("COPYING", "CREDITS", "Kbuild", "MAINTAINERS", "README")
    files = {**KERNEL, **dict.fromkeys(names, "x\n"), "scripts/get_maintainer.pl": script}
    return kernel(tmp_path / "linux", files)


def ask(made: Kernel) -> Recipients:
    tree = open_tree(str(made.path), cache=made.path.parent / "cache", progress=Silent())
    sha = made.commit("change", {"virt/kvm/guest_memfd.c": "new\n"})
    return maintainers_of(tree.repo, sha, isolation=Isolation.BUBBLEWRAP)


@pytest.mark.host
def test_the_tree_s_own_script_is_asked(tmp_path: Path) -> None:
    assert ask(tree_with(tmp_path, SCRIPT)) == Recipients(
        people=("Paolo Bonzini <pbonzini@redhat.com>",), lists=("kvm@vger.kernel.org",)
    )


@pytest.mark.host
def test_a_script_that_fails(tmp_path: Path) -> None:
    found = ask(tree_with(tmp_path, "die 'no idea';"))
    assert found.people == () and "scripts/get_maintainer.pl failed: no idea" in found.note


def test_a_tree_without_it(tmp_path: Path) -> None:
    assert "this tree has no scripts/get_maintainer.pl" in ask(kernel(tmp_path / "linux")).note


def test_roles() -> None:
    text = """Sean Christopherson <seanjc@google.com> (supporter:KVM (x86),commit_signer:3/4=75%)
"O'Neil (he), Pat" <pat@example.org> (reviewer:KVM)
kvm@vger.kernel.org (open list:KERNEL VIRTUAL MACHINE (KVM))
linux-coco@lists.linux.dev (moderated list:COCO)
linux-kernel@vger.kernel.org (open list)
not a line of it
"""
    assert read_roles(text) == Recipients(
        people=("Sean Christopherson <seanjc@google.com>", '"O\'Neil (he), Pat" <pat@example.org>'),
        lists=(
            "kvm@vger.kernel.org",
            "linux-coco@lists.linux.dev",
            "linux-kernel@vger.kernel.org",
        ),
    )
    assert len(read_roles("a@b.c (maintainer:X)\n" * 500).people) == 100
