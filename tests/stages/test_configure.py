# SPDX-License-Identifier: GPL-2.0-or-later
"""The configure stage on a kernel tree of a few files, with the real make and sandbox.

Its Makefile only stands in for the kernel's conf; ours against the real one is in tests/e2e.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import pytest

from kverdict.errors import InfraError, PatchError, UserError
from kverdict.kconfig.protocol import Answer, FilePlan, Reply
from kverdict.models import AddedSymbol, ConfigProof, SymbolProof, SymbolState
from kverdict.proc import Finished, ToolMissing
from kverdict.progress import Silent
from kverdict.reach import reach_fragment
from kverdict.stages import configure as configure_stage
from kverdict.stages.configure import compare, configure, plan, read_config

pytestmark = pytest.mark.host

FAKELINUX = Path(__file__).resolve().parent.parent / "fakelinux"


@pytest.fixture
def src(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FAKELINUX, tmp_path / "src"))


@pytest.fixture
def obj(tmp_path: Path) -> Path:
    folder = tmp_path / "obj"
    folder.mkdir()
    return folder


def run(src: Path, obj: Path, *fragments: str) -> ConfigProof:
    """Configures with fragments a.config, b.config, ... of these texts."""
    paths = []
    for name, text in zip("abc", fragments, strict=False):
        paths.append(obj.parent / f"{name}.config")
        paths[-1].write_text(text)
    return configure(src, obj, paths, progress=Silent())


def proof_of(proof: ConfigProof, name: str) -> SymbolProof:
    return next(item for item in proof.asked if item.name == name)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def left(obj: Path) -> list[str]:
    return sorted(path.name for path in obj.iterdir())


def test_a_request_and_what_it_needs(src: Path, obj: Path) -> None:
    proof = run(src, obj, "CONFIG_KVM_SW_PROTECTED_VM=y\nCONFIG_KVM_AMD=y\n")
    assert proof.asked == (
        SymbolProof(
            name="KVM_SW_PROTECTED_VM",
            asked="y",
            got="y",
            state=SymbolState.AS_ASKED,
            fragment="a.config",
            required=True,
        ),
        SymbolProof(
            name="KVM_AMD",
            asked="y",
            got="y",
            state=SymbolState.AS_ASKED,
            fragment="a.config",
            required=True,
        ),
    )
    assert proof.added == (
        AddedSymbol(name="EXPERT", value="y", needed_by="KVM_SW_PROTECTED_VM"),
        AddedSymbol(name="KVM", value="y", needed_by="KVM_SW_PROTECTED_VM"),
        AddedSymbol(name="VIRTUALIZATION", value="y", needed_by="KVM_SW_PROTECTED_VM"),
    )
    assert proof.differing == ()
    assert proof.notes == ()
    assert proof.kernel_version == "7.2.0-fake"
    assert "gcc" in proof.compiler


def test_the_config_is_written_whole_and_nothing_else(src: Path, obj: Path) -> None:
    before = sorted(path for path in src.rglob("*"))
    proof = run(src, obj, 'CONFIG_KVM_AMD=y\nCONFIG_GREETING="say \\"hi\\""\n')
    assert left(obj) == [".config"]
    assert sorted(path for path in src.rglob("*")) == before
    config = (obj / ".config").read_bytes()
    assert proof.digest == hashlib.sha256(config).hexdigest()
    assert set(config.decode().splitlines()) >= {
        "CONFIG_VIRTUALIZATION=y",
        "CONFIG_KVM=y",
        "CONFIG_KVM_COMMON=y",
        "CONFIG_KVM_AMD=y",
        "CONFIG_KVM_GUEST_MEMFD=y",
        "# CONFIG_EXPERT is not set",
        "# CONFIG_MODULES is not set",
        "CONFIG_PREEMPT_NONE=y",
        "CONFIG_LOG_BUF_SHIFT=17",
        'CONFIG_GREETING="say \\"hi\\""',
    }
    assert proof_of(proof, "GREETING").state is SymbolState.AS_ASKED


def test_the_same_again_leaves_the_file_alone(src: Path, obj: Path) -> None:
    first = run(src, obj, "CONFIG_KVM_AMD=y\n")
    before = (obj / ".config").stat()
    assert run(src, obj, "CONFIG_KVM_AMD=y\n") == first
    after = (obj / ".config").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert run(src, obj, "CONFIG_KVM=y\n").digest != first.digest
    assert (obj / ".config").stat().st_mtime_ns != before.st_mtime_ns


def test_what_was_in_the_object_tree_does_not_count(src: Path, obj: Path) -> None:
    (obj / ".config").write_text("CONFIG_EXPERT=y\nCONFIG_NEW_NAME=y\nCONFIG_LOG_BUF_SHIFT=20\n")
    run(src, obj, "CONFIG_KVM=y\n")
    values = read_config((obj / ".config").read_text())
    assert (values["EXPERT"], values["NEW_NAME"], values["LOG_BUF_SHIFT"]) == ("n", "n", "17")


@pytest.mark.parametrize(
    ("fragment", "name", "got", "why"),
    [
        ("CONFIG_BROKEN_DRIVER=y", "BROKEN_DRIVER", "n", "Kconfig:59 needs BROKEN (is n)"),
        ("CONFIG_LOG_BUF_SHIFT=99", "LOG_BUF_SHIFT", "25", "out of range: 12 to 25"),
        (
            "# CONFIG_KVM_COMMON is not set\nCONFIG_KVM=y",
            "KVM_COMMON",
            "y",
            "selected by KVM",
        ),
        ("CONFIG_OLD_NAME=y", "OLD_NAME", "n", "it has a new name: NEW_NAME"),
        (
            "CONFIG_CONDITIONAL=y\n# CONFIG_EXPERT is not set\nCONFIG_KVM=y",
            "CONDITIONAL",
            "n",
            "Kconfig:55 needs EXPERT || KVM = n (EXPERT is n, KVM is y)",
        ),
    ],
)
def test_what_is_not_had_says_why(
    fragment: str, name: str, got: str, why: str, src: Path, obj: Path
) -> None:
    symbol = proof_of(run(src, obj, fragment + "\n"), name)
    assert (symbol.got, symbol.state, symbol.why) == (got, SymbolState.DIFFERS, why)


def test_a_choice_of_dependencies_is_left_to_the_user(src: Path, obj: Path) -> None:
    append(
        src / "Kconfig",
        'config KVM_INTEL\n\tbool "KVM for Intel"\n\tdepends on KVM\n'
        'config ANY_KVM\n\tbool "any"\n\tdepends on KVM_INTEL || KVM_AMD\n',
    )
    proof = run(src, obj, "CONFIG_ANY_KVM=y\n")
    assert proof_of(proof, "ANY_KVM").why == "ask for one of these as well: KVM_AMD or KVM_INTEL"
    assert proof.added == ()
    proof = run(src, obj, "CONFIG_ANY_KVM=y\n", "CONFIG_KVM_INTEL=y\n")
    assert {item.state for item in proof.asked} == {SymbolState.AS_ASKED}


def test_an_unknown_symbol_is_a_mistake(src: Path, obj: Path) -> None:
    with pytest.raises(UserError, match=r"a\.config:2: .*no CONFIG_KVM_AMT: did you mean KVM_AMD"):
        run(src, obj, "CONFIG_KVM=y\nCONFIG_KVM_AMT=y\n")
    assert not (obj / ".config").exists()


def test_unless_the_fragment_says_that_it_may_be_missing(src: Path, obj: Path) -> None:
    proof = run(src, obj, "# optional: new in 7.3\nCONFIG_KVM_NEXT=y\n\nCONFIG_KVM=y\n")
    symbol = proof_of(proof, "KVM_NEXT")
    assert (symbol.state, symbol.required, symbol.got) == (SymbolState.UNKNOWN, False, "n")
    assert proof_of(proof, "KVM").required


def test_a_symbol_that_is_only_mentioned_is_unknown(src: Path, obj: Path) -> None:
    append(src / "Kconfig", 'config USER\n\tbool "user"\n\tdepends on ELSEWHERE\n')
    with pytest.raises(UserError, match="no CONFIG_ELSEWHERE"):
        run(src, obj, "CONFIG_ELSEWHERE=y\n")


def test_make_has_the_last_word(src: Path, obj: Path) -> None:
    """A conf that follows other rules than ours: its values count, and the difference is shown."""
    makefile = src / "Makefile"
    text = makefile.read_text()
    rule = "olddefconfig:\n\t@$(REFUSE)\n"
    assert text.count(rule) == 1
    change = "\t@sed -i -e 's/^CONFIG_KVM_AMD=y/# CONFIG_KVM_AMD is not set/' $(KCONFIG_CONFIG)\n"
    shift = "\t@echo CONFIG_LOG_BUF_SHIFT=20 >> $(KCONFIG_CONFIG)\n"
    makefile.write_text(text.replace(rule, rule + change + shift))
    proof = run(src, obj, "CONFIG_KVM_AMD=y\n")
    assert proof.differing == ("KVM_AMD: y -> n", "LOG_BUF_SHIFT: 17 -> 20")
    symbol = proof_of(proof, "KVM_AMD")
    assert (symbol.got, symbol.state) == ("n", SymbolState.DIFFERS)
    assert symbol.why == "the kernel's own conf decided otherwise"
    assert read_config((obj / ".config").read_text())["LOG_BUF_SHIFT"] == "20"


# What only a Kconfig of the future has; conf is of the same tree and understands it.
FUTURE = 'config FUTURE\n\tbool "future"\n\tsomehow KVM\n'


def test_a_language_we_do_not_know_is_left_to_make(src: Path, obj: Path) -> None:
    append(src / "Kconfig", FUTURE)
    proof = run(src, obj, "CONFIG_KVM=y\n# CONFIG_EXPERT is not set\nCONFIG_LOG_BUF_SHIFT=18\n")
    (note,) = proof.notes
    assert "kconfiglib cannot read this tree's Kconfig" in note
    assert "couldn't parse 'somehow KVM'" in note
    assert proof.added == ()
    assert proof.differing == ()
    assert [(item.name, item.got) for item in proof.asked] == [
        ("KVM", "y"),
        ("EXPERT", "n"),
        ("LOG_BUF_SHIFT", "18"),
    ]
    assert left(obj) == [".config"]


@pytest.mark.parametrize(
    ("command", "how"),
    [
        (["sh", "-c", "kill -9 $$"], "killed by SIGKILL: it said nothing"),
        (["/no/such/python"], "exit status 127: .*/no/such/python"),
        (["/etc/passwd"], "exit status 126: .*/etc/passwd"),
        ([sys.executable, "-c", "import no_such_module"], "exit status 1: ModuleNotFoundError: .*"),
    ],
)
def test_a_child_that_could_not_work_says_nothing_about_the_tree(
    src: Path, obj: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], how: str
) -> None:
    """Else the fragments would be merged without their dependencies, and the build kept."""
    monkeypatch.setattr(configure_stage, "python_command", lambda module: command)
    with pytest.raises(InfraError, match=f"^reading the tree's Kconfig was ended: {how}"):
        run(src, obj, "CONFIG_KVM=y\n")
    assert left(obj) == []
    with pytest.raises(InfraError, match=how):
        plan(src, obj, [asked(obj, "CONFIG_KVM=y\n")], ["mm/page.c"], progress=Silent())


def test_a_tree_that_ends_the_child_is_not_merged_either(src: Path, obj: Path) -> None:
    append(src / "Kconfig", "$(shell,kill -9 $PPID)\n")
    with pytest.raises(InfraError, match="Kconfig was ended: killed by SIGKILL"):
        run(src, obj, "CONFIG_KVM=y\n")


def test_a_make_that_did_not_come_to_its_end_is_our_trouble(src: Path, obj: Path) -> None:
    append(src / "Makefile", "$(shell kill -9 $$PPID)\n")
    with pytest.raises(InfraError, match=r"^make config was ended: killed by SIGKILL"):
        run(src, obj, "CONFIG_KVM=y\n")


def test_what_conf_refuses_too_is_the_tree_s_fault(src: Path, obj: Path) -> None:
    append(src / "Kconfig", "syntaxerror\n")
    lines = len((src / "Kconfig").read_text().splitlines())
    problem = f"the tree's Kconfig does not parse: Kconfig:{lines}: syntax error"
    with pytest.raises(PatchError, match=problem):
        run(src, obj, "CONFIG_KVM=y\n")
    assert left(obj) == []


def test_a_makefile_that_fails_is_the_tree_s_fault(src: Path, obj: Path) -> None:
    (src / "Makefile").write_text("all:\n\ttrue\nnonsense\n")
    with pytest.raises(PatchError, match=r"the tree's Makefile fails: Makefile:3: .*separator"):
        run(src, obj, "CONFIG_KVM=y\n")


def test_kconfig_may_run_commands_but_only_in_the_sandbox(src: Path, obj: Path) -> None:
    secret = obj.parent / "secret"
    secret.write_text("hunter2\n")
    append(
        src / "Kconfig",
        f'config SEEN\n\tstring\n\tdefault "$(shell,cat {secret} 2>&1; ls -d /src /obj)"\n'
        'config WRITTEN\n\tstring\n\tdefault "$(shell,touch /src/x 2>&1)"\n'
        '$(info,{"answer": null})\n',
    )
    proof = run(src, obj, "CONFIG_KVM=y\n")
    # The stand-in does not know these texts: what we found shows in the difference.
    found = dict(line.split(": ", 1) for line in proof.differing)
    assert found["SEEN"] == f"cat: {secret}: No such file or directory /obj /src -> n"
    assert "Read-only file system" in found["WRITTEN"]
    assert proof.notes == ()  # and what it printed was not taken for the answer


def test_temporary_folders_of_the_tree_s_probes_are_in_the_object_tree(
    src: Path, obj: Path
) -> None:
    append(src / "Kconfig", 'config HERE\n\tstring\n\tdefault "$(shell,pwd)"\n')
    assert "HERE: /obj -> n" in run(src, obj, "CONFIG_KVM=y\n").differing


@pytest.mark.parametrize("missing", ["gcc", "flex", "bison", "make"])
def test_a_missing_tool_is_our_trouble(
    missing: str, src: Path, obj: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = obj.parent / "bin"
    tools.mkdir()
    for tool in {"gcc", "flex", "bison", "make", "bwrap"} - {missing}:
        found = shutil.which(tool)
        assert found is not None
        (tools / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(ToolMissing, match=f"^{missing} is not installed"):
        run(src, obj, "CONFIG_KVM=y\n")


def test_a_link_in_the_place_of_the_result_is_not_followed(src: Path, obj: Path) -> None:
    makefile = src / "Makefile"
    text = makefile.read_text()
    rule = "olddefconfig:\n\t@$(REFUSE)\n"
    makefile.write_text(
        text.replace(rule, "olddefconfig:\n\t@ln -sf /etc/hostname $(KCONFIG_CONFIG)\n").replace(
            "\t@$(COMPLETE)\n\nallnoconfig", "\nallnoconfig"
        )
    )
    with pytest.raises(InfraError, match="was not left as a file"):
        run(src, obj, "CONFIG_KVM=y\n")
    assert left(obj) == []


@pytest.mark.parametrize("name", [".config", ".kverdict-config", ".kverdict-config.old"])
def test_whatever_the_tree_left_in_the_object_tree_is_replaced(
    name: str, src: Path, obj: Path
) -> None:
    victim = obj.parent / "victim"
    victim.write_text("CONFIG_KVM=y\n")
    (obj / name).symlink_to(victim)
    run(src, obj, "CONFIG_EXPERT=y\n")
    assert victim.read_text() == "CONFIG_KVM=y\n"
    (obj / name).unlink(missing_ok=True)
    (obj / name / "deep").mkdir(parents=True)
    assert proof_of(run(src, obj, "CONFIG_EXPERT=y\n"), "EXPERT").got == "y"
    assert left(obj) == [".config"]
    assert (obj / ".config").is_file()


# --- plans for files ----------------------------------------------------------------------------


def asked(obj: Path, text: str) -> Path:
    fragment = obj.parent / "a.config"
    fragment.write_text(text)
    return fragment


def test_what_would_have_files_compiled(src: Path, obj: Path) -> None:
    (obj / ".config").write_text("CONFIG_NUMA=y\n")
    files = ("mm/policy.c", "mm/page.c", "mm/debug.c", "mm/driver.c", "mm/nothing.c")
    plans = plan(src, obj, [asked(obj, "CONFIG_MANY_CPUS=y\n")], files, progress=Silent())
    assert plans == (
        FilePlan(path="mm/policy.c", condition="NUMA", unmet=("NUMA",), enable=("CONFIG_NUMA=y",)),
        FilePlan(path="mm/page.c", condition="y", met=True),
        FilePlan(
            path="mm/debug.c",
            condition="EXPERT && NUMA",
            unmet=("EXPERT", "NUMA"),
            enable=("CONFIG_EXPERT=y", "CONFIG_NUMA=y"),
        ),
        FilePlan(
            path="mm/driver.c",
            condition="BROKEN_DRIVER",
            unmet=("BROKEN_DRIVER",),
            note="BROKEN_DRIVER: Kconfig:59 needs BROKEN (is n)",
        ),
        FilePlan(path="mm/nothing.c", note="no Makefile names its object"),
    )
    assert (obj / ".config").read_text() == "CONFIG_NUMA=y\n"


def test_a_plan_as_a_fragment_is_honoured(src: Path, obj: Path) -> None:
    plans = plan(src, obj, [asked(obj, "CONFIG_MODULES=y\n")], ["mm/debug.c"], progress=Silent())
    proof = run(src, obj, "CONFIG_MODULES=y\n", reach_fragment(plans))
    assert {item.state for item in proof.asked} == {SymbolState.AS_ASKED}
    assert proof.added == ()  # the plan is complete
    assert [item.name for item in proof.asked] == ["MODULES", "EXPERT", "MANY_CPUS", "NUMA"]
    # On a base that does not have the symbol yet it is no mistake.
    kconfig = src / "Kconfig"
    kconfig.write_text(kconfig.read_text().replace("config NUMA", "config SMP_NUMA"))
    proof = run(src, obj, "CONFIG_MODULES=y\n", reach_fragment(plans))
    assert proof_of(proof, "NUMA").state is SymbolState.UNKNOWN


def test_no_plans_for_a_language_we_do_not_know(src: Path, obj: Path) -> None:
    append(src / "Kconfig", FUTURE)
    (told,) = plan(src, obj, [asked(obj, "CONFIG_KVM=y\n")], ["mm/page.c"], progress=Silent())
    assert told == FilePlan(path="mm/page.c", note="kconfiglib cannot read this tree's Kconfig")


def test_what_the_child_says_of_files_is_a_stranger_s(
    src: Path, obj: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the tree's $(shell ...) had taken the child over."""
    answer = Answer(
        config="",
        symbols={},
        unknown={},
        added={},
        files=(
            FilePlan(path="mm/page.c", condition="A\x1b[2J" * 500, note="\u202ex\ny"),
            FilePlan(path="/etc/passwd", enable=("CONFIG_A=y",)),
        ),
    )
    monkeypatch.setattr(configure_stage, "_ask", lambda *_: Reply(answer=answer))
    fragments = [asked(obj, "CONFIG_KVM=y\n")]
    page, other = plan(src, obj, fragments, ["mm/page.c", "mm/b.c"], progress=Silent())
    assert "\x1b" not in page.condition
    assert len(page.condition) <= configure_stage.SHOWN
    assert page.note == "\\u202ex y"
    assert other == FilePlan(path="mm/b.c", note="not planned")


def test_absent_is_n_when_configurations_are_compared() -> None:
    ours = '# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C="x"\nCONFIG_D=1\n'
    makes = 'CONFIG_B=m\nCONFIG_C="x"\nCONFIG_E=y\n'
    assert compare(ours, makes) == ("B: y -> m", "D: 1 -> n", "E: n -> y")
    assert compare(ours, ours) == ()


@pytest.mark.parametrize("warning", ["Kconfig:3:warning: odd", "Kconfig:3: warning: odd"])
def test_a_warning_is_not_what_the_tree_fails_for(warning: str) -> None:
    done = Finished(("make",), 2, b"", f"{warning}\nKconfig:7: syntax error\n".encode(), 1.0)
    assert "Kconfig:7: syntax error" in str(configure_stage._make_failed(done))
