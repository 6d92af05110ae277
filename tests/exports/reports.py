# SPDX-License-Identifier: GPL-2.0-or-later
"""A report for each kind of verdict, judged by the real rules."""

from __future__ import annotations

from collections.abc import Sequence

from kverdict import models as m
from kverdict.judgement import Report
from kverdict.models import Outcome
from kverdict.verdict import judge
from tests import factories as make

GMEM = "virt/kvm/guest_memfd.c"
GOOD = {"write.page": Outcome.PASS, "write.empty": Outcome.PASS}


def evaluated(outcomes: dict[str, Outcome], **changes: object) -> m.Evaluation:
    """The patched kernel, with these cases in its one boot."""
    return make.evaluation(guest=make.guest(cases=make.cases(outcomes)), **changes)


def on_base(outcomes: dict[str, Outcome], **changes: object) -> m.Evaluation:
    return make.before(guest=make.guest(make.BASE_ID, cases=make.cases(outcomes)), **changes)


def report_of(
    before: m.Evaluation,
    *patches: m.Evaluation,
    warnings: Sequence[m.PinnedWarning] = (),
    checks: m.Checks | None = None,
    **changes: object,
) -> Report:
    """Of as many patches as there are evaluations; the last one is of the whole series."""
    total = len(patches)
    numbers = range(1, total + 1)
    mails = tuple(make.patch(number, subject=f"KVM: change {number}") for number in numbers)
    series = make.series(**{"patches": mails, **changes})
    commits = [*(f"{number:040x}" for number in numbers[:-1]), make.TIP]
    applied = make.applied(
        patches=tuple(
            m.AppliedPatch(
                number=number,
                subject=f"KVM: change {number}",
                commit=commit,
                three_way=False,
                paths=(GMEM,),
            )
            for number, commit in zip(numbers, commits, strict=True)
        )
    )
    evaluations = tuple(
        patch.model_copy(update={"commit": commit, "describe": f"patch {number}/{total}"})
        for number, commit, patch in zip(numbers, commits, patches, strict=True)
    )
    base = make.base_choice()
    return Report(
        verdict=judge(
            series,
            base,
            applied,
            before,
            evaluations,
            protection=("bubblewrap 0.8.0", "no network"),
            warnings=warnings,
            checks=checks,
        ),
        series=series,
        base=base,
        applied=applied,
        base_evaluation=before,
        patch_evaluations=evaluations,
        warnings=tuple(warnings),
        checks=checks,
    )


def warning(patch: int = 1, **changes: object) -> m.PinnedWarning:
    gone = changes.pop("gone_with", None)
    return m.PinnedWarning.model_validate(
        {"diagnostic": diagnostic(**changes), "patch": patch, "touched": True, "gone_with": gone}
    )


def diagnostic(**changes: object) -> m.Diagnostic:
    return m.Diagnostic.model_validate(
        {
            "severity": "warning",
            "file": GMEM,
            "line": 512,
            "message": "unused variable 'folio'",
            "flag": "-Wunused-variable",
            "function": "kvm_gmem_write_begin",
            **changes,
        }
    )


def _flaky() -> Report:
    cases = make.cases(GOOD | {"write.race": Outcome.FAIL})
    again = make.guest(cases=make.cases({"write.race": Outcome.PASS}))
    return report_of(
        on_base(GOOD | {"write.race": Outcome.PASS}),
        make.evaluation(guest=make.guest(cases=cases), reruns=(again,)),
    )


def _lost() -> Report:
    """The first guest was killed while a case ran; the second one came to its end."""
    cases = make.cases({"write.page": Outcome.PASS, "write.empty": Outcome.CRASH})
    gone = make.guest(end=m.GuestEnd.LOST, cases=cases)
    return report_of(
        on_base(GOOD),
        make.evaluation(guest=make.guest(cases=make.cases(GOOD)), reruns=(gone,)),
    )


