# SPDX-License-Identifier: GPL-2.0-or-later
"""The mail about a culprit, as a draft: to its author and maintainers, for the user to send."""

from __future__ import annotations

import re
from urllib.parse import unquote

from kverdict.bisection import Bisection, Commit
from kverdict.drafts import Draft, fold_prose
from kverdict.maintainers import Recipients
from kverdict.render.reply import defused
from kverdict.render.report import page_environment
from kverdict.render.templates import Folders, fill
from kverdict.text import one_line

FILE = "bisect.eml"
TEMPLATE = "bisect-mail.txt.j2"
REGRESSIONS = "regressions@lists.linux.dev"
CONSOLE_LINES = 30
_LINK = re.compile(
    r"^Link:[ \t]*https?://(?P<host>patch\.msgid\.link|lore\.kernel\.org|lkml\.kernel\.org)"
    r"/(?:(?:r|[a-z0-9._-]{1,80})/)?(?P<id>[^\s/@]{1,250}@[^\s/@]{1,250})/?[ \t]*$",
    re.MULTILINE,
)


def draft(
    bisection: Bisection, recipients: Recipients, *, patch: str | None, templates: Folders
) -> Draft | None:
    """None unless a culprit was proven: nobody is told of a suspicion.

    ``patch`` is the message-id of the mail that the culprit was made from, when that is known.
    """
    culprit = bisection.culprit
    if culprit is None or not bisection.proven:
        return None
    body = fill(
        page_environment(templates),
        TEMPLATE,
        {
            "bisection": bisection,
            "culprit": culprit,
            "said": defused(one_line(bisection.said)),
            "console": tuple(map(defused, bisection.console[:CONSOLE_LINES])),
        },
    )
    return Draft(
        subject=f"[REGRESSION] {bisection.question}: bisected to {culprit.sha[:12]} "
        f'("{culprit.subject}")',
        body=fold_prose(body),
        to=(culprit.author, *recipients.people),
        cc=(*recipients.lists, REGRESSIONS),
        in_reply_to=patch,
        references=() if patch is None else (patch,),
        slug=f"bisect-{culprit.sha[:12]}",
    )


def linked_mail(commit: Commit) -> str | None:
    """The message-id of the mail that the commit was made from, from its Link: trailers.

    patch.msgid.link is for that alone (b4's and git's recipes); of the others the last one counts,
    since maintainers' tools add theirs at the end.  One with a "[1]" is a reference of the text.
    """
    found = list(_LINK.finditer(commit.message))
    if not found:
        return None
    sure = [match for match in found if match["host"] == "patch.msgid.link"]
    return unquote((sure or found)[-1]["id"])
