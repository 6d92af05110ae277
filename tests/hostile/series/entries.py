# SPDX-License-Identifier: GPL-2.0-or-later
"""The corpus of hostile series: what each tries, its mails, and the refusal it must meet."""

from __future__ import annotations

from kverdict.errors import ExitStatus
from tests.hostile.making import (
    HEADER,
    LINK,
    LINK_TARGET,
    Hostile,
    binary,
    edit,
    link,
    mails_of,
    new,
    quoted,
)

HOOK = "#!/bin/sh\ntouch /tmp/owned"

NAMES = (
    Hostile(
        "git-config",
        "writes the repository's configuration, from which git runs commands",
        mails_of(new(".git/config", "[core]\n\tfsmonitor = touch owned")),
        "[1/1] .git/config: leads into a .git",
    ),
    Hostile(
        "git-hook",
        "plants a hook that the next checkout runs",
        mails_of(new(".git/hooks/post-checkout", HOOK, "100755")),
        "[1/1] .git/hooks/post-checkout: leads into a .git",
    ),
    Hostile(
        "git-upper-case",
        "the same where a file system does not see case",
        mails_of(new(".GIT/hooks/post-checkout", HOOK)),
        ".GIT/hooks/post-checkout: leads into a .git",
    ),
    Hostile(
        "git-below",
        "a repository of its own in a folder, whose hooks and filters git would believe",
        mails_of(edit(HEADER), new("drivers/kvm/.git/config")),
        "[2/2] drivers/kvm/.git/config: leads into a .git",
    ),
    Hostile(
        "git-trailing-dots",
        ".git with dots behind, which NTFS drops",
        mails_of(new(".git../config")),
        ".git../config: leads into a .git",
    ),
    Hostile(
        "git-trailing-blank",
        ".git with a blank behind, which NTFS drops",
        mails_of(new(".git /config")),
        ".git /config: leads into a .git",
    ),
    Hostile(
        "git-stream",
        ".git as NTFS names its stream",
        mails_of(new(".git::$INDEX_ALLOCATION/config")),
        "leads into a .git",
    ),
    Hostile(
        "git-short-name",
        ".git by its 8.3 name",
        mails_of(new("git~1/config")),
        "git~1/config: leads into a .git",
    ),
    Hostile(
        "git-invisible",
        ".git with a character inside that HFS+ ignores",
        mails_of(new(".g\u2060it/config")),
        "b4 refuses",
    ),
    Hostile(
        "git-quoted",
        ".git spelled in octal escapes",
        mails_of(quoted("\\056\\147it/config")),
        ".git/config: leads into a .git",
    ),
    Hostile(
        "absolute",
        "writes /etc/cron.d/owned",
        mails_of(new("/etc/cron.d/owned")),
        "/etc/cron.d/owned: is an absolute path",
    ),
    Hostile(
        "dot-dot",
        "writes beside the worktree",
        mails_of(new("../canary")),
        "../canary: leads out of the tree",
    ),
    Hostile(
        "dot-dot-deep",
        "goes down before it goes up and out",
        mails_of(new("virt/kvm/../../../canary")),
        "virt/kvm/../../../canary: leads out of the tree",
    ),
    Hostile(
        "dot-dot-quoted",
        "hides the dots and slashes of the same in octal escapes",
        mails_of(quoted("\\056\\056\\057canary")),
        "../canary: leads out of the tree",
    ),
    Hostile(
        "dot-dot-rename",
        "moves a file of the tree out of it",
        mails_of(
            f"diff --git a/{HEADER} b/../canary\nsimilarity index 100%\n"
            f"rename from {HEADER}\nrename to ../canary\n"
        ),
        "../canary: leads out of the tree",
    ),
    Hostile(
        "copy-from-outside",
        "copies a file of the host into the tree, to be read in the guest",
        mails_of(
            "diff --git a/../../../../etc/shadow b/virt/kvm/shadow.h\nsimilarity index 100%\n"
            "copy from ../../../../etc/shadow\ncopy to virt/kvm/shadow.h\n"
        ),
        "../../../../etc/shadow: leads out of the tree",
    ),
    Hostile(
        "delete-outside",
        "deletes a file beside the worktree",
        mails_of(
            "diff --git a/../canary b/../canary\ndeleted file mode 100644\n"
            "--- a/../canary\n+++ /dev/null\n@@ -1 +0,0 @@\n-tweet\n"
        ),
        "../canary: leads out of the tree",
    ),
    Hostile(
        "name-with-line-break",
        "forges a line of the report with its name",
        mails_of(quoted("x\\nEVIDENCE")),
        "control characters",
    ),
    Hostile(
        "name-with-escape",
        "repaints the terminal with its name",
        mails_of(quoted("x\\033]52;c;b3duZWQ=\\007")),
        "control characters",
    ),
    Hostile(
        "name-not-utf-8",
        "a name that no report can show",
        mails_of(quoted("virt/\\377\\376.c")),
        "is not UTF-8",
    ),
    Hostile(
        "name-with-backslash",
        "a name that is a path elsewhere",
        mails_of(quoted("..\\\\..\\\\canary")),
        "backslash",
    ),
    Hostile(
        "name-too-long",
        "a name that no file system takes",
        mails_of(new("virt/" + "x" * 300)),
        "has a name that is too long",
    ),
)

