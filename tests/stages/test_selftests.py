# SPDX-License-Identifier: GPL-2.0-or-later
"""A tree's selftests, built by the real make and gcc in the real sandbox; the tree is tiny."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kverdict.errors import InfraError, UserError
from kverdict.findings.suite import read_results
from kverdict.guest import identity
from kverdict.guest.results import Results
from kverdict.progress import Silent
from kverdict.sandbox import OBJ, Isolation
from kverdict.stages import selftests
from kverdict.stages.selftests import Made, Named, Selftest, parse, parse_all

pytestmark = pytest.mark.host

HOME = Path(selftests.HOME)
# What of lib.mk matters here; tests/e2e has the kernel's own.
LIB = """
TEST_GEN_PROGS := $(patsubst %,$(OUTPUT)/%,$(TEST_GEN_PROGS))
TEST_GEN_FILES := $(patsubst %,$(OUTPUT)/%,$(TEST_GEN_FILES))
TEST_GEN_PROGS_EXTENDED := $(patsubst %,$(OUTPUT)/%,$(TEST_GEN_PROGS_EXTENDED))
$(OUTPUT)/%: %.c
\t@mkdir -p $(@D)
\t$(CC) $(KHDR_INCLUDES) $< -o $@
"""
TOP = """
headers:
\t@mkdir -p $(O)/usr/include && echo '#define FROM_HEADERS 7' > $(O)/usr/include/made.h
"""
MAIN = "#include <made.h>\nint main(void) { return FROM_HEADERS; }\n"


class Tree:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("Makefile", TOP)
        self.write(HOME / "lib.mk", LIB)

    def write(self, path: str | Path, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def collection(self, name: str, makefile: str, **files: str) -> Path:
        """``files`` by name with "__" for a dot."""
        up = "../" * (name.count("/") + 1)
        self.write(HOME / name / "Makefile", f"{makefile}\ninclude {up}lib.mk\n")
        for file, text in files.items():
            self.write(HOME / name / file.replace("__", "."), text)
        return self.root / HOME / name

    def build(self, text: str, isolation: Isolation = Isolation.BUBBLEWRAP) -> Built:
        home = self.root.parent / f"built-{len(list(self.root.parent.iterdir()))}"
        obj, into = home / "obj", home / "into"
        obj.mkdir(parents=True)
        into.mkdir()
        made = selftests.build(
            self.root, obj, parse(text), into, jobs=2, progress=Silent(), isolation=isolation
        )
        return Built(made, into)


class Built:
    def __init__(self, made: Made, into: Path) -> None:
        self.made = made
        self.files = {
            name: (into / str(number)).read_bytes() for number, name in enumerate(made.files)
        }
        assert len(list(into.iterdir())) == len(made.files)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tmp_path.chmod(0o755)  # the sandbox's user is nobody whom we know
    return Tree(tmp_path / "linux")


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("kvm:guest_memfd_test", "kselftest.kvm.guest_memfd_test"),
        ("kvm:x86/cpuid_test", "kselftest.kvm.cpuid_test"),
        ("net/mptcp:mptcp_connect.sh", "kselftest.net.mptcp.mptcp_connect.sh"),
    ],
)
def test_a_test_is_called_as_kselftest_calls_it(text: str, id: str) -> None:
    named = parse(text)
    assert named.id == named.info.id == id
    assert named.info.source == f"tools/testing/selftests/{text.split(':')[0]}"


@pytest.mark.parametrize(
    "text",
    ["kvm", "kvm:", ":test", "kvm:a b", "../x:y", "kvm:../y", "/kvm:x", "kvm:x\n", "kvm:/x",
     "kvm//x:y", "a:b:c", "kvm:" + "x" * 81, "-C:x", "kvm:-j"],
)  # fmt: skip
def test_what_names_no_test(text: str) -> None:
    with pytest.raises(UserError, match="names no selftest"):
        parse(text)


@pytest.mark.parametrize("text", ["a:b+c", "kvm:x86/b+c", f"{'a' * 80}:{'b' * 80}"])
def test_what_can_be_no_id_is_refused_at_once(text: str) -> None:
    """The host refuses a whole plan for one such id."""
    with pytest.raises(UserError, match="cannot be the name of a case"):
        parse(text)


def test_a_name_of_the_longest_id(tmp_path: Path) -> None:
    named = parse(f"{'a' * 80}:{'b' * 69}")
    (tmp_path / "told").mkdir()
    results = Results(tmp_path / "told")
    results.put("hello", **identity.hello())
    results.put("plan", cases=[named.id])
    told = read_results(tmp_path / "told", cases=[named.id], others=[named.info])
    assert len(named.id) == 160 and told.problems == ()


def test_two_ways_to_name_one_test_are_one() -> None:
    named = parse_all(["kvm:x86/cpuid_test", "kvm:cpuid_test", "kvm:x86/cpuid_test", "timers:t"])
    assert [one.id for one in named] == ["kselftest.kvm.cpuid_test", "kselftest.timers.t"]


@pytest.mark.parametrize(
    "pair", [("kvm:x86/get-reg-list", "kvm:arm64/get-reg-list"), ("net/a:t", "net.a:t")]
)
def test_two_tests_that_would_have_one_name_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(UserError, match="one name in the report"):
        parse_all(pair)


# --- building -----------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", Isolation)
def test_a_program_is_built_with_the_tree_s_headers(tree: Tree, isolation: Isolation) -> None:
    tree.collection(
        "made", "TEST_GEN_PROGS := one two\n", one__c=MAIN, two__c=MAIN, settings="timeout=120\n"
    )
    built = tree.build("made:one", isolation)
    assert (built.made.why, built.made.limit, built.made.missing) == ("", 120.0, ())
    assert set(built.files) == {"made/one", "made/settings"}, "the other program is not built"
    assert built.files["made/one"].startswith(b"\x7fELF")


@pytest.mark.parametrize("name", ["x86/deep", "deep"])
def test_a_program_in_a_folder_has_two_names(tree: Tree, name: str) -> None:
    """As those of kvm, which install without their folder."""
    tree.collection("kvm", "TEST_GEN_PROGS := x86/deep\n")
    tree.write(HOME / "kvm/x86/deep.c", MAIN)
    built = tree.build(f"kvm:{name}")
    assert set(built.files) == {"kvm/deep"}
    assert Selftest(parse(f"kvm:{name}"), built.made, None).program == Path("kvm/deep")


def test_programs_by_rules_of_their_own(tree: Tree) -> None:
    """TEST_PROGS of x86, TEST_CUSTOM_PROGS of sync."""
    rule = "$(OUTPUT)/%_64: %.c\n\t$(CC) $(KHDR_INCLUDES) $< -o $@\n"
    tree.collection(
        "x86",
        f"all:\n{rule}TEST_PROGS += $(OUTPUT)/one_64\nTEST_CUSTOM_PROGS := $(OUTPUT)/two_64\n",
        one__c=MAIN,
        two__c=MAIN,
    )
    assert set(tree.build("x86:one_64").files) == {"x86/one_64"}
    assert set(tree.build("x86:two_64").files) == {"x86/two_64"}
    assert tree.build("x86:three_64").made.others == "it has one_64 two_64"


def test_a_script_comes_with_all_that_kselftest_installs(tree: Tree) -> None:
    tree.collection(
        "net/made",
        "TEST_PROGS := a.sh b.sh\nTEST_PROGS_EXTENDED := helper.sh\nTEST_FILES := data more.txt\n"
        "TEST_GEN_PROGS := called\nTEST_GEN_FILES := tool\nTEST_INCLUDES := ../lib.sh\n",
        a__sh="#!/bin/bash\n", b__sh="#!/bin/sh\n", helper__sh="#!/bin/sh\n", config="CONFIG_A=y\n",
        called__c=MAIN, tool__c=MAIN, more__txt="more\n",
    )  # fmt: skip
    tree.write(HOME / "net/made/data/deep/file", "deep\n")
    tree.write(HOME / "net/lib.sh", "# lib\n")
    tree.write(HOME / "kselftest/ktap_helpers.sh", "# ktap\n")
    built = tree.build("net/made:a.sh")
    own = {"a.sh", "b.sh", "helper.sh", "data/deep/file", "more.txt", "called", "tool", "config"}
    assert set(built.files) == {
        *(f"net/made/{name}" for name in own), "net/lib.sh", "kselftest/ktap_helpers.sh",
    }  # fmt: skip
    assert built.files["net/made/data/deep/file"] == b"deep\n"
    assert built.made.missing == ()


def test_what_a_test_can_perhaps_do_without_is_named(tree: Tree) -> None:
    tree.collection(
        "made",
        "TEST_PROGS := a.sh\nTEST_FILES := gone.txt\nTEST_GEN_FILES := good bad\n",
        a__sh="#!/bin/sh\n", good__c=MAIN, bad__c="int main(void) { return undeclared; }\n",
    )  # fmt: skip
    built = tree.build("made:a.sh")
    assert built.made.why == ""
    assert set(built.files) == {"made/a.sh", "made/good"}
    assert built.made.missing == ("bad", "gone.txt")


@pytest.mark.parametrize(
    ("settings", "limit"),
    [("", 45.0), ("timeout=0\n", 3600.0), ("# x\ntimeout=7\n", 7.0), ("timeout=soon\n", 45.0)],
)
def test_the_limit_is_that_of_settings(tree: Tree, settings: str, limit: float) -> None:
    tree.collection("made", "TEST_PROGS := a.sh\n", a__sh="#!/bin/sh\n", settings=settings)
    assert tree.build("made:a.sh").made.limit == limit


# --- what goes wrong ----------------------------------------------------------------------------


def test_a_collection_or_test_that_the_tree_does_not_have(tree: Tree) -> None:
    tree.collection("made", "TEST_PROGS := a.sh\nTEST_GEN_PROGS := b\n", a__sh="", b__c=MAIN)
    absent, other = tree.build("nowhere:a").made, tree.build("made:c").made
    assert (absent.known, absent.why) == (False, "this tree has no selftests 'nowhere'")
    assert (other.known, other.why) == (False, "there is no such test in made")
    assert other.others == "it has a.sh b"


def test_a_program_that_does_not_build(tree: Tree) -> None:
    tree.collection("made", "TEST_GEN_PROGS := a\n", a__c="int main(void) { return undeclared; }\n")
    made = tree.build("made:a").made
    assert made.known
    assert re.match(r"does not build: .*undeclared", made.why)


def test_a_makefile_that_fails_is_no_slip_of_the_pen(tree: Tree) -> None:
    tree.collection("made", "TEST_GEN_PROGS := a\n$(error not on a Monday)\n", a__c=MAIN)
    made = tree.build("made:a").made
    assert made.known
    assert "the Makefile of made fails" in made.why and "not on a Monday" in made.why


def test_a_test_that_the_makefile_names_and_that_is_no_file(tree: Tree) -> None:
    tree.collection("made", "TEST_PROGS := gone.sh\n")
    made = tree.build("made:gone.sh").made
    assert made.known
    assert made.why == "its Makefile names gone.sh, and there is no such file"


def test_more_files_than_are_worth_carrying(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftests, "MOST_FILES", 5)
    tree.collection("made", "TEST_PROGS := a.sh\nTEST_FILES := many\n", a__sh="")
    for number in range(5):
        tree.write(HOME / f"made/many/{number}", "")
    assert tree.build("made:a.sh").made.why == "it takes more than 5 files"
    monkeypatch.setattr(selftests, "MOST_FILES", 6)
    assert len(tree.build("made:a.sh").files) == 6
    monkeypatch.setattr(selftests, "MOST_BYTES", 10)
    tree.write(HOME / "made/many/0", "123456")
    tree.write(HOME / "made/many/1", "123456")
    assert "MiB" in tree.build("made:a.sh").made.why


def test_what_ends_make_from_outside_is_our_trouble(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.collection("made", "TEST_GEN_PROGS := a\n$(shell sleep 100)\n", a__c=MAIN)
    monkeypatch.setattr(selftests, "_SECONDS", 0.5)
    with pytest.raises(InfraError, match="selftest made:a was ended: time limit"):
        tree.build("made:a")


# --- strangers ----------------------------------------------------------------------------------


def secret(folder: Path) -> Path:
    path = folder / "secret"
    path.write_text("the user's own\n")
    return path


def by_link(tree: Tree, path: Path) -> None:
    tree.collection("made", "TEST_PROGS := a.sh\nTEST_FILES := link folder\n", a__sh="")
    (tree.root / HOME / "made/link").symlink_to(path)
    (tree.root / HOME / "made/folder").symlink_to(path.parent)


def by_path(tree: Tree, path: Path) -> None:
    tree.collection("made", f"TEST_PROGS := a.sh\nTEST_FILES := {path} -x\n", a__sh="")


def by_include(tree: Tree, path: Path) -> None:
    up = "../" * 12
    tree.collection("made", f"TEST_PROGS := a.sh\nTEST_INCLUDES := {up}{path} {path}\n", a__sh="")


def as_test(tree: Tree, path: Path) -> None:
    tree.collection("made", f"TEST_PROGS := {path.parent}/a.sh\n")
    (path.parent / "a.sh").write_text("the user's own\n")


def by_product(tree: Tree, path: Path) -> None:
    rule = f"$(OUTPUT)/a.sh:\n\tln -s {path} $@\n"
    tree.collection("made", f"all:\n{rule}TEST_PROGS := $(OUTPUT)/a.sh\n")


def in_place_of_the_copy(tree: Tree, path: Path) -> None:
    """What the host would read: links that make leaves where the copy is to be."""
    (path.parent / "made").mkdir()
    (path.parent / "made/a.sh").write_text("the user's own\n")
    link = f"$(shell ln -s {path.parent} {OBJ}/install)"
    tree.collection("made", f"TEST_PROGS := a.sh\nX := {link}\n", a__sh="")


def in_a_folder_of_the_copy(tree: Tree, path: Path) -> None:
    (path.parent / "a.sh").write_text("the user's own\n")
    link = f"$(shell mkdir {OBJ}/install; ln -s {path.parent} {OBJ}/install/made)"
    tree.collection("made", f"TEST_PROGS := a.sh\nX := {link}\n", a__sh="")


PLANTS = (
    by_link,
    by_path,
    by_include,
    as_test,
    by_product,
    in_place_of_the_copy,
    in_a_folder_of_the_copy,
)


@pytest.mark.parametrize("plant", PLANTS)
def test_nothing_of_the_user_s_gets_into_the_guest(
    tree: Tree, tmp_path: Path, plant: Callable[[Tree, Path], None]
) -> None:
    plant(tree, secret(tmp_path))
    built = tree.build("made:a.sh")
    assert all(b"the user's own" not in content for content in built.files.values())
    assert set(built.files) <= {"made/a.sh"}


def test_a_link_within_the_tree_is_followed(tree: Tree) -> None:
    """rsync --copy-unsafe-links of lib.mk."""
    folder = tree.collection("made", "TEST_PROGS := a.sh\nTEST_FILES := link\n", a__sh="")
    tree.write(HOME / "other/file", "content\n")
    (folder / "link").symlink_to("../other/file")
    assert tree.build("made:a.sh").files["made/link"] == b"content\n"


def test_names_that_are_none_are_left_out(tree: Tree) -> None:
    tree.collection("made", "TEST_PROGS := a.sh\nTEST_FILES := d\n", a__sh="")
    for name in ("good", "bad\n", "bad\nname", "bad name", "\udcff"):
        tree.write(HOME / "made/d" / name, "x")
    assert set(tree.build("made:a.sh").files) == {"made/a.sh", "made/d/good"}


def test_a_named_test_is_plain_data() -> None:
    assert Named(collection="a/b", test="c/d").name == "d"
