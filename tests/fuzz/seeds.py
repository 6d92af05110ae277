# SPDX-License-Identifier: GPL-2.0-or-later
"""What fuzzing begins with: the words of each format, and whole inputs.

Real ones where there are some (patches/, tests/data/), else the smallest that is well-formed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

from kverdict import am
from kverdict.findings import suite

TOP = Path(__file__).resolve().parents[2]
DATA = TOP / "tests" / "data"

BETWEEN = b"\n\0file\0\n"  # in the inputs of the conflict target: the diff, then the tree's file
BUILD_LOG = (
    b"virt/kvm/guest_memfd.c:12:5: error: unknown type name 'foo' [-Werror=implicit-int]",
    b"../../../virt/kvm/kvm_main.c:7: warning: unused variable 'x' [-Wunused-variable]",
    b"vmlinux.o: warning: objtool: f+0x12: unreachable instruction",
    b"ERROR: modpost: \"f\" [drivers/x.ko] undefined!",
    b"init/Kconfig:12:warning: config symbol defined without type",
    b"ld: mm/built-in.a: in function `f': undefined reference to `g'",
    b"/src/mm/x.c:9: undefined reference to `g'",
    b"x.o:(.text+0x3): multiple definition of `g'",
    b"gcc-12: fatal error: no input files",
    b"make[2]: *** [scripts/Makefile.build:229: virt/x.o] Error 1",
    b"Makefile:12: *** missing separator.  Stop.",
    b"  CC      virt/kvm/guest_memfd.o",
)  # fmt: skip
CONFIG = (
    b"CONFIG_KVM=y",
    b"CONFIG_M=m",
    b"# CONFIG_X is not set",
    b'CONFIG_T="a \\"b\\" \\\\ c"',
    b"CONFIG_N=0x10",
    b"CONFIG_I=-5",
    b"# optional: since 6.18",
    b"#CONFIG_X is not set",
    b"# Linux/x86_64 7.2.12 Kernel Configuration",
    b"init/Kconfig:7: syntax error",
    b"warning: unknown symbol: FOO",
    b"ARCH=x86\0SRCARCH=x86\0MAKEFLAGS=w",
    b'{"answer": {"config": "", "symbols": {}, "unknown": {}, "added": {}}, "refusal": null}',
    b'{"refusal": {"error": "x"}}',
)
HEADER = (
    b"#define GUEST_MEMFD_FLAG_MMAP\t\t(1ULL << 0)",
    b" # define GUEST_MEMFD_FLAG_WRITE _BITULL(2) /* since 7.3 */",
    b"#define GUEST_MEMFD_FLAG_A ((((0x8ULL))))",
    b"#define GUEST_MEMFD_FLAG_B \\",
    b"\t(1ULL << 63) // x",
    b"/*",
    b"*/",
)
_PRINTED = (
    b"------------[ cut here ]------------",
    b"WARNING: mm/x.c:3 at f+0x1/0x2, CPU#0: comm/9",
    b"BUG: KASAN: use-after-free in f+0x1/0x2",
    b"BUG: kernel NULL pointer dereference, address: 0000000000000008",
    b"Oops: Oops: 0002 [#1] SMP",
    b"RIP: 0010:f.isra.0+0x1/0x2",
    b" f+0x1/0x2",
    b" ? f+0x1/0x2",
    b"INFO: task cat:7 blocked for more than 10 seconds.",
    b"watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [cat:7]",
    b"UBSAN: array-index-out-of-bounds in /src/mm/x.c:7:9",
    b"---[ end trace 0000000000000000 ]---",
    b"Kernel panic - not syncing: Fatal exception",
    b"</TASK>",
    b"kverdict: start kvm.create",
    b"kverdict: end kvm.create pass",
)
CONSOLE = (
    *(b"[    1.000000][    T1] " + line for line in _PRINTED),
    *(b"\x1b[0;31m", b"\x1b]0;title\x07", b"\x1b]0;", b"\r", b"[    9.000000][    C1] x"),
)
MAIL = (
    b"From mboxrd@z Thu Jan  1 00:00:00 1970",
    b">From me",
    b"From: =?utf-8?q?A=20B?= <a@example.com>",
    b"Date: Thu, 1 Jan 2026 00:00:00 +0000",
    b"Subject: [PATCH v2 1/2] mm: change f",
    b"Subject: =?utf-8?b?YWJj?=",
    b"Message-ID: <1@example.com>",
    b"In-Reply-To: <0@example.com>",
    b"Content-Type: text/plain; charset=utf-8",
    b'Content-Type: multipart/mixed; boundary="b"',
    b"Content-Type: text/plain; charset*0*=utf-8''%41; format=flowed",
    b"Content-Type: message/rfc822",
    b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable",
    b"Content-Transfer-Encoding: x-uuencode",
    b"--b",
    b"--b--",
    b"",
    b" 1 file changed, 1 insertion(+), 1 deletion(-)",
    b"base-commit: " + b"ab" * 20,
    b"prerequisite-patch-id: " + b"cd" * 20,
    b"change-id: 20260101-f-1",
    b"Signed-off-by: A <a@example.com>",
    b"---",
    b"-- ",
)
DIFF = (
    b"diff --git a/f b/f",
    b"index 1234567..89abcde 100644",
    b"new file mode 100644",
    b"old mode 100644",
    b"new mode 100755",
    b"new file mode 120000",
    b"deleted file mode 100644",
    b"similarity index 90%",
    b"copy from f",
    b"copy to g",
    b'diff --git "a/\\303\\251" "b/\\303\\251"',
    b"diff --git a/../f b/../f",
    b"diff --git a/.git/f b/.git/f",
    b"rename from f",
    b"rename to g",
    b"Binary files a/f and b/f differ",
    b"--- a/f",
    b"--- /dev/null",
    b"+++ b/f",
    b"@@ -1,2 +1,2 @@ f",
    b"@@ -0,0 +1 @@",
    b" a",
    b"-a",
    b"+b",
    b"\\ No newline at end of file",
    b"error: patch failed: f:1",
)


def _files(*places: Path) -> list[bytes]:
    return [path.read_bytes() for path in places]


def posted_mails() -> list[bytes]:
    boxes = _files(*sorted((TOP / "patches").glob("*.mbx")), *sorted(DATA.glob("series/*.mbx")))
    return [mail.data[: 12 << 10] for box in boxes for mail in am.split_mboxrd(box)][:20]


def small_series() -> list[bytes]:
    """A cover letter and two short patches, as git format-patch --base writes them; one of them."""
    diff = (
        "diff --git a/f b/f\nindex 1234567..89abcde 100644\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"
    )
    stat = " f | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n"
    last = (
        f"base-commit: {'ab' * 20}\nprerequisite-patch-id: {'cd' * 20}\nchange-id: 20260101-f-1\n"
    )
    patches = [f"{_head(number)}---\n{stat}\n{diff}-- \n2.47.0\n\n" for number in (1, 2)]
    return ["".join((_head(0), last, "\n", *patches)).encode(), patches[0].encode()]


def _head(number: int) -> str:
    thread = "In-Reply-To: <0@example.com>\n" if number else ""
    return (
        f"From {'0' * 40} Mon Sep 17 00:00:00 2001\n"
        f"From: A. U. Thor <author{number}@example.com>\n"
        f"Date: Thu, 1 Jan 2026 00:00:0{number} +0000\n"
        f"Subject: [PATCH v2 {number}/2] mm: change f\n"
        f"Message-ID: <{number}@example.com>\n{thread}\n"
        "Text.\n\nSigned-off-by: A. U. Thor <author@example.com>\n"
    )


def results() -> list[bytes]:
    first, second = (case.id for case in suite.list_cases()[:2])
    return [b"".join(line + b"\n" for line in _events(first, second))]


def _events(first: str, second: str) -> Iterator[bytes]:
    hello = {"version": 1, "release": "7.2.12", "build_id": "ab" * 20, "cmdline": "quiet"}
    yield _event("hello", **hello, config_digest="cd" * 32, kvm=True, python="3.11.2")
    yield _event("plan", cases=[first, second])
    for case, outcome in ((first, "pass"), (second, "fail")):
        yield _event("start", case=case)
        yield _event("end", case=case, outcome=outcome, message="expected 0", seconds=0.5)
    counts = {"rounds": [3, 1, 2], "median": 2, "minimum": 1, "maximum": 3}
    yield _event("bench", name="write", unit="ns", clock="CLOCK_MONOTONIC", mib=16, **counts)
    yield _event("bench", name="memcpy", unit="ns", clock="CLOCK_MONOTONIC", mib=16, **counts)
    yield _event("note", text="why")
    yield _event("done")


def _event(event: str, **fields: object) -> bytes:
    return json.dumps({"event": event, **fields}).encode()


def consoles() -> list[bytes]:
    return [data[-(12 << 10) :] for data in _files(*sorted(DATA.glob("consoles/*.log")))]


def conflicts() -> list[bytes]:
    diff = (mail.text.encode(errors="replace") for mail in map(am.Mail, posted_mails()[:6]))
    return [one + BETWEEN + b"\n".join(DIFF) for one in diff]


def elf_files() -> list[bytes]:
    """The smallest file with a build-id: a header, a note, names, three section headers."""
    note = struct.pack("<III4s20s", 4, 20, 3, b"GNU\0", bytes(range(20)))
    names = b"\0.notes\0.shstrtab\0"
    table = 64 + len(note) + len(names)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, 0, 0, table, 0, 64, 0, 0, 64, 3, 2
    )
    sections = (
        bytes(64),
        struct.pack("<IIQQQQIIQQ", 1, 7, 2, 0, 64, len(note), 0, 0, 4, 0),
        struct.pack("<IIQQQQIIQQ", 8, 3, 0, 0, 64 + len(note), len(names), 0, 0, 1, 0),
    )
    return [b"".join((header, note, names, *sections))]


def build_logs() -> list[bytes]:
    return [_joined(BUILD_LOG)]


def configs() -> list[bytes]:
    return [_joined(CONFIG)]


def headers() -> list[bytes]:
    return [_joined(HEADER)]


def mails() -> list[bytes]:
    return posted_mails() + small_series()


def _joined(lines: tuple[bytes, ...]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