LINKS = (
    Hostile(
        "link-absolute",
        "a link to a file of the host, which the build or the report would read",
        mails_of(link("virt/kvm/id.h", "/root/.ssh/id_rsa")),
        "virt/kvm/id.h: is a link out of the tree, to '/root/.ssh/id_rsa'",
    ),
    Hostile(
        "link-dot-dot",
        "the same by way of the folder above",
        mails_of(link("virt/kvm/up", "../../../canary")),
        "virt/kvm/up: is a link out of the tree",
    ),
    Hostile(
        "link-behind-a-link",
        "a link whose .. is counted from where another link leads",
        mails_of(link("a/b/top", "../.."), link("out", "a/b/top/../canary")),
        "[2/2] out: is a link out of the tree",
    ),
    Hostile(
        "link-to-git",
        "a link to the repository's hooks",
        mails_of(link("hooks", ".git/hooks")),
        "hooks: is a link to '.git/hooks'",
    ),
    Hostile(
        "write-through-own-link",
        "brings a link and, in the next patch, a file behind it",
        mails_of(link("virt/way", "kvm"), new("virt/way/planted.c")),
        "[2/2] virt/way/planted.c: goes through the link virt/way",
    ),
    Hostile(
        "write-through-at-once",
        "both in one patch",
        mails_of(link("virt/way", "kvm") + new("virt/way/planted.c")),
        "[1/1] virt/way/planted.c: goes through the link virt/way",
    ),
    Hostile(
        "write-through-the-trees-link",
        "writes through a link that the tree has",
        mails_of(new(f"{LINK}/planted.h")),
        f"affected file '{LINK}/planted.h' is beyond a symbolic link",
        ExitStatus.UNTESTABLE,
    ),
    Hostile(
        "link-by-rename",
        "moves a harmless link to where the same way leads out; the mail does not show its target",
        mails_of(
            f"diff --git a/{LINK} b/uapi\nsimilarity index 100%\n"
            f"rename from {LINK}\nrename to uapi\n"
        ),
        f"[1/1] uapi: is a link out of the tree, to '{LINK_TARGET}'",
    ),
    Hostile(
        "link-instead-of-a-file",
        "turns a file of the tree into a link to the host",
        mails_of(
            "diff --git a/init/main.c b/init/main.c\ndeleted file mode 100644\n"
            "--- a/init/main.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
            + link("init/main.c", "/dev/kvm")
        ),
        "init/main.c: is a link out of the tree",
    ),
)

