# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the build compiles what a series touches, and what would make it; pure.

A file counts as compiled when the build read it: a header as well, if something that is compiled
includes it.  Makefiles and Kconfig files are not code, and change what is: see compiled_anything().
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from kverdict.kconfig.protocol import FilePlan
from kverdict.models import AppliedPatch, FileReach, Reach, ReachState
from kverdict.text import shorten

SRCARCH = "x86"  # the folder in arch/ of kmake.ARCH
_CODE = (".c", ".h", ".S", ".rs", ".dts", ".dtsi", ".dtso")
_PLANNED = (".c", ".S", ".rs")  # an object is made of it
# scripts/ and tools/ are what a kernel is made with, not of.
_NO_CODE = ("Documentation/", "LICENSES/", "scripts/", "tools/")
_BUILD_FILES = ("Makefile", "Kbuild", "Kconfig")
# Not compiled into the kernel, and may change what the compiler is given.
_BUILD_TOOLS = ("scripts/", "tools/objtool/")
_SHOWN = 160  # columns of a comment


def reach(
    patches: Sequence[AppliedPatch],
    sources: Collection[str],
    plans: Iterable[FilePlan] = (),
    *,
    gone: Collection[str] = (),
    base_sources: Collection[str] = (),
    enabled: Sequence[str] = (),
) -> Reach:
    """What became of each touched file, by path.

    ``sources`` are what the build of the whole series read (stages.sources), ``base_sources`` what
    the base's did; ``plans`` are configure.plan() for files_to_plan(); ``gone`` are the paths that
    the tree has not any more, and ``enabled`` what --reach added.
    """
    touched: dict[str, list[int]] = defaultdict(list)
    for patch in patches:
        for path in patch.paths:
            touched[path].append(patch.number)
    read, read_before, absent = set(sources), set(base_sources), set(gone)
    by_path = {plan.path: plan for plan in plans}
    files = []
    for path, numbers in sorted(touched.items()):
        if path in absent:
            found = _removed(path, path in read_before)
        elif path in read:
            found = FileReach(path=path, patches=(), state=ReachState.COMPILED)
        else:
            found = _not_read(path, by_path.get(path))
        files.append(found.model_copy(update={"patches": tuple(numbers)}))
    return Reach(files=tuple(files), enabled=tuple(enabled))


def files_to_plan(patches: Iterable[AppliedPatch], gone: Collection[str] = ()) -> tuple[str, ...]:
    """The touched files that an object is made of: those that configure.plan() knows about."""
    paths = {path for patch in patches for path in patch.paths}
    return tuple(
        sorted(path for path in paths - set(gone) if _is_code(path) and path.endswith(_PLANNED))
    )


def compiled_anything(found: Reach) -> bool:
    """Whether the series can change the kernel that was built.

    False makes it UNTESTABLE.  True for a Makefile, a Kconfig file and scripts/ as well, which may
    change a kernel without any code: that the patched kernel is the base's own tells the rest.
    """
    return any(
        item.state is ReachState.COMPILED or _shapes_the_build(item.path) for item in found.files
    )


def _removed(path: str, was_read: bool) -> FileReach:
    if was_read:
        state, note = ReachState.COMPILED, "removed; the base's build reads it"
    else:
        state, note = ReachState.NO_CODE, "removed"
    return FileReach(path=path, patches=(), state=state, note=note)


def _not_read(path: str, plan: FilePlan | None) -> FileReach:
    if not _is_code(path):
        note = "says what is built" if _shapes_the_build(path) else ""
        return FileReach(path=path, patches=(), state=ReachState.NO_CODE, note=note)
    plan = plan or FilePlan(path=path)
    return FileReach(
        path=path,
        patches=(),
        state=ReachState.NOT_COMPILED,
        condition=plan.condition,
        unmet=plan.unmet,
        enable=plan.enable,
        note=_why(path, plan),
    )


def _why(path: str, plan: FilePlan) -> str:
    if other := _other_arch(path):
        return f"{other} only"
    if plan.met:
        built = (
            "the Makefiles have it built under this configuration, and the build did not read it"
        )
        return "; ".join(filter(None, (plan.note, built)))
    if plan.note or path.endswith(_PLANNED):
        return plan.note
    return "nothing that is compiled includes it"


def _is_code(path: str) -> bool:
    return path.endswith(_CODE) and not path.startswith(_NO_CODE)


def _shapes_the_build(path: str) -> bool:
    if path.startswith(_BUILD_TOOLS):
        return True
    if _is_code(path) or path.startswith(_NO_CODE) or _other_arch(path):
        return False
    return posixpath.basename(path).startswith(_BUILD_FILES)


def _other_arch(path: str) -> str:
    """The architecture that a file is for, "" when it is for all or for ours."""
    folders = path.split("/")
    return folders[1] if folders[0] == "arch" and folders[1:2] != [SRCARCH] and folders[2:] else ""


# --- the fragment of --reach ----------------------------------------------------------------------


def reach_fragment(plans: Iterable[FilePlan]) -> str:
    """What the plans assign, as a fragment with the reason of each line; "" when that is nothing.

    Optional, because the base may not have a symbol that the series adds.  Where two plans
    contradict each other the first one counts, by path.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name, (value, reason) in _merged(plans).items():
        off = value == "n"
        groups[reason].append(f"# CONFIG_{name} is not set" if off else f"CONFIG_{name}={value}")
    if not groups:
        return ""
    parts = ["# What --reach adds, so that the files that the series touches are compiled."]
    parts += ["\n".join((f"# optional: {why}", *lines)) for why, lines in groups.items()]
    return "\n\n".join(parts) + "\n"


def enabled_by(plans: Iterable[FilePlan]) -> tuple[str, ...]:
    """The assignments of reach_fragment(), sorted: Reach.enabled."""
    return tuple(sorted(f"CONFIG_{name}={value}" for name, (value, _) in _merged(plans).items()))


def _merged(plans: Iterable[FilePlan]) -> dict[str, tuple[str, str]]:
    """Symbol -> value, and for which file."""
    merged: dict[str, tuple[str, str]] = {}
    for plan in sorted(plans, key=lambda plan: plan.path):
        for assignment in plan.enable:
            name, _, value = assignment.removeprefix("CONFIG_").partition("=")
            reason = f"for {plan.path}, which needs {plan.condition}"
            earlier, first = merged.setdefault(name, (value, shorten(reason, _SHOWN)))
            if {earlier, value} == {"m", "y"}:
                merged[name] = ("y", first)  # which also serves who asked for m
    return merged