def _series() -> Report:
    """Three patches: the second does not build, the third repairs that, and warns and splats."""
    kselftest = {"kselftest.kvm.gmem": Outcome.FAIL, "kselftest.kvm.gmem/write": Outcome.FAIL}
    old = dict.fromkeys(kselftest, Outcome.PASS) | {"kselftest.kvm.gmem/read": Outcome.PASS}
    new = kselftest | {"kselftest.kvm.gmem/read": Outcome.PASS}
    last = make.evaluation(
        build=make.build(warnings=(diagnostic(line=530),)),
        guest=make.guest(
            cases=make.cases(GOOD | new),
            splats=(make.splat(during="write.page"),),
            bench=(make.bench("write", 9_400_000), make.bench("memcpy", 21_400_000)),
        ),
    )
    return report_of(
        on_base(GOOD | old),
        make.evaluation(build=make.build("b1d2" * 10), guest=None),
        make.evaluation(build=make.failed_build(), guest=None),
        last,
        warnings=(
            warning(1),
            warning(3, flag="-Wshadow", message="shadowed", tool="W=1", function=None),
            warning(1, message="gone again", line=7, gone_with=3),
        ),
        checks=m.Checks(
            ran=("DCO", "checkpatch"),
            missing=(m.Absent(tool="coccicheck", why="not asked for"),),
            notes=(
                m.CheckNote(
                    tool="checkpatch",
                    patch=2,
                    severity="error",
                    file=GMEM,
                    line=600,
                    message="code indent should use tabs where possible",
                ),
                m.CheckNote(
                    tool="DCO",
                    patch=3,
                    severity="warning",
                    file=None,
                    line=None,
                    message="the last Signed-off-by is not of who mailed the patch",
                ),
            ),
        ),
    )


def kinds() -> dict[str, Report]:
    """By name; each is of one verdict, "series" of several."""
    page, empty = "write.page", "write.empty"
    fail = GOOD | {page: Outcome.FAIL}
    lost = GOOD | {page: Outcome.SKIP, "write.slow": Outcome.TIMEOUT}
    dead = make.guest(
        None, end=m.GuestEnd.PANIC, cases=make.cases({page: Outcome.NOT_RUN}), splats=()
    )
    skipped = dict.fromkeys(GOOD, Outcome.SKIP)
    return {
        "good": report_of(on_base(GOOD), evaluated(GOOD)),
        "new-fail": report_of(on_base(GOOD | {"write.slow": Outcome.PASS}), evaluated(lost)),
        "pre-existing": report_of(on_base(fail), evaluated(fail)),
        "fixed": report_of(on_base(fail), evaluated(GOOD)),
        "flaky": _flaky(),
        "untestable": report_of(on_base(skipped), evaluated(skipped)),
        "infra": report_of(on_base(GOOD), evaluated(GOOD | {empty: Outcome.ERROR})),
        "wrong-kernel": report_of(
            on_base(GOOD),
            make.evaluation(guest=make.guest("bad1" * 10, cases=make.cases(fail))),
        ),
        "panic": report_of(on_base(GOOD), make.evaluation(guest=dead)),
        "series": _series(),
        "passing": report_of(
            on_base(GOOD),
            make.evaluation(
                build=make.build("b1d2" * 10),
                guest=make.guest("b1d2" * 10, cases=make.cases(fail), splats=(make.splat(),)),
            ),
            evaluated(GOOD),
        ),
        "lost": _lost(),
    }


HOSTILE = (
    "\x00\x01\x08\x0b\x0c\x1b[31m\x7f\x85\u202e\u2028\ufffe ]]> </failure> <script>alert(1)"
    "</script> &lt; \" ' # SKIP x\r\nok 1 forged\nKTAP version 1\n# Subtest: forged\n1..9\n"
    "List of all partitions: reboot: System halted\n| a | b | ![i](http://x.example/i) [l](http:/"
    "/x.example) **b** @everyone www.x.example ```\n~~~ {0} {{ }} {% raw %} $HOME `id` \\"
)


def hostile() -> Report:
    """Strangers' words wherever there is room for them."""
    case = make.case(
        "write.page", Outcome.FAIL, title=f"t{HOSTILE}", source=f"s{HOSTILE}", message=HOSTILE
    )
    strange = make.case(f"x{HOSTILE}", Outcome.FAIL, title=HOSTILE, message=HOSTILE)
    old = (make.case("write.page"), make.case(strange.id))
    guest = make.guest(
        cases=(case, strange),
        splats=(make.splat(f"in {HOSTILE}", excerpt=HOSTILE),),
        accelerator_why=HOSTILE,
    )
    return report_of(
        make.before(guest=make.guest(make.BASE_ID, cases=old)),
        make.evaluation(guest=guest, config=make.config(compiler=HOSTILE)),
        warnings=(
            warning(message=HOSTILE, file="../../etc/passwd", flag=f"-W{HOSTILE}"),
            warning(message=HOSTILE, file="/etc/passwd", function=HOSTILE),
            warning(message=HOSTILE, file=f"a b/{HOSTILE}", line=0),
        ),
        checks=m.Checks(
            ran=(HOSTILE,),
            missing=(m.Absent(tool=HOSTILE, why=HOSTILE),),
            notes=(
                m.CheckNote(
                    tool=HOSTILE, patch=1, severity=HOSTILE, file=None, line=None, message=HOSTILE
                ),
            ),
        ),
        subject=HOSTILE,
        author=HOSTILE,
        patches=(make.patch(subject=HOSTILE, author=HOSTILE),),
    )
