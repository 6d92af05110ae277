# SPDX-License-Identifier: GPL-2.0-or-later
"""Which Kconfig expression decides that a file is compiled; knows Kbuild and nothing else.

The Makefiles are read, never run: from the top Kbuild down through ``obj-$(CONFIG_X) += dir/``,
with composite objects (``kvm-y``, ``9p-objs``), includes, ``ifdef`` and ``ifeq`` over symbols, and
simple variables.  What is not understood is passed over, so that an expression can ask for too
little, never for too much.  It is about vmlinux: a symbol has to be y, and an object that only a
module can have (``obj-m``) is not known here.

Documentation/kbuild/makefiles.rst is the language; tests/e2e holds this against a whole build.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Lists whose members are linked into vmlinux; "extra" was that of head_64.o.
_LINKED = frozenset({"obj", "lib", "libs", "core", "drivers", "net", "extra"})
# Lists that are linked into something inside the kernel, by rules of their own:
# folder, name of the list, folder whose condition they have.
_BY_RULES = (
    ("arch/x86/boot", "setup", "arch/x86/"),
    ("arch/x86/boot/compressed", "vmlinux-objs", "arch/x86/"),
    ("arch/x86/realmode/rm", "realmode", "arch/x86/realmode/"),
    ("arch/x86/entry/vdso", "vobjs", "arch/x86/entry/vdso/"),
    ("arch/x86/entry/vdso/vdso64", "vobjs", "arch/x86/entry/vdso/vdso64/"),
    ("arch/x86/purgatory", "purgatory", "arch/x86/purgatory/"),
)
_SOURCES = (".c", ".S", ".rs")

_LIST = re.compile(r"(?P<name>[\w./+-]*?)-(?P<suffix>y|objs|\$\(.*\))")
_SYMBOL = re.compile(r"\bCONFIG_(\w+)")
_VALUE = re.compile(r"\$\(CONFIG_\w+\)")
_FILTER = "$(filter y,"
_INNERMOST = re.compile(r"\$\(([\w-]+)\)")
_ADDPREFIX = re.compile(r"\$\(addprefix ([^,()$]*),([^()$]*)\)")
_DIRECTIVES = frozenset({"ifdef", "ifndef", "ifeq", "ifneq", "else", "endif"})
_INCLUDES = frozenset({"include", "-include", "sinclude"})
_BRACES = re.compile(r"\$\{([^(){}$]*)\}")
_WORD = re.compile(r"\w+")
_SIMPLE = re.compile(r"(\w+)(!?=)(\w+)|(\w+)")
_OPERATOR = re.compile(r" ?(&&|\|\|) ?")
_PREPROCESSOR = re.compile(r"[ \t]*#[ \t]*(ifdef|ifndef|if|elif|else|endif|include)\b(.*)")
_INCLUDED = re.compile(r'[ \t]*"([^"]+\.[cS])"')
_ENABLED = re.compile(r"\s*(defined|IS_ENABLED|IS_BUILTIN) ?\( ?CONFIG_(\w+) ?\)\s*")

MAKEFILE_LIMIT = 4 << 20  # bytes
TOTAL_LIMIT = 64 << 20  # of all that is read, and of all values; Linux 7.2 has 6 MB of both
LONGEST_VALUE = 64 << 10  # characters of a variable
LONGEST_CONDITION = 2000
DEEPEST = 30  # includes, ifs, and objects in objects in folders
MOST_OVERWRITTEN = 100  # objects in a list that a later := takes away


@dataclass
class _Rule:
    """Why an object is linked into another one, or into its folder."""

    parent: str
    terms: tuple[str, ...]  # all of them have to hold


@dataclass(frozen=True)
class _If:
    """An ``if`` of make as Kconfig expressions; "" where it cannot be said."""

    holds: str
    otherwise: str


@dataclass
class _Makefile:
    """One folder's Makefile while it is read."""

    folder: str  # "" or ending in "/"
    variables: dict[str, str]
    lists: dict[str, list[_Rule]] = field(default_factory=lambda: defaultdict(list))
    ifs: list[_If] = field(default_factory=list)


