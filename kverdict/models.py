# SPDX-License-Identifier: GPL-2.0-or-later
"""What the stages hand to each other: frozen values, written as JSON into a run's folder.

Reading order is the way of the data: Series -> BaseChoice -> Applied -> ConfigProof ->
Build -> Boot -> Evaluation.  Judgements over them are in verdict.py.  Paths are relative to the
folder that the value is stored in; times are in seconds; sizes in bytes; digests are SHA-256 in
hex unless the name says otherwise.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

# Marks a field that two runs of the same thing may fill differently, because a clock, a counter or
# a guest's memory was read for it.  kverdict.stable compares everything else; the schema says it.
MEASURED = Field(json_schema_extra={"measured": True})


class Frozen(BaseModel):
    """A value: cannot change, knows no extra keys, compares by content."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> str:
        return self.model_dump_json(indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        return cls.model_validate_json(text)


# --- the series ---------------------------------------------------------------------------------


class SourceKind(Enum):
    MESSAGE_ID = "message-id"
    MBOX = "mbox"
    MAILDIR = "maildir"
    PATCH_FILES = "patch files"
    REV_RANGE = "rev range"


class Attestation(Frozen):
    """What b4 found of signatures on one patch mail.

    ``attested`` holds only when at least one signature passed and none mismatched the From.
    """

    attested: bool
    results: tuple[str, ...] = ()  # as b4 words them: "signed ed25519/alice@example.org"


class BlobChange(Frozen):
    """One ``index`` line of a diff: which blob a path had before."""

    old_path: str
    preimage: str  # abbreviated blob id; all zeros for a file that the patch creates
    new_path: str


class Patch(Frozen):
    number: int  # from 1
    message_id: str
    subject: str  # without the [PATCH ...] prefix
    author: str  # "Name <address>"
    date: datetime
    patch_id: str | None  # git patch-id --stable
    blobs: tuple[BlobChange, ...]
    attestation: Attestation
    trailers_added: tuple[str, ...] = ()  # collected from replies


class Series(Frozen):
    """A complete series, ready for git am: ``mbox`` is an mboxrd with one mail a patch."""

    kind: SourceKind
    asked: str  # as the user gave it
    message_id: str | None  # of the cover letter, else of the first patch
    subject: str
    author: str
    revision: int
    newest_revision: int  # greater than revision when a newer one was seen
    cover: str | None  # text of the cover letter
    base_commit: str | None  # strictly parsed, 40 or 64 hex digits
    prerequisite_patch_ids: tuple[str, ...]
    change_id: str | None
    patches: tuple[Patch, ...]
    mbox: str  # file name beside series.json
    mbox_digest: str
    rev_range: tuple[str, str] | None = None  # (base sha, tip sha) when kind is REV_RANGE

    @property
    def attestation(self) -> str:
        """In words; a series is attested when each of its patches is."""
        total = len(self.patches)
        missing = [patch.number for patch in self.patches if not patch.attestation.attested]
        if not missing:
            return "attested"
        named = " ".join(f"[{number}/{total}]" for number in missing[:5])
        return f"not attested: {named}" + (f" and {len(missing) - 5} more" if missing[5:] else "")


# --- base and apply -----------------------------------------------------------------------------


class BaseHow(Enum):
    BASE_COMMIT = "base-commit trailer"
    USER = "--base"
    GUESS = "guessed by preimage blobs"
    RANGE = "rev range"


class BaseAttempt(Frozen):
    """One candidate that was looked at, also when it was rejected."""

    how: BaseHow
    ref: str  # as named: a ref, a sha
    sha: str | None  # None when the tree does not have it
    blobs_matched: int
    blobs_total: int
    applies: bool | None  # None when it was not probed
    note: str


class Prerequisite(Frozen):
    patch_id: str
    state: str  # "in base", "applied from <message-id>"


class BaseChoice(Frozen):
    how: BaseHow
    sha: str
    ref: str
    description: str  # git describe, or the kernel version of the Makefile
    blobs_matched: int
    blobs_total: int
    attempts: tuple[BaseAttempt, ...]
    prerequisites: tuple[Prerequisite, ...] = ()


class AppliedPatch(Frozen):
    number: int
    subject: str
    commit: str
    three_way: bool
    paths: tuple[str, ...]  # touched, sorted
    attention: tuple[str, ...] = ()  # allowed and worth a look: "Makefile (why)"


class Applied(Frozen):
    base: str
    tip: str
    patches: tuple[AppliedPatch, ...]


# --- configuration ------------------------------------------------------------------------------


class SymbolState(Enum):
    AS_ASKED = "as asked"
    DIFFERS = "differs"
    UNKNOWN = "unknown symbol"  # this tree has no such symbol


class SymbolProof(Frozen):
    """One requested symbol: what was asked, what the written .config says, and why."""

    name: str  # without CONFIG_
    asked: str
    got: str  # "n" when absent
    state: SymbolState
    fragment: str  # file name of the fragment that asked
    required: bool
    why: str = ""  # the unmet dependency by name, or the select that forces it, one line


class AddedSymbol(Frozen):
    """A dependency that was turned on although no fragment names it."""

    name: str
    value: str
    needed_by: str


class ConfigProof(Frozen):
    digest: str  # of the .config
    kernel_version: str
    compiler: str
    asked: tuple[SymbolProof, ...]
    added: tuple[AddedSymbol, ...]
    differing: tuple[
        str, ...
    ]  # symbols on which make olddefconfig disagreed: "NAME: ours -> make's"
    notes: tuple[str, ...] = ()  # e.g. Kconfig could not be parsed, merged without resolution


# --- build --------------------------------------------------------------------------------------


class Diagnostic(Frozen):
    """One message of the compiler, linker, modpost, make or a checker of sources."""

    severity: str  # "error" or "warning"
    file: str | None
    line: int | None
    message: str
    flag: str | None = None  # "-Wunused-variable"
    function: str | None = None  # that it is about, when the tool says so
    tool: str = "compiler"  # "compiler": the plain build; "W=1", "sparse": a Lint


class Build(Frozen):
    ok: bool
    seconds: Annotated[float, MEASURED]
    clean: Annotated[bool, MEASURED]  # built from an empty object folder
    confirmed_clean: bool  # a failure that a clean build repeated
    build_id: str | None  # GNU build-id of vmlinux, hex
    bzimage_digest: str | None
    first_error: Diagnostic | None
    warnings: tuple[Diagnostic, ...]  # of all objects, also of those that were not built anew


class Absent(Frozen):
    """A check that did not run, and why: it is not installed, the tree does not have it."""

    tool: str
    why: str
    file: str | None = None  # that it could not read, though others; None: it did not run at all


class Lint(Frozen):
    """What stricter checkers say about some files of one commit; the same files on each commit."""

    files: tuple[str, ...]  # that were looked at, a header in a file that includes it
    ran: tuple[str, ...]  # "W=1", "sparse"
    missing: tuple[Absent, ...]
    messages: tuple[Diagnostic, ...]


class PinnedWarning(Frozen):
    """A message that some patch brought: the base, and the patch before, do not have it."""

    diagnostic: Diagnostic  # as it stands in the build of that patch
    patch: int  # number of the patch, from 1
    touched: bool  # on a line that this patch added or changed
    gone_with: int | None = None  # the later patch without it; None: the whole series has it


class SymbolChange(Frozen):
    """A symbol whose value in the .config is not the one of the commit before."""

    name: str  # without CONFIG_
    before: str | None  # "n" when it is not set; None when the .config does not have it
    after: str | None


class KconfigChange(Frozen):
    """What a patch does to the configuration that the same fragments lead to."""

    patch: int
    symbols: tuple[SymbolChange, ...]


# --- checks of the patches' text ------------------------------------------------------------------


class CheckNote(Frozen):
    """What a check says about one patch."""

    tool: str  # "checkpatch", "kernel-doc", "coccicheck", "DCO", "Fixes"
    patch: int
    severity: str  # "error", "warning" or "note"
    file: str | None
    line: int | None  # of the file as the patch leaves it
    message: str


class Checks(Frozen):
    ran: tuple[str, ...]
    missing: tuple[Absent, ...]
    notes: tuple[CheckNote, ...]  # new ones only: the base does not have them


# --- reach ----------------------------------------------------------------------------------------


class ReachState(Enum):
    COMPILED = "compiled"  # the build read the file
    NOT_COMPILED = "not compiled here"
    NO_CODE = "nothing to compile"  # documentation, MAINTAINERS, a tool, a file that is removed


class FileReach(Frozen):
    """Whether the build under this configuration read a file that the series touches."""

    path: str
    patches: tuple[int, ...]  # that touch it
    state: ReachState
    condition: str = ""  # the Kconfig expression that decides, from the Makefiles: "NUMA && KVM"
    unmet: tuple[str, ...] = ()  # symbols of it that are off: "NUMA"
    enable: tuple[str, ...] = ()  # assignments that would have it compiled: "CONFIG_NUMA=y"
    note: str = ""


class Reach(Frozen):
    files: tuple[FileReach, ...]
    enabled: tuple[str, ...] = ()  # assignments that --reach added to the fragments


# --- boot ---------------------------------------------------------------------------------------


class Accelerator(Enum):
    KVM = "kvm"
    TCG = "tcg"


class GuestEnd(Enum):
    """How the guest's life ended."""

    DONE = "done"  # the suite said so and the guest powered off
    PANIC = "panic"
    BOOT_TIMEOUT = "no userspace within the boot limit"
    SILENCE = "silent for too long"
    TIMEOUT = "over the limit for the whole guest"
    LOST = "ended without a word"
    RESULTS_FULL = "filled its results folder"
    CONSOLE_FULL = "printed without end"
    NOT_STARTED = "not started"


class Outcome(Enum):
    """What one case reported on one kernel."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"  # the feature is not there
    TIMEOUT = "timeout"
    CRASH = "crash"  # the case's process died by a signal, or the guest died in it
    ERROR = "error"  # the case itself is broken: our trouble
    NOT_RUN = "not run"  # the guest was gone before its turn


class CaseResult(Frozen):
    id: str
    title: str
    source: str  # man page, commit message, upstream selftest
    outcome: Outcome
    message: Annotated[str, MEASURED]  # it may quote what was in memory, or count what was lost
    seconds: Annotated[float, MEASURED]
    in_guest: bool = True  # false for a selftest that could not be built: no guest had it


class BenchRow(Frozen):
    """One way to populate, over several rounds; ``unit`` says what was counted."""

    name: str  # "write" or "memcpy"
    unit: str  # "ns" or "guest instructions"
    mib: int
    rounds: Annotated[tuple[int, ...], MEASURED]
    median: Annotated[int, MEASURED]
    minimum: Annotated[int, MEASURED]
    maximum: Annotated[int, MEASURED]


class SplatKind(Enum):
    PANIC = "panic"
    OOPS = "oops"
    BUG = "BUG"
    WARN = "WARN"
    KASAN = "KASAN"
    UBSAN = "UBSAN"
    LOCKDEP = "lockdep"
    RCU_STALL = "RCU stall"
    HUNG_TASK = "hung task"
    LOCKUP = "lockup"


class Splat(Frozen):
    """One report of the kernel against itself on the console."""

    kind: SplatKind
    title: str  # one line, without time stamp
    function: str | None
    line: Annotated[int, MEASURED]  # of the console log, from 1
    excerpt: Annotated[str, MEASURED]  # at most 40 lines, symbolized when that was possible
    during: str | None = None  # id of the case that was running
    frames: tuple[str, ...] = ()  # functions, the innermost first, without those that report
    fingerprint: str = ""  # the same crash has the same, whatever the addresses and lines
    place: str | None = None  # "virt/kvm/guest_memfd.c:123", from decode_stacktrace.sh


class BenignLine(Frozen):
    """A line that looks like a report, and the entry of the allowlist that says it is none."""

    text: Annotated[str, MEASURED]
    reason: str
    expires: str  # ISO date after which the entry does not count any more


class TestOutput(Frozen):
    """What a test program, or a KUnit suite, printed."""

    __test__ = False  # pytest takes it for a test otherwise

    case: str
    text: Annotated[str, MEASURED]


class Guest(Frozen):
    """What one boot showed."""

    accelerator: Accelerator
    accelerator_why: str
    end: GuestEnd
    seconds: Annotated[float, MEASURED]
    boot_seconds: Annotated[float | None, MEASURED]  # to the suite's first line
    release: str | None  # uname -r in the guest
    build_id: str | None  # of the running kernel, from /sys/kernel/notes
    config_digest: str | None  # of /proc/config.gz, unpacked
    kvm: bool  # /dev/kvm answered in the guest
    cases: tuple[CaseResult, ...]
    bench: tuple[BenchRow, ...]
    splats: tuple[Splat, ...]
    console_scanned: bool
    console_tail: Annotated[tuple[str, ...], MEASURED]
    bench_note: str = ""
    problems: tuple[str, ...] = ()  # what of the guest's results was not believed
    benign: tuple[BenignLine, ...] = ()  # of the console, allowed by the allowlist
    symbols_note: str = ""  # why reports have no files and lines
    outputs: tuple[TestOutput, ...] = ()  # of --kselftest and --kunit
    boot: Annotated[int, MEASURED] = 1  # its number, from 1: the files of the second end in -2
    every_case: bool = True  # false when it was asked for some of the cases


# --- evaluation ---------------------------------------------------------------------------------


class Recipe(Frozen):
    """How a commit is evaluated; together with the tree it is the key of an Evaluation."""

    arch: str
    fragments: tuple[tuple[str, str], ...]  # (file name, digest)
    toolchain: str
    suite: str  # digest of the guest suite
    host: tuple[str, ...]  # what besides the kernel decides how a guest runs: QEMU, /dev/kvm
    code: tuple[str, str]  # digests of our own code: configure and build, boot and test
    accelerator: str  # "auto", "kvm" or "tcg"
    bench_mib: int
    isolation: str  # sandbox.Isolation


class Evaluation(Frozen):
    """All that was found out about one commit with one recipe."""

    key: str
    built: str  # key of the stored build
    commit: str
    tree: str
    describe: str  # for people: "base", "patch 2/3"
    config: ConfigProof | None
    build: Build | None
    guest: Guest | None  # the first boot with all the cases asked for
    infra: str | None = None  # our trouble, when it stopped the evaluation
    reruns: tuple[Guest, ...] = ()  # further boots: --repeat, or only cases that failed
    lint: Lint | None = None


# --- memory across revisions ----------------------------------------------------------------------


class Since(Enum):
    """What became of a finding since the revision before."""

    GONE = "gone"
    STILL = "still there"
    NEW = "new"
    NOT_LOOKED = "not looked at"  # one of the two runs could not have seen it


class Remembered(Frozen):
    since: Since
    key: str  # of the finding, see verdict.Finding
    title: str
    verdict: str  # verdict.CaseVerdict, of the newer run where it has one
    why: str = ""  # it cannot be told: "now: W=1 did not run"; or where it was then


class Memory(Frozen):
    """This run beside the run of an earlier revision of the same series."""

    run: str  # name of the earlier run's folder
    revision: int
    headline: str  # of the earlier verdict
    findings: tuple[Remembered, ...]
    same_base: bool
    range_diff: str | None = None  # file in this run's folder: the range-diff that b4 diff makes
    note: str = ""  # why there is no range-diff
