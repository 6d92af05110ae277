# SPDX-License-Identifier: GPL-2.0-or-later
"""Each attack of the corpus is built for real, on a host full of canaries.

Whatever it does: no canary is touched, no secret is in a log or in the object tree, no process is
left, the object tree can be removed, and it ends with one line of words.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from kverdict.errors import KverdictError
from kverdict.progress import Silent
from kverdict.runs import discard
from kverdict.sandbox import Sandbox, default_limits
from kverdict.stages import build as building
from kverdict.stages import configure as configuring
from kverdict.stages import kmake
from kverdict.stages.build import build
from kverdict.stages.configure import configure
from tests.fakekernel import FAKELINUX
from tests.hostile.builds.attacks import CORPUS, Attack, Met, Where, only
from tests.hostile.builds.host import Host, host

pytestmark = pytest.mark.host

LOG_LIMIT = 4 << 20  # bytes, so that what prints without end is soon ended


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    # pytest's folders are for their owner alone; what protects the canaries must be the sandbox.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    with host(tmp_path) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        shutil.copytree(FAKELINUX, made.src)
        made.obj.mkdir()
        (made.obj / ".config").write_text("CONFIG_KVM=y\n")
        (made.root / "small.config").write_text("CONFIG_KVM=y\n")
        yield made


def script_of(attack: Attack, host: Host, *, outside: bool = False) -> str:
    places = host.places(outside=outside)
    if attack.language == "python":
        del places["pids"]  # Python lists them itself
        prelude = [f"{name} = {value!r}" for name, value in places.items()]
    else:
        prelude = [f'{name}="{value}"' for name, value in places.items()]
    return "\n".join((*prelude, attack.script, ""))


def plant(attack: Attack, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change that a patch would make to the tree, or to what runs in its sandbox."""
    name = f"attack.{'py' if attack.language == 'python' else 'sh'}"
    (host.src / name).write_text(script_of(attack, host))
    command = f"{'/usr/bin/python3 -I' if attack.language == 'python' else 'sh'} /src/{name}"
    makefile, kconfig = host.src / "Makefile", host.src / "Kconfig"
    match attack.where:
        case Where.CHILD:
            child = ["/usr/bin/python3", "-I", f"/src/{name}"]
            monkeypatch.setattr(configuring, "python_command", lambda module: child)
        case Where.RECIPE:
            _insert(makefile, "vmlinux: $(OBJECTS)\n", f"\t@{command}\n")
        case Where.AFTER:
            _insert(makefile, "\t@cp $< $@\n", f"\t@{command}\n")
        case Where.PARSED:
            _insert(makefile, "VERSION = 7\n", f"ATTACK := $(shell {command})\n")
        case Where.CONF:
            _insert(makefile, "olddefconfig:\n\t@$(REFUSE)\n\t@$(COMPLETE)\n", f"\t@{command}\n")
        case Where.KCONFIG:
            default = f'config ATTACK\n\tstring\n\tdefault "$(shell,{command})"\n\n'
            _insert(kconfig, 'Kernel Configuration"\n', f"\n{default}")


def _insert(path: Path, after: str, text: str) -> None:
    content = path.read_text()
    assert content.count(after) == 1
    path.write_text(content.replace(after, after + text))


@dataclass(frozen=True)
class Ended:
    """How the stages ended; ``words`` is everything that anybody would be shown."""

    met: Met
    message: str
    words: str


def attacked(host: Host, attack: Attack) -> Ended:
    """Configures and builds the tree as the engine does it, each attack up to its own stage."""
    log = host.root / "build.log"
    try:
        if attack.where not in (Where.RECIPE, Where.AFTER):
            proof = configure(host.src, host.obj, [host.root / "small.config"], progress=Silent())
            if attack.where is not Where.PARSED:
                return Ended(Met.CONFIGURED, "", proof.to_json())
        limit = attack.seconds
        made = build(
            host.src, host.obj, log=log, ccache=None, jobs=2, progress=Silent(), limit=limit
        )
    except KverdictError as error:
        return Ended(Met.TROUBLE, str(error), f"{error}\n{error.detail}")
    if made.ok:
        return Ended(Met.BUILT, "", made.to_json())
    first = made.first_error
    assert first is not None
    return Ended(Met.FAILED, f"{first.file}:{first.line}: {first.message}", made.to_json())


def limited(attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = replace(default_limits(), **attack.limits)
    monkeypatch.setattr(kmake, "Sandbox", partial(Sandbox, limits=limits))
    monkeypatch.setattr(building, "LOG_LIMIT", LOG_LIMIT)


@pytest.mark.parametrize("attack", CORPUS, ids=lambda attack: attack.name)
def test_an_attack_gets_nothing(
    target: Host, attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(attack, target, monkeypatch)
    limited(attack, monkeypatch)
    target.remember()
    ended = attacked(target, attack)
    log = target.root / "build.log"
    said = log.read_text(errors="backslashreplace") if log.is_file() else ""

    assert target.still_at_work() == []
    assert target.touched() == []
    assert "ESCAPED" not in said + ended.words, said
    assert target.secret not in ended.words
    assert target.leaks(*(path for path in (log, target.obj) if path.exists())) == ""
    assert ended.met is attack.met, (ended, said[-2000:])
    assert re.search(attack.says, ended.message), ended.message
    assert "\n" not in ended.message
    if ended.met is not Met.FAILED:  # what a compiler says is made visible where it is shown
        assert ended.message.isprintable()
    assert len(ended.message) < 1000
    assert log.stat().st_size <= LOG_LIMIT if log.exists() else True
    _nobody_becomes_root_by_it(target.obj)
    discard(target.obj)
    assert not target.obj.exists()


def _nobody_becomes_root_by_it(obj: Path) -> None:
    """A set-uid file of root's would be the end; a user's is out of reach, see test_poison.py."""
    rooted = ["find", str(obj), "-perm", "/6000", "-uid", "0", "-type", "f"]
    assert subprocess.run(rooted, capture_output=True, text=True, check=False).stdout == ""


@pytest.mark.parametrize(
    "attack", only(lambda attack: attack.control), ids=lambda attack: attack.name
)
def test_the_same_attack_succeeds_outside(target: Host, attack: Attack) -> None:
    """On the canaries alone; if it could not, the test above would prove nothing."""
    outside = target.root / "outside"
    outside.mkdir()
    target.remember()
    script = outside / "attack"
    script.write_text(script_of(attack, target, outside=True))
    shell = ["/usr/bin/python3", "-I"] if attack.language == "python" else ["sh"]
    done = subprocess.run(
        [*shell, str(script)],
        cwd=outside,
        env={"PATH": os.environ["PATH"], **target.environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert "ESCAPED" in said or target.secret in said or target.touched_within(30), said


@pytest.mark.parametrize(
    "attack",
    only(lambda attack: attack.name.startswith("dot-config")),
    ids=lambda attack: attack.name,
)
def test_the_next_configuration_is_not_led_astray(
    target: Host, attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(attack, target, monkeypatch)
    attacked(target, attack)
    shutil.rmtree(target.src)
    shutil.copytree(FAKELINUX, target.src)
    target.remember()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, most))  # a giant is not read into memory
    try:
        configure(target.src, target.obj, [target.root / "small.config"], progress=Silent())
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    left = target.obj / ".config"
    assert stat.S_ISREG(left.lstat().st_mode)
    assert "CONFIG_KVM=y" in left.read_text()
    assert target.touched() == []