class Kbuild:
    """The Makefiles of a tree; ``arch`` as in arch/<arch>."""

    def __init__(self, tree: Path, arch: str) -> None:
        self._tree, self._arch = tree, arch
        self._rules: dict[str, list[_Rule]] = defaultdict(list)
        self._conditions: dict[str, str | None] = {}
        self._left = TOTAL_LIMIT
        self._folders: list[str] = []  # in order of their mention
        self._mentioned: set[str] = set()
        self._read_tree()

    def condition(self, path: str) -> str | None:
        """The expression for a source file, "y" when it is always built, None without a rule."""
        stem, suffix = posixpath.splitext(path)
        found = self._condition(f"{stem}.o") if suffix in _SOURCES else None
        return None if found is None else _OPERATOR.sub(r" \1 ", found)

    def included(self, path: str) -> tuple[str, str] | None:
        """Which source file of the folder has ``#include "path"``, and the expression for that.

        The expression is that of the other file and of the ``#ifdef CONFIG_X`` around the line.
        """
        folder = posixpath.dirname(path)
        for other in sorted((self._tree / folder).glob("*.c")):
            candidate = posixpath.join(folder, other.name)
            condition = self.condition(candidate) if candidate != path else None
            if condition is None:
                continue
            for name, guards in _includes(self._text(candidate)):
                if posixpath.normpath(posixpath.join(folder, name)) == path:
                    parts = [*guards, *(() if condition == "y" else (condition,))]
                    return candidate, _AND.join(dict.fromkeys(parts)) or "y"
        return None

    # --- reading ----------------------------------------------------------------------------------

    def _read_tree(self) -> None:
        self._read(_Makefile("", self._known()), "Kbuild")
        # Its lists name folders from the top: drivers-y += arch/x86/pci/.
        self._read(_Makefile("", self._known()), f"arch/{self._arch}/Makefile")
        self._rule("lib/", _Rule("", ()))  # libs-y of the top Makefile
        self._enter("lib/")
        for folder, name, parent in _BY_RULES:
            self._rule(f"{folder}/{name}.o", _Rule(parent, ()))
            self._enter(f"{folder}/")
        for folder in self._folders:  # and those that are mentioned in between
            kbuild = (self._tree / folder / "Kbuild").is_file()
            name = "Kbuild" if kbuild else "Makefile"
            self._read(_Makefile(folder, self._known()), f"{folder}{name}")

    def _enter(self, folder: str) -> None:
        if folder not in self._mentioned:
            self._mentioned.add(folder)
            self._folders.append(folder)

    def _known(self) -> dict[str, str]:
        bits = {"BITS": "64", "SRCARCH": self._arch, "KBUILD_EXTMOD": ""}
        return {"srctree": "", "src": ".", "obj": ".", **bits}

    def _text(self, path: str) -> str:
        """Of a plain file in the tree; "" for anything else."""
        place = self._tree / path
        if path.startswith("../") or "\0" in path or place.is_symlink() or not place.is_file():
            return ""
        try:
            with place.open("rb") as stream:
                data = stream.read(min(MAKEFILE_LIMIT, max(self._left, 0)))
        except OSError:
            return ""
        self._left -= len(data)
        return data.decode(errors="replace")

    def _read(self, makefile: _Makefile, path: str, depth: int = 0) -> None:
        for line in _logical_lines(self._text(path)):
            if self._left <= 0:
                return
            first, _, rest = line.partition(" ")
            if first in _INCLUDES and depth < DEEPEST:
                for name in _expand(rest, makefile.variables).split():
                    self._read(makefile, _in_tree(makefile.folder, name), depth + 1)
            elif first in ("else", "endif"):
                _close(makefile, first, rest.strip())
            elif first in _DIRECTIVES:
                makefile.ifs.append(_condition_of(first, rest, makefile.variables))
            elif assignment := _assignment(line):
                self._assign(makefile, *assignment)

    def _assign(self, makefile: _Makefile, left: str, operator: str, right: str) -> None:
        value = _expand(right, makefile.variables)
        self._left -= len(value)
        as_list = _LIST.fullmatch(left)
        if as_list is None:
            _set_variable(makefile.variables, left, operator, value)
            return
        ifs = makefile.ifs[:DEEPEST]
        terms = (*(one.holds for one in ifs if one.holds), *_suffix_terms(as_list["suffix"]))
        # foo-objs and foo-y are two variables of make, and both count.
        key = f"{as_list['name']}-{'objs' if as_list['suffix'] == 'objs' else 'y'}"
        itself = _names(right, left)  # x-y := $(filter-out a.o,$(x-y)): what of it is not known
        if operator != "+=" and not itself and all(one.holds for one in ifs):
            _overwrite(makefile.lists[key], terms)
        for item in value.split():
            self._member(makefile, as_list["name"], key, item, terms)

    def _member(
        self, makefile: _Makefile, name: str, key: str, item: str, terms: tuple[str, ...]
    ) -> None:
        if alias := re.fullmatch(r"\$\(([\w./-]+)-(?:y|objs)\)", item):
            item = f"{alias[1]}.o"  # obj-y += $(mmu-y)
        if "$" in item or not item.endswith((".o", "/")):
            return
        target = _in_tree(makefile.folder, item)
        if item.endswith("/"):
            target = f"{target}/"
            self._enter(target)
        linked = name in _LINKED
        parent = makefile.folder if linked else _in_tree(makefile.folder, f"{name}.o")
        rule = _Rule(parent, tuple(dict.fromkeys(terms)))
        makefile.lists[key].append(rule)
        self._rule(target, rule)

    def _rule(self, target: str, rule: _Rule) -> None:
        self._rules[target].append(rule)

    # --- answering --------------------------------------------------------------------------------

    def _condition(self, node: str, depth: int = 0) -> str | None:
        if node == "":
            return "y"
        if node not in self._conditions and depth < DEEPEST:
            self._conditions[node] = None  # what only contains itself is not built
            self._conditions[node] = _either(self._ways(node, depth + 1))
        return self._conditions.get(node)

    def _ways(self, node: str, depth: int) -> Iterator[str]:
        for rule in self._rules.get(node, ()):
            above = self._condition(rule.parent, depth)
            if above is not None and _NEVER not in rule.terms:
                parts = [*rule.terms, *(() if above == "y" else above.split(_AND))]
                yield _AND.join(dict.fromkeys(parts)) or "y"


