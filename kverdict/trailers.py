# SPDX-License-Identifier: GPL-2.0-or-later
"""What the trailers of a commit message promise, held against what is known.

Documentation/process/submitting-patches.rst of the kernel has the rules.  git itself takes the
trailers out of a message (git-interpret-trailers(1)); who is who is judged here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kverdict.am import Mail
from kverdict.git import Repository, failure_of
from kverdict.text import shorten
from kverdict.trees import Tree

SIGNED, TOGETHER, FIXES = "signed-off-by", "co-developed-by", "fixes"
_SHOWN = 120  # columns
_PROPER = re.compile(r'([0-9a-f]{12,64}) \("(.+)"\)')
_NEARLY = re.compile(r"(?:commit )?([0-9a-f]{7,64})\b")
_KEPT_BY_B4 = re.compile(r"[0-9a-f]{6}")
# git takes trailers from a last paragraph only that has little else in it.  What begins like one
# elsewhere was meant as one; of Fixes only with a commit behind it, the rest may be prose, and
# prose has short words of these letters ("deadlock", "added").
_MEANT = re.compile(rf"^({SIGNED}|{FIXES})[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_FOLDED = re.compile(r"\n[ \t]")
_MOST_FIXES = 20  # of one patch that are looked up, at some ten milliseconds each


@dataclass(frozen=True)
class Trailer:
    """One line of a message's last paragraph; ``key`` in lower case."""

    key: str
    value: str
    stray: bool = False  # git does not take it for a trailer


@dataclass(frozen=True)
class Remark:
    """What is wrong with a trailer; ``severity`` as in models.CheckNote."""

    severity: str
    message: str


def trailers_of(repository: Repository, commit: str) -> tuple[Trailer, ...]:
    """The trailers of a commit's message, the stray ones first; raises GitFailed."""
    message = repository.run("show", "--no-patch", "--format=%B", commit).stdout
    trailers = _parsed(repository, message, "--no-divider")
    return (*_strays(message.decode(errors="replace"), trailers), *trailers)


def _strays(message: str, trailers: Sequence[Trailer]) -> list[Trailer]:
    """The Signed-off-by and Fixes lines of a message besides these trailers, which come last."""
    _, _, body = message.partition("\n")
    meant = [
        Trailer(match[1].lower(), " ".join(match[2].split()), stray=True)
        for match in _MEANT.finditer(_FOLDED.sub(" ", body))
    ]
    found: list[Trailer] = []
    for key in (SIGNED, FIXES):
        some = [one for one in meant if one.key == key]
        found += some[: max(0, len(some) - sum(one.key == key for one in trailers))]
    return [one for one in found if one.key == SIGNED or _NEARLY.match(one.value)]


def lost_fixes(repository: Repository, mail: Mail) -> tuple[Trailer, ...]:
    """The Fixes trailers of a mail as it was posted that are not in its commit; raises GitFailed.

    b4 0.16 leaves out every Fixes line that does not begin with six hex digits
    (LoreMessage.find_trailers), and with it just those that a check is for: "Fixes: commit ...".
    """
    message = f"{mail.subject}\n\n{mail.text}".encode(errors="surrogateescape")
    trailers = _parsed(repository, message, "--divider")  # up to the "---" before the diffstat
    return tuple(one for one in trailers if one.key == FIXES and not _KEPT_BY_B4.match(one.value))


def _parsed(repository: Repository, message: bytes, divider: str) -> tuple[Trailer, ...]:
    lines = repository.run("interpret-trailers", "--parse", divider, stdin=message).text
    pairs = (line.partition(":") for line in lines.splitlines())
    return tuple(Trailer(key.strip().lower(), value.strip()) for key, _, value in pairs)


# --- Developer's Certificate of Origin ------------------------------------------------------------


def origin_remarks(author: str, sender: str | None, trailers: Sequence[Trailer]) -> list[Remark]:
    """Who has not signed: the author, a co-author, or the one who sent the patch last.

    ``sender`` is None when nobody mailed it, or a relay did.
    """
    remarks = []
    signers = [trailer.value for trailer in trailers if trailer.key == SIGNED]  # strays first
    if not any(same_person(author, signer) for signer in signers):
        remarks.append(Remark("error", f"no Signed-off-by of its author {_shown(author)}"))
    elif sender is not None and not same_person(sender, signers[-1]):
        remarks.append(
            Remark(
                "warning",
                f"the last Signed-off-by is {_shown(signers[-1])}'s, "
                f"the mail is from {_shown(sender)}",
            )
        )
    return remarks + _stray_signatures(trailers) + _unsigned_co_authors(trailers)


