# SPDX-License-Identifier: GPL-2.0-or-later
"""The child of the configure stage: goals on stdin, a Reply on stdout.

kconfiglib reads the environment and the working folder, and its globals are rebound: hence a
process of its own, inside the sandbox, in the object tree, where `cc-option` makes its temporary
folders.
"""

from __future__ import annotations

import errno
import os
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kconfiglib import BOOL, TRISTATE

from kverdict.kconfig import linux
from kverdict.kconfig.enable import enable, met
from kverdict.kconfig.explain import explain
from kverdict.kconfig.files import plan_files
from kverdict.kconfig.kbuild import Kbuild
from kverdict.kconfig.protocol import Added, Answer, Refusal, Reply, Request, SymbolAnswer

# What the machine refuses us, whatever the tree is: nothing can be said of the tree then.
OUR_TROUBLE = (errno.ENOMEM, errno.EAGAIN, errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EIO)
# confdata.c: conf_write_heading().
HEADING = "#\n# Automatically generated file; DO NOT EDIT.\n# {}\n#\n"


def main() -> None:
    request = Request.from_json(sys.stdin.buffer.read())
    os.environ.update(request.environment)
    # $(info ...) of a Kconfig file prints: only the reply may come out where it is read.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with channel:
        channel.write(reply(request).model_dump_json())


def reply(request: Request) -> Reply:
    """What the tree's Kconfig leads to, or that it is beyond us.

    kconfiglib stumbles over a language that it does not know in any way that Python has, so
    whatever it raises is a refusal.  Only what this process could not get is not: MemoryError,
    and OSError for OUR_TROUBLE.
    """
    try:
        return answered(request)
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OUR_TROUBLE:
            raise
        return Reply(refusal=Refusal(error=str(error).strip() or type(error).__name__))


def answered(request: Request) -> Reply:
    """Raises whatever kconfiglib does."""
    kconf = linux.load()
    answer = configure(kconf, request.goals)
    if request.files:
        # The goals that are there, and what they needed: plans are made beside them.
        held = {name: request.goals[name] for name in answer.symbols}
        held |= {name: added.value for name, added in answer.added.items()}
        kbuild = Kbuild(Path(request.environment["srctree"]), request.environment["SRCARCH"])
        answer = answer.model_copy(update={"files": plan_files(kconf, kbuild, held, request.files)})
    return Reply(answer=answer)


def configure(kconf: Any, goals: dict[str, str]) -> Answer:
    """From allnoconfig, with the goals and what they need."""
    allnoconfig(kconf)
    known = {name: value for name, value in goals.items() if is_defined(kconf, name)}
    done = enable(kconf, known)
    return Answer(
        config=kconf._config_contents(HEADING.format(kconf.mainmenu_text)),
        symbols={
            name: _symbol(kconf, name, value, done.undecided.get(name))
            for name, value in known.items()
        },
        unknown={name: similar(kconf, name) for name in goals if name not in known},
        added={
            name: Added(value=kconf.syms[name].str_value, needed_by=done.needed_by[name])
            for name in sorted(done.assigned)
            if name not in goals
        },
    )


def allnoconfig(kconf: Any) -> None:
    """conf.c: conf_set_all_new_symbols(def_no): choices keep their default."""
    for symbol in kconf.unique_defined_syms:
        if symbol.orig_type in (BOOL, TRISTATE) and not symbol.choice:
            symbol.set_value(0)


def is_defined(kconf: Any, name: str) -> bool:
    symbol = kconf.syms.get(name)
    return symbol is not None and bool(symbol.nodes)


def similar(kconf: Any, name: str) -> tuple[str, ...]:
    names = [symbol.name for symbol in kconf.unique_defined_syms]
    return tuple(get_close_matches(name, names, n=3, cutoff=0.8))


def _symbol(kconf: Any, name: str, asked: str, undecided: str | None) -> SymbolAnswer:
    value = kconf.syms[name].str_value or "n"
    if met(kconf, name, asked) and not kconf.syms[name].transitional:
        return SymbolAnswer(value=value, why="")
    if undecided is not None:
        return SymbolAnswer(value=value, why=f"ask for one of these as well: {undecided}")
    return SymbolAnswer(value=value, why=explain(kconf, name, asked))


if __name__ == "__main__":
    main()