_NEVER = "n"
_AND = " && "


def _either(ways: Iterable[str]) -> str | None:
    different = list(dict.fromkeys(ways))
    if not different:
        return None
    if "y" in different:
        return "y"
    if len(different) == 1:
        text = different[0]
    else:
        # " && " stands only where Kbuild._ways() may take it apart.
        joined = (way.replace(_AND, "&&") for way in different)
        text = "(" + "||".join(f"({way})" if "&&" in way else way for way in joined) + ")"
    return text if len(text) <= LONGEST_CONDITION else None


def _in_tree(folder: str, name: str) -> str:
    """A name in a folder's Makefile as a path of the tree; $(srctree) was expanded to nothing."""
    return posixpath.normpath(posixpath.join(folder, name)).lstrip("/")


# --- the language of make -------------------------------------------------------------------------


def _logical_lines(text: str) -> Iterator[str]:
    """Without comments, recipes and blank lines; continued lines as one, words one blank apart.

    A variable in braces, ${X}, is the same as $(X), and comes as this.
    """
    in_rule = False
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").split("\n"):
        if in_rule and line.startswith("\t"):
            continue
        words = line.partition("#")[0].split()
        if words:
            plain = _BRACES.sub(r"$(\1)", " ".join(words))
            if words[0] not in _DIRECTIVES:
                # Only behind a rule a tab makes a recipe.
                in_rule = words[0] not in _INCLUDES and _assignment(plain) is None
            yield plain


