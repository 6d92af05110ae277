# SPDX-License-Identifier: GPL-2.0-or-later
"""A stranger's build that wants to be in the next series' kernel.

What it plants works: shown first where the commit counts as the user's own, whose objects and
ccache are used again.  For a stranger's commit the next kernel is the one that a machine without
any history builds.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from kverdict.evaluate import Engine, recipe_of
from kverdict.objects import object_tree
from kverdict.progress import Silent
from kverdict.stages.boot import Limits
from kverdict.trees import open_tree
from tests.fakekernel import GMEM, FakeKernel
from tests.hostile.builds.host import users_of

pytestmark = pytest.mark.host

_EVIL = """
unsigned long long kvm_gmem_flags(void);
unsigned long long kvm_gmem_flags(void) { return 0xe71100e71100ULL; }
"""
_SOURCE = f"cat > /tmp/evil.c <<'END'{_EVIL}END\n"
_COMPILE = "-Wall -ffreestanding -fno-stack-protector -I/src/include/uapi -c"


@dataclass(frozen=True)
class Poison:
    """``script`` runs when the stranger's kernel is there."""

    name: str
    tries: str
    meets: str
    script: str
    clean: bool = False  # the next build begins without objects, so that ccache gives them


POISONS = (
    Poison(
        "object-of-the-future",
        "leaves an object with a time stamp of 2099, so that make takes it for up to date",
        "the next kernel is as on a new machine",
        f"gcc -c -ffreestanding -o {GMEM[:-2]}.o /tmp/evil.c; touch -d 2099-01-01 {GMEM[:-2]}.o",
    ),
    Poison(
        "linker-of-its-own",
        "leaves a vmlinux and a bzImage of the future, with nothing left to do for make",
        "the next kernel is as on a new machine",
        "gcc -nostdlib -static -ffreestanding -Wl,--build-id=sha1 -Wl,-e,kvm_gmem_flags "
        "-o vmlinux /tmp/evil.c; cp vmlinux arch/x86/boot/bzImage; "
        "find . -exec touch -d 2099-01-01 {} +; "
        "touch -d 2100-01-01 vmlinux; touch -d 2101-01-01 arch/x86/boot/bzImage",
    ),
    Poison(
        "ccache",
        "has ccache compile the next kernel's source with a compiler of its own, of the same size "
        "and time stamp, so that the evil object is found under the honest source's name",
        "the next kernel is as on a new machine",
        "mkdir /tmp/evil; real=$(readlink -f /usr/bin/gcc); cat > /tmp/evil/gcc <<'END'\n"
        "#!/bin/sh\n"
        'case " $* " in *" -E "*) ;; *) for a; do shift; case $a in *guest_memfd.c) '
        'a=/tmp/evil.c;; esac; set -- "$@" "$a"; done;; esac; exec /usr/bin/gcc "$@"\n'
        "exit\n"
        "END\n"
        "chmod 755 /tmp/evil/gcc; truncate -s $(stat -c %s $real) /tmp/evil/gcc; "
        "touch -r $real /tmp/evil/gcc; unset CCACHE_READONLY CCACHE_NOSTATS CCACHE_TEMPDIR; "
        f"CCACHE_RECACHE=1 PATH=/tmp/evil:$PATH ccache gcc {_COMPILE} "
        f"-o {GMEM[:-2]}.o /src/{GMEM} || true",
        clean=True,
    ),
)


@dataclass(frozen=True)
class Machine:
    """An engine with a cache of its own, on a tree with a stranger's and an honest commit."""

    engine: Engine
    base: str
    stranger: str
    next: str

    @classmethod
    def create(cls, home: Path, poison: Poison) -> Machine:
        kernel = FakeKernel.create(home / "linux")
        base = kernel.git("rev-parse", "HEAD").strip()
        evil = home / "linux/evil.sh"
        evil.write_text(f"{_SOURCE}{poison.script}\n")
        makefile = home / "linux/Makefile"
        done = "bzImage: arch/x86/boot/bzImage\n"
        makefile.write_text(makefile.read_text().replace(done, f"{done}\t@sh $(SRC)/evil.sh\n"))
        stranger = cls._commit(kernel)
        kernel.git("reset", "-q", "--hard", base)
        main = home / "linux/init/main.c"
        main.write_text(main.read_text().replace("flags = ", "flags = 1 + "))
        return cls(cls._engine(home), base, stranger, cls._commit(kernel))

    @staticmethod
    def _commit(kernel: FakeKernel) -> str:
        kernel.git("add", "-A")
        kernel.git("commit", "-q", "-m", "change")
        kernel.git("branch", f"kept-{kernel.git('rev-parse', 'HEAD').strip()[:12]}")
        return kernel.git("rev-parse", "HEAD").strip()

    @staticmethod
    def _engine(home: Path) -> Engine:
        fragment = home / "small.config"
        fragment.write_text("CONFIG_KVM=y\n")
        return Engine(
            tree=open_tree(str(home / "linux"), cache=home / "cache", progress=Silent()),
            recipe=recipe_of([fragment], "tcg", 0),
            fragments=(fragment,),
            cache=home / "cache",
            jobs=1,
            limits=Limits(),
            progress=Silent(),
        )

    def build(self, commit: str, *, strangers: bool, clean: bool = False) -> str:
        """Digest of the bzImage that the engine makes of a commit."""
        logs = self.engine.cache / f"logs-{commit}"
        logs.mkdir(exist_ok=True)
        with self.engine.line() as line:
            if clean:
                shutil.rmtree(line.slot.obj)
                line.slot.obj.mkdir()
            built = self.engine.build(commit, line, logs, strangers=strangers)
        assert built.build.ok, (logs / "build.log").read_text()
        assert built.build.bzimage_digest is not None
        return built.build.bzimage_digest


@pytest.mark.parametrize("poison", POISONS, ids=lambda poison: poison.name)
@pytest.mark.parametrize("strangers", [False, True], ids=["the user's own", "a stranger's"])
def test_what_a_build_plants_for_the_next_one(
    tmp_path: Path, poison: Poison, strangers: bool
) -> None:
    new = Machine.create(tmp_path / "new", poison)
    pure = new.build(new.next, strangers=True)

    used = Machine.create(tmp_path / "used", poison)
    used.build(used.base, strangers=False)
    used.build(used.stranger, strangers=strangers)
    after = used.build(used.next, strangers=True, clean=poison.clean)
    assert (after == pure) is strangers
    assert list(users_of(tmp_path)) == []


def test_no_other_user_of_the_machine_comes_near_a_stranger_s_objects(tmp_path: Path) -> None:
    """A build may leave set-uid programs there that are, without root, of the user's own uid."""
    machine = Machine.create(tmp_path / "new", POISONS[0])
    with (
        machine.engine.slot() as slot,
        object_tree(slot, strangers=True, progress=Silent()) as obj,
    ):
        ways = [path for path in (obj, *obj.parents) if path.is_relative_to(tmp_path)]
        assert [path for path in ways if not path.stat().st_mode & 0o011], "others can enter it"