KINDS = (
    Hostile(
        "submodule",
        "a submodule that a checkout would fetch",
        mails_of(new("sub", f"Subproject commit {'ab' * 20}", "160000")),
        "sub: is a submodule",
    ),
    Hostile(
        "gitmodules",
        "the addresses of submodules",
        mails_of(new(".gitmodules", '[submodule "x"]\n\tpath = x\n\turl = ext::touch owned')),
        ".gitmodules: it would bring submodules",
    ),
    Hostile(
        "mode-setuid",
        "a set-uid program",
        mails_of(new("run", mode="104755")),
        "run: has the mode 104755",
    ),
    Hostile(
        "mode-world-writable",
        "a file that everybody may write",
        mails_of(new("run", mode="100666")),
        "run: has the mode 100666",
    ),
    Hostile(
        "mode-device",
        "a device node",
        mails_of(new("null", mode="020666")),
        "null: has the mode 020666",
    ),
    Hostile(
        "mode-folder",
        "a folder where a file is expected",
        mails_of("diff --git a/virt b/virt\nold mode 100644\nnew mode 040000\n"),
        "virt: has the mode 040000",
    ),
    Hostile(
        "binary",
        "a program that no reviewer can read",
        mails_of(binary("tools/helper")),
        "tools/helper: is changed by a binary patch",
    ),
    Hostile(
        "binary-left-out",
        "says that a binary file differs and leaves out how",
        mails_of(
            f"{edit(HEADER)}diff --git a/x b/x\nindex 1234567..89abcde 100644\n"
            "Binary files a/x and b/x differ\n"
        ),
        "[1/1] x: is changed by a binary patch",
    ),
)

TOOLS = (
    Hostile(
        "attributes-filter",
        "makes git run a filter over every file",
        mails_of(new(".gitattributes", "*.c filter=lfs diff=lfs merge=lfs -text")),
        ".gitattributes: sets 'filter=lfs'",
    ),
    Hostile(
        "attributes-encoding",
        "gives the compiler other bytes than the reviewer saw",
        mails_of(new("virt/kvm/.gitattributes", "*.c working-tree-encoding=UTF-7")),
        "virt/kvm/.gitattributes: sets 'working-tree-encoding=UTF-7'",
    ),
    Hostile(
        "attributes-merge",
        "lets later merges join what contradicts",
        mails_of(new(".gitattributes", "*.c merge=union")),
        ".gitattributes: sets 'merge=union'",
    ),
    Hostile(
        "attributes-hide",
        "makes every later diff unreadable",
        mails_of(new(".gitattributes", "[attr]fine -diff\n*.c fine")),
        ".gitattributes: sets '-diff'",
    ),
    Hostile(
        "b4-config",
        "leads the next b4 in this tree to another archive",
        mails_of(new(".b4-config", "[b4]\n\tmidmask = https://evil.example/%s")),
        ".b4-config: it is a configuration of b4",
    ),
    Hostile(
        "keys",
        "brings its own keys for the next attestation",
        mails_of(new(".keys/ed25519/example.org/mallory/default", "QUJD")),
        "it would bring keys",
    ),
    Hostile(
        "gitconfig",
        "a configuration that somebody may include",
        mails_of(new(".gitconfig", "[alias]\n\tam = !touch owned")),
        ".gitconfig: it is a configuration of git",
    ),
)