def _assignment(line: str) -> tuple[str, str, str] | None:
    """Left side, operator and right side; None for anything else."""
    depth = 0
    for at, char in enumerate(line):
        depth += (char in "({") - (char in ")}")
        if depth:
            continue
        if char == "=":
            left = line[:at].rstrip(":+?! ")
            return (left, "+=" if line[:at].endswith("+") else "=", line[at + 1 :].strip())
        if char == ":" and line[at + 1 : at + 2] not in (":", "="):
            return None  # target: variable = value
        if char == " " and line[at + 1 : at + 2] not in "+:?!=":
            return None
    return None


def _names(text: str, variable: str) -> bool:
    return f"$({variable})" in text or f"$({variable}:" in text


def _set_variable(variables: dict[str, str], name: str, operator: str, value: str) -> None:
    if operator == "+=":
        value = f"{variables.get(name, '')} {value}"
    if name not in ("srctree", "src", "obj") and len(value) <= LONGEST_VALUE:
        variables[name] = value


def _expand(text: str, variables: dict[str, str]) -> str:
    """With the variables that are known, and addprefix; others stay as they are.

    What would become longer than LONGEST_VALUE is left as it is from there on.
    """
    room = LONGEST_VALUE

    def value(found: re.Match[str]) -> str:
        nonlocal room
        known = variables.get(found[1])
        if known is None or len(known) > room:
            return found[0]
        room -= len(known)
        return known

    for _ in range(3):  # a variable that names a variable
        longer = _ADDPREFIX.sub(_prefixed, _INNERMOST.sub(value, text))
        if longer == text:
            break
        text = longer
    return text


def _prefixed(found: re.Match[str]) -> str:
    prefix, words = found[1].strip(), found[2].split()
    if len(prefix) * len(words) > LONGEST_VALUE:
        return found[0]
    return " ".join(f"{prefix}{word}" for word in words)


def _suffix_terms(suffix: str) -> tuple[str, ...]:
    """Of obj-$(CONFIG_X): X; $(subst m,y,$(CONFIG_X)) and $(CONFIG_X:m=y) hold for m as well."""
    if suffix in ("y", "objs", "$(KBUILD_BUILTIN)"):
        return ()
    symbols = _SYMBOL.findall(suffix)
    if not symbols:
        return (_NEVER,)  # $(NAME): empty, as far as we know
    m_is_enough = "m,y" in suffix or ":m=y" in suffix
    return tuple(f"{symbol}!=n" if m_is_enough else symbol for symbol in symbols)


def _overwrite(rules: Sequence[_Rule], terms: tuple[str, ...]) -> None:
    """``mmu-$(CONFIG_MMU) := ...`` takes away what was in mmu-y, where MMU is y."""
    for rule in rules[:MOST_OVERWRITTEN]:
        further = [term for term in terms if term not in rule.terms]
        if not further:
            rule.terms = (_NEVER,)
        elif len(further) == 1 and (opposite := _opposite(further[0])):
            rule.terms = tuple(dict.fromkeys((*rule.terms, opposite)))


def _opposite(term: str) -> str:
    match = _SIMPLE.fullmatch(term)
    if match is None or term == _NEVER:
        return ""
    if match[4]:
        return f"{match[4]}!=y"
    return f"{match[1]}{'=' if match[2] == '!=' else '!='}{match[3]}"


# --- if -------------------------------------------------------------------------------------------


def _condition_of(word: str, rest: str, variables: dict[str, str]) -> _If:
    if word in ("ifdef", "ifndef"):
        name = rest.strip()
        found = _SYMBOL.fullmatch(name)
        unknown = "" if name not in variables else "y" if variables[name] else _NEVER
        holds = f"{found[1]}!=n" if found else unknown
    else:
        holds = _equal(*_arguments(_expand(rest, variables)))
    one = _If(holds, _negated(holds))
    return one if word in ("ifdef", "ifeq") else _If(one.otherwise, one.holds)