def _stray_signatures(trailers: Sequence[Trailer]) -> list[Remark]:
    """Who signed where git does not see it, and nowhere else."""
    signed = [one for one in trailers if one.key == SIGNED]
    proper = [one.value for one in signed if not one.stray]
    strays = dict.fromkeys(one.value for one in signed if one.stray)
    return [
        Remark(
            "warning",
            f"Signed-off-by: {_shown(value)}: not in a last paragraph of trailers, "
            "git does not take it for one",
        )
        for value in strays
        if not any(same_person(value, other) for other in proper)
    ]


def _unsigned_co_authors(trailers: Sequence[Trailer]) -> list[Remark]:
    """A Co-developed-by is to be followed at once by the co-author's Signed-off-by."""
    return [
        Remark("error", f"no Signed-off-by right after Co-developed-by: {_shown(one.value)}")
        for one, after in pairwise((*trailers, Trailer("", "")))
        if one.key == TOGETHER and not (after.key == SIGNED and same_person(one.value, after.value))
    ]


def same_person(one: str, other: str) -> bool:
    """The same address, or the same words as a name: people post from more than one address."""
    (name, address), (other_name, other_address) = _name_and_address(one), _name_and_address(other)
    if address and address.casefold() == other_address.casefold():
        return True
    words = _words(name)
    return bool(words) and words == _words(other_name)


def _name_and_address(text: str) -> tuple[str, str]:
    """As git reads it: a decoded name may hold a comma, at which Python's parseaddr would cut."""
    name, _, rest = text.rpartition("<")
    return name.strip(), rest.partition(">")[0].strip()


def _words(name: str) -> frozenset[str]:
    """ "Doe, Jane" and "Jane Doe" are the same."""
    return frozenset(re.findall(r"\w+", name.casefold()))


def is_relay(sender: str) -> bool:
    """A mail that b4's web endpoint or a list sent in somebody's name."""
    name, address = _name_and_address(sender)
    return " via " in name or address.startswith("devnull+")


# --- Fixes ----------------------------------------------------------------------------------------


def fixes_remarks(
    tree: Tree, before: str, trailers: Sequence[Trailer]
) -> tuple[list[Remark], list[str]]:
    """(what is wrong with the Fixes tags of a patch, why others cannot be looked up here).

    ``before`` is the commit that the patch is applied to.  Raises GitFailed.
    """
    remarks: list[Remark] = []
    unknown: list[str] = []
    values = [trailer.value for trailer in trailers if trailer.key == FIXES]
    for value in values[:_MOST_FIXES]:
        proper = _PROPER.fullmatch(value)
        if proper is None:
            remarks.append(_badly_written(value))
        named = proper or _NEARLY.match(value)
        if named is None:
            continue
        sha = tree.find(named[1])
        if sha is not None:
            remarks += _compared(tree, before, sha, named[1], proper[2] if proper else None)
        elif why := missing_history(tree, before):
            unknown.append(why)
        else:
            remarks.append(Remark("error", f"Fixes: {named[1]}: the tree has no such commit"))
    if values[_MOST_FIXES:]:
        remarks.append(Remark("note", f"only the first {_MOST_FIXES} Fixes tags were looked up"))
    return remarks, unknown


def _badly_written(value: str) -> Remark:
    form = 'Fixes: 0123456789ab ("subject")'
    return Remark("warning", f"Fixes: {_shown(value)}: not written as {form}")


def _compared(tree: Tree, before: str, sha: str, named: str, subject: str | None) -> list[Remark]:
    with Repository(tree.repo) as repository:
        real = repository.commit(sha).subject
        ancestor = repository.run("merge-base", "--is-ancestor", sha, before, check=False)
    if not ancestor.ok and ancestor.returncode != 1:
        raise failure_of(ancestor)
    remarks = []
    if subject is not None and " ".join(subject.split()) != " ".join(real.split()):
        remarks.append(Remark("warning", f'Fixes: {named}: its subject is "{_shown(real)}"'))
    if not ancestor.ok:
        remarks.append(
            Remark("warning", f"Fixes: {named}: not in the history that the patch is applied to")
        )
    return remarks


def missing_history(tree: Tree, commit: str) -> str:
    """Why a commit that is not found may exist all the same; empty when it cannot."""
    if tree.source == tree.repo:
        return "the tree was imported without history"
    if (tree.repo / "shallow").is_file():
        return "the tree is a shallow clone"
    if not tree.commit(commit).parents:
        return "the tree's history begins with the base"
    return ""


def _shown(text: str) -> str:
    return shorten(text, _SHOWN)
