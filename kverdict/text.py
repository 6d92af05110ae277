# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes strangers' text fit to be shown: mails, logs and guests may hold anything.

A control sequence could repaint the terminal that shows it, a bidirectional mark could let a
line read as something else (CVE-2021-42574), an invisible character could hide in a name.  They
are written out as escapes, so that nothing is lost and nothing acts.
"""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len, chop_cells

_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str, keep: str = "\n\t") -> str:
    """The same text with every character that is not a visible one as an escape.

    Line feeds and tabs stay, CR LF becomes LF; ESC becomes ``\\x1b``, U+202E ``\\u202e``, a lone
    surrogate ``\\ud800``.
    """
    return "".join(_shown(char, keep) for char in text.replace("\r\n", "\n"))


def _shown(char: str, keep: str) -> str:
    if char in keep or unicodedata.category(char) not in _ESCAPED:
        return char
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """``printable`` without line breaks: runs of white space become one blank."""
    return " ".join(printable(text).split())


def clip(text: str, most: int) -> tuple[str, int]:
    """The first ``most`` characters, and how many were left out."""
    return text[:most], max(0, len(text) - most)


def shorten(text: str, columns: int) -> str:
    """One line of at most ``columns`` terminal columns; what is cut off ends in "..."."""
    line = one_line(text)
    if cell_len(line) <= columns:
        return line
    return chop_cells(line, columns - 3)[0].rstrip() + "..."


def fold(text: str, columns: int) -> list[str]:
    """Lines of at most ``columns`` terminal columns, broken at blanks where that is possible.

    Line breaks of the text stay; an indented line is continued with the same indent.
    """
    return [
        line
        for whole in printable(text).expandtabs(8).split("\n")
        for line in _fold(whole, columns)
    ]


def _fold(line: str, columns: int) -> list[str]:
    body = line.lstrip(" ")
    indent = " " * min(len(line) - len(body), columns // 2)
    room = columns - len(indent)
    lines = [""]
    for word in body.rstrip().split(" "):
        for piece in chop_cells(word, room) or [word]:  # rich 15 leaves out what has no width
            joined = f"{lines[-1]} {piece}" if lines[-1] else piece
            if cell_len(joined) <= room and (piece == word or not lines[-1]):
                lines[-1] = joined
            else:
                lines.append(piece)
    return [indent + line if line else "" for line in lines]


def counted(number: int, one: str, many: str = "") -> str:
    """ "1 patch", "2 patches"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