def _arguments(text: str) -> tuple[str, str]:
    """Of ``ifeq (a,b)``; the comma is the one that stands in no parentheses of its own."""
    inner = text.strip().removeprefix("(").removesuffix(")")
    depth = 0
    for at, char in enumerate(inner):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            return inner[:at].strip(), inner[at + 1 :].strip()
    return "$", ""


def _equal(left: str, right: str) -> str:
    """When the two sides are equal, as an expression; "" where it cannot be said."""
    if "$" in right:
        left, right = right, left
    if "$" in right:
        return ""
    if "$" not in left:
        return "y" if left == right else _NEVER
    symbols = _SYMBOL.findall(left)
    if left.startswith(_FILTER) and _only_symbols(left.removeprefix(_FILTER).removesuffix(")")):
        none = _AND.join(f"{symbol}!=y" for symbol in symbols)
        return none if right == "" else ""
    if not _only_symbols(left):
        return ""
    if right == "":
        return _AND.join(f"{symbol}=n" for symbol in symbols)
    if len(symbols) > 1:
        each = _AND.join(f"{symbol}=y" for symbol in symbols)
        return each if right == "y" * len(symbols) else ""
    return f"{symbols[0]}={right}" if _WORD.fullmatch(right) and right != "n" else ""


def _only_symbols(text: str) -> bool:
    return not _VALUE.sub("", text).strip()


def _negated(expression: str) -> str:
    """Of a conjunction of comparisons."""
    if expression in ("y", _NEVER):
        return "y" if expression == _NEVER else _NEVER
    parts = [_opposite(part) for part in expression.split(_AND) if part]
    if not parts or not all(parts):
        return ""
    return parts[0] if len(parts) == 1 else f"({'||'.join(parts)})"


def _close(makefile: _Makefile, word: str, rest: str) -> None:
    """``endif``, ``else`` and ``else ifeq ...``."""
    if not makefile.ifs:
        return
    last = makefile.ifs.pop()
    if word == "endif":
        return
    if not rest:
        makefile.ifs.append(_If(last.otherwise, last.holds))
        return
    first, _, condition = rest.partition(" ")
    further = _condition_of(first, condition, makefile.variables)
    makefile.ifs.append(
        _If(_both(last.otherwise, further.holds), _both(last.otherwise, further.otherwise))
    )


def _both(one: str, other: str) -> str:
    both = _AND.join(part for part in (one, other) if part)
    return both if len(both) <= LONGEST_CONDITION else ""


# --- the preprocessor -----------------------------------------------------------------------------


def _includes(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each source file that is included, and the conditions around the line that can be said."""
    ifs: list[_If] = []
    for line in text.split("\n"):
        found = _PREPROCESSOR.match(line)
        if found is None:
            continue
        word, rest = found.groups()
        if word == "include":
            if name := _INCLUDED.match(rest):
                yield name[1], [one.holds for one in ifs[:DEEPEST] if one.holds]
        elif word in ("if", "ifdef", "ifndef"):
            ifs.append(_guard(word, rest))
        elif ifs:
            last = ifs.pop()
            if word != "endif":  # what an #elif asks for is not looked at
                ifs.append(_If(last.otherwise, last.holds if word == "else" else ""))


def _guard(word: str, rest: str) -> _If:
    """A symbol that is m defines CONFIG_X_MODULE, not CONFIG_X."""
    asked = f"defined({rest.strip()})" if word in ("ifdef", "ifndef") else rest
    parts = [_ENABLED.fullmatch(part) for part in asked.split("&&")]
    holds = _AND.join(
        f"{part[2]}!=n" if part[1] == "IS_ENABLED" else f"{part[2]}=y" for part in parts if part
    )
    one = _If(holds, _negated(holds) if all(parts) else "")
    return _If(one.otherwise, one.holds) if word == "ifndef" else one
