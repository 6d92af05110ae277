# SPDX-License-Identifier: GPL-2.0-or-later
"""What a bisection is made of, and bisection.json; question.py has the rules, bisect.py the way."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated

from kverdict.errors import ExitStatus
from kverdict.judgement import Evidence
from kverdict.models import MEASURED, Frozen

SCHEMA_VERSION = 1


class Answer(Enum):
    """What one commit says to the question that is bisected."""

    GOOD = "good"
    BAD = "bad"  # the same finding as at the bad end, and nothing else
    SKIP = "skip"  # another failure, another crash, or it cannot be asked: 125
    WEAK = "weak"  # the guest was lost: asked again


class Role(Enum):
    """Why a commit was asked."""

    BAD_END = "bad end"
    GOOD_END = "good end"
    STEP = "step"
    PARENT = "parent again"
    CULPRIT = "culprit again"
    REVERT = "bad end without the culprit"


class Step(Frozen):
    """One commit that was asked: a file of the journal, steps/NNNN.json."""

    number: int  # from 1, in the order in which they were asked
    role: Role
    commit: str
    subject: str
    answer: Answer  # never WEAK: what stays weak is a skip
    why: str
    good: int = 0  # guests that answered so; where no guest is needed, builds
    bad: int = 0
    other: int = 0  # guests with another failure
    weak: int = 0
    position: int | None = None  # among the commits between the ends, from 0, the oldest first
    evaluation: str = ""  # key, names the folder below evaluations/; "": replayed, or not built
    build_id: str | None = None
    bzimage_digest: str | None = None
    message: Annotated[str, MEASURED] = ""  # what the case said, the first line of a report
    rounds: Annotated[tuple[float, ...], MEASURED] = ()  # of the benchmark
    seconds: Annotated[float, MEASURED] = 0.0

    @property
    def guests(self) -> int:
        return self.good + self.bad + self.other + self.weak


class Plan(Frozen):
    """What is shown before the first step."""

    commits: int  # between the ends that may be the culprit, the bad end among them
    steps: int  # git's estimate
    repeats: int  # guests that have to answer good for a good step
    rate: float  # of the bad end's guests that showed the finding
    asked: int  # guests of the bad end
    confidence: float  # wanted
    seconds: Annotated[float, MEASURED]  # estimate for all steps, from what the ends took


class Commit(Frozen):
    """What a commit says of itself."""

    sha: str
    parents: tuple[str, ...]
    author: str  # "Name <address>"
    date: datetime
    subject: str
    message: str  # all of it
    paths: tuple[str, ...]  # touched, against the first parent

    @property
    def fixes(self) -> str:
        """The trailer of a patch that mends it (Documentation/process/submitting-patches.rst)."""
        return f'Fixes: {self.sha[:12]} ("{self.subject}")'


class End(Frozen):
    """One of the two commits that the user named."""

    asked: str  # as named
    sha: str
    description: str  # git describe


class Bisection(Frozen):
    """bisection.json."""

    schema_version: int = SCHEMA_VERSION
    tree: str
    question: str  # as asked: "write.page", "build", "console:...", "bench:write>+5%"
    finding: str  # what it is at the bad end, one line
    good: End
    bad: End
    first_parent: bool
    paths: tuple[str, ...]
    terms: tuple[str, str]  # for old and new
    plan: Plan
    steps: tuple[Step, ...]
    candidates: tuple[Commit, ...]  # one when it was found; several when skips leave several
    proofs: tuple[Evidence, ...]  # "parent", "culprit", "revert"
    suspicions: tuple[str, ...]  # why the culprit may not be able to matter
    confidence: float  # that no bad commit was taken for a good one, as far as guests decide
    log: str  # git bisect log
    exit_status: int
    headline: str
    config_digest: str | None = None  # of the culprit's .config
    console: Annotated[tuple[str, ...], MEASURED] = ()  # of the first bad commit
    commands: tuple[str, ...] = ()  # how to reproduce it here
    portable: tuple[str, ...] = ()  # and elsewhere, in a checkout of the tree
    notes: tuple[str, ...] = ()  # about the mail, for whoever sends it

    @property
    def culprit(self) -> Commit | None:
        return self.candidates[0] if len(self.candidates) == 1 else None

    @property
    def said(self) -> str:
        """What the case, the report or the compiler said, on the last commit that was bad."""
        bad = [step.message for step in self.steps if step.answer is Answer.BAD and step.message]
        return bad[-1] if bad else ""

    @property
    def proven(self) -> bool:
        return self.exit_status == ExitStatus.GOOD