HEADERS = (
    Hostile(
        "two-names",
        "says one file to the reader and another one to git",
        mails_of(edit(HEADER).replace(f"+++ b/{HEADER}", "+++ b/init/main.c")),
        "does not have the names of its other lines",
    ),
    Hostile(
        "two-names-first-line",
        "the same in the first line",
        mails_of(edit(HEADER).replace(f"--git a/{HEADER}", "--git a/init/main.c")),
        f"a/init/main.c b/{HEADER}: its diff --git line does not have the names",
    ),
    Hostile(
        "rename-lies",
        "renames another file than its first line says",
        mails_of(
            "diff --git a/init/main.c b/init/new.c\nsimilarity index 100%\n"
            f"rename from {HEADER}\nrename to init/new.c\n"
        ),
        "a/init/main.c b/init/new.c: its diff --git line does not have the names",
    ),
    Hostile(
        "new-and-deleted",
        "adds and deletes in one breath",
        mails_of(
            "diff --git a/x b/x\nnew file mode 100644\ndeleted file mode 100644\n"
            "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n"
        ),
        "[1/1] is damaged (inconsistent header lines 5 and 6)",
        ExitStatus.BAD_MAILBOX,
    ),
    Hostile(
        "index-mode-lies",
        "announces a plain file and makes a program of it",
        mails_of(new("run").replace("--- /dev", "index 0000000..7898192 100755\n--- /dev")),
        "run: has headers with different modes",
    ),
    Hostile(
        "file-twice",
        "changes a file and, further down, changes it again",
        mails_of(edit(HEADER) + edit("init/main.c") + edit(HEADER)),
        f"{HEADER}: is changed twice",
    ),
    Hostile(
        "hunk-swallows-a-file",
        "a hunk that says to be longer than it is, so that the next file counts as its content",
        mails_of(edit(HEADER).replace("-1 +1", "-1,3 +1,8") + new(".git/config")),
        "[1/1] is damaged (corrupt patch at line 10)",
        ExitStatus.BAD_MAILBOX,
    ),
    Hostile(
        "hunk-hides-lines",
        "lines that a reader sees as part of the change and git passes over",
        mails_of(f"{edit(HEADER)}+#define CHECKED 1\n"),
        "its hunk has more lines than it says",
    ),
    Hostile(
        "no-prefix",
        "names without a/ and b/, from which git cuts the first folder",
        mails_of(new("x").replace(" a/x", " kernel/x").replace("b/x", "kernel/x")),
        "form a/NAME b/NAME",
    ),
    Hostile(
        "plain-diff-outside",
        "a diff without a header, with a name that leads out",
        mails_of("--- ../canary\n+++ ../canary\n@@ -1 +1 @@\n-tweet\n+owned\n"),
        "leads out of the tree",
    ),
    Hostile(
        "diff-in-a-diff",
        "a second diff behind words that look like the end of the mail",
        mails_of(f"{edit(HEADER)}-- \n2.39.5\n\n{new('.git/hooks/pre-commit', HOOK, '100755')}"),
        ".git/hooks/pre-commit: leads into a .git",
    ),
)

SIZES = (
    Hostile(
        "too-many-files",
        "more files than a file system likes in one go",
        mails_of(
            "".join(
                f"diff --git a/f/{n} b/f/{n}\nnew file mode 100644\nindex 0000000..e69de29\n"
                for n in range(10_001)
            )
        ),
        "touches more than 10,000 files",
    ),
    Hostile(
        "too-large",
        "a patch of more than eight megabytes",
        mails_of(new("x", "\n".join(["x" * 1000] * 8400))),
        "the mail is over 8 MiB",
    ),
    Hostile(
        "nul",
        "NUL bytes, behind which some programs read no further",
        mails_of(new("x.c", "int x;\0/*")),
        "is a binary file",
        ExitStatus.BAD_MAILBOX,
    ),
    Hostile(
        "nul-late",
        "the same after enough text to look like a mail",
        mails_of(new("x.c", "/* a comment */\n" * 300 + "int x;\0/*")),
        "[1/1]: the mail has NUL bytes",
    ),
    Hostile(
        "long-first-line",
        "a header of a megabyte that could be cut into two names in a quarter million places",
        mails_of(f"diff --git a/x{' b/x' * (1 << 18)}\nold mode 100644\nnew mode 100755\n"),
        "[1/1] is damaged",
        ExitStatus.BAD_MAILBOX,
    ),
)

CORPUS = (*NAMES, *LINKS, *KINDS, *TOOLS, *HEADERS, *SIZES)
