# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines of evidence that a report shows and a reply may quote: each claim with its proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kverdict.judgement import BAD_OUTCOMES, Evidence, Proof, guests_of, ran
from kverdict.models import (
    Applied,
    BaseChoice,
    Build,
    Checks,
    ConfigProof,
    Evaluation,
    Guest,
    GuestEnd,
    PinnedWarning,
    Reach,
    ReachState,
    Series,
    SymbolProof,
    SymbolState,
)
from kverdict.text import counted

_WORST = (Proof.FAILS, Proof.OPEN, Proof.HOLDS)


def gather_evidence(
    series: Series,
    base: BaseChoice,
    applied: Applied,
    before: Evaluation,
    patches: Sequence[Evaluation],
    *,
    protection: Sequence[str],
    warnings: Sequence[PinnedWarning] = (),
    reach: Reach | None = None,
    checks: Checks | None = None,
) -> tuple[Evidence, ...]:
    after = patches[-1]
    return (
        _source_evidence(series),
        Evidence(
            name="base",
            proof=Proof.HOLDS,
            text=f"{base.description} ({base.sha[:12]}), {base.how.value}, "
            f"{base.blobs_matched} of {base.blobs_total} preimage blobs match",
        ),
        _apply_evidence(series, applied, before, after),
        *((_reach_evidence(reach),) if reach is not None else ()),
        *_config_evidences(before, after),
        *((_build_evidence(before.build),) if before.build is not None else ()),
        _patches_evidence(patches),
        _warnings_evidence(warnings, before, after),
        *((_checks_evidence(checks),) if checks is not None else ()),
        *_guest_evidences("base", before),
        *_guest_evidences("patched", after),
        *_repeat_evidence(after),
        _sandbox_evidence(protection),
    )


def _source_evidence(series: Series) -> Evidence:
    newer = series.newest_revision > series.revision
    return Evidence(
        name="source",
        proof=Proof.OPEN if newer else Proof.HOLDS,
        text=f"v{series.revision}, {counted(len(series.patches), 'patch', 'patches')} from "
        f"{series.kind.value}, {series.attestation}"
        + (f"; v{series.newest_revision} exists" if newer else ""),
    )


def _apply_evidence(
    series: Series, applied: Applied, before: Evaluation, after: Evaluation
) -> Evidence:
    """As many commits as patches, and the two commits at their ends are what was evaluated."""
    done, wanted = len(applied.patches), len(series.patches)
    three_way = sum(patch.three_way for patch in applied.patches)
    text = f"{done} of {counted(wanted, 'patch', 'patches')} applied"
    text += f", {three_way} by 3-way merge" if three_way else ""
    if notes := [note for patch in applied.patches for note in patch.attention]:
        text += f"; worth a look: {', '.join(notes[:5])}"
        text += f" and {len(notes) - 5} more" if len(notes) > 5 else ""
    evaluated = (before.commit, after.commit) == (applied.base, applied.tip)
    if not evaluated:
        text += "; what was evaluated is NOT what was applied"
    holds = evaluated and done == wanted > 0
    return Evidence(name="apply", proof=Proof.HOLDS if holds else Proof.FAILS, text=text)


def missed(config: ConfigProof, *, required: bool) -> tuple[SymbolProof, ...]:
    """The symbols that are not as asked, either the required or the other ones."""
    return tuple(
        symbol
        for symbol in config.asked
        if symbol.required is required and symbol.state is not SymbolState.AS_ASKED
    )


def _config_evidences(before: Evaluation, after: Evaluation) -> Iterator[Evidence]:
    for name, evaluation in (("base", before), ("patched", after)):
        if evaluation.config is not None:
            yield _config_evidence(name, evaluation.config)


def _guest_evidences(name: str, evaluation: Evaluation) -> Iterator[Evidence]:
    if evaluation.build is None or evaluation.guest is None:
        return
    # A guest that never came to the suite claims nothing.
    guests = [guest for guest in guests_of(evaluation) if ran(guest)] or [evaluation.guest]
    identities = [identity_evidence(name, evaluation.build, guest) for guest in guests]
    configs = [running_config_evidence(name, evaluation.config, guest) for guest in guests]
    for evidences in (identities, configs):
        worst = min(evidences, key=lambda item: _WORST.index(item.proof))
        boots = f", in {len(guests)} boots" if len(guests) > 1 else ""
        yield worst.model_copy(update={"text": worst.text + boots})
    yield _console_evidence(name, guests_of(evaluation))
    yield _tests_evidence(name, evaluation.guest)


def _config_evidence(name: str, config: ConfigProof) -> Evidence:
    needed, wanted = missed(config, required=True), missed(config, required=False)
    as_asked = len(config.asked) - len(needed) - len(wanted)
    text = f"{name}: {as_asked} of {counted(len(config.asked), 'symbol')} as asked"
    text += f", {len(config.added)} added as dependencies"
    text += f", {len(config.differing)} differ from make olddefconfig"
    for what, symbols in (("required", needed), ("optional", wanted)):
        if symbols:
            names = ", ".join(sorted(symbol.name for symbol in symbols))
            text += f"; {what} and not reached: {names}"
    proven = not needed and not config.differing
    return Evidence(name="config", proof=Proof.HOLDS if proven else Proof.FAILS, text=text)


def _build_evidence(build: Build) -> Evidence:
    if build.ok:
        return Evidence(
            name="build",
            proof=Proof.HOLDS,
            text=f"base: built, {counted(len(build.warnings), 'warning')}, "
            f"build-id {build.build_id}",
        )
    return Evidence(name="build", proof=Proof.FAILS, text=f"base: {_broken(build)}")


def _broken(build: Build) -> str:
    how = "a clean build fails too" if build.confirmed_clean else "not confirmed by a clean build"
    return f"does not build ({how})"


def _patches_evidence(patches: Sequence[Evaluation]) -> Evidence:
    """Every patch builds on top of the one before: git bisect can stop at each."""
    builds = [item.build for item in patches if item.build is not None]
    good = sum(build.ok for build in builds)
    holds = good == len(patches) > 0
    text = f"patched: {good} of {counted(len(patches), 'patch', 'patches')} built"
    if not holds:
        broken = [
            f"{number}/{len(patches)} {_broken(item.build)}"
            for number, item in enumerate(patches, start=1)
            if item.build is not None and not item.build.ok
        ]
        text += "; " + "; ".join(broken[:5]) if broken else ""
    last = patches[-1].build
    if last is not None and last.ok:
        text += f"; {counted(len(last.warnings), 'warning')}, build-id {last.build_id}"
    return Evidence(name="build", proof=Proof.HOLDS if holds else Proof.FAILS, text=text)


def _warnings_evidence(
    warnings: Sequence[PinnedWarning], before: Evaluation, after: Evaluation
) -> Evidence:
    for whose, item in (("the base", before), ("the series", after)):
        if item.build is None or not item.build.ok:
            text = f"not compared: {whose} does not build"
            return Evidence(name="warnings", proof=Proof.OPEN, text=text)
    stay = [item for item in warnings if item.gone_with is None]
    plain = sum(item.diagnostic.tool == "compiler" for item in stay)
    text = f"{plain or 'no'} new of the compiler" + ("" if plain else ", by identity")
    if after.lint is not None:
        for tool in after.lint.ran:
            text += f"; {sum(item.diagnostic.tool == tool for item in stay) or 'no'} new of {tool}"
        for absent in after.lint.missing:
            text += f"; {absent.tool} did not run ({absent.why})"
    holds = not stay
    return Evidence(name="warnings", proof=Proof.HOLDS if holds else Proof.FAILS, text=text)


def _checks_evidence(checks: Checks) -> Evidence:
    serious = sum(note.severity != "note" for note in checks.notes)
    text = f"{', '.join(checks.ran) or 'none'} ran: " + (
        f"{counted(len(checks.notes), 'new remark')}" if checks.notes else "nothing new"
    )
    for absent in checks.missing:
        text += f"; {absent.tool} did not run ({absent.why})"
    proof = Proof.FAILS if serious else Proof.HOLDS if checks.ran else Proof.OPEN
    return Evidence(name="checks", proof=proof, text=text)


def _reach_evidence(reach: Reach) -> Evidence:
    """That what the series touches is compiled into the kernel that is tested."""
    code = [item for item in reach.files if item.state is not ReachState.NO_CODE]
    done = [item for item in code if item.state is ReachState.COMPILED]
    if not code:
        return Evidence(name="reach", proof=Proof.FAILS, text="the series touches no code")
    text = f"{len(done)} of {counted(len(code), 'touched source file')} compiled"
    for item in code:
        if item.state is ReachState.NOT_COMPILED:
            why = f" (needs {', '.join(item.unmet)})" if item.unmet else ""
            text += f"; not {item.path}{why}"
    proof = Proof.HOLDS if len(done) == len(code) else Proof.FAILS
    return Evidence(name="reach", proof=proof, text=text)


def _repeat_evidence(after: Evaluation) -> Iterator[Evidence]:
    """What failed failed again in a fresh guest."""
    if after.guest is None:
        return
    results = [case for guest in guests_of(after) for case in ran(guest)]
    failed = {case.id for case in results if case.outcome in BAD_OUTCOMES}
    again = {id for id in failed if sum(case.id == id for case in results) > 1}
    if not failed:
        return
    text = f"{len(again)} of {counted(len(failed), 'failing case')} run again in a fresh guest"
    proof = Proof.HOLDS if again == failed else Proof.OPEN
    yield Evidence(name="repeat", proof=proof, text=text)


def identity_evidence(name: str, build: Build, guest: Guest) -> Evidence:
    """The kernel that ran is the one just built: their build-ids are equal."""
    if guest.build_id is None:
        text = f"{name}: the guest never told its build-id"
        return Evidence(name="identity", proof=Proof.OPEN, text=text)
    if guest.build_id != build.build_id:
        text = f"{name}: ran build-id {guest.build_id}, built {build.build_id}"
        return Evidence(name="identity", proof=Proof.FAILS, text=text)
    text = f"{name}: the running kernel's build-id is the one built, {guest.build_id}"
    return Evidence(name="identity", proof=Proof.HOLDS, text=text)


def running_config_evidence(name: str, config: ConfigProof | None, guest: Guest) -> Evidence:
    if config is None or guest.config_digest is None:
        text = f"{name}: /proc/config.gz could not be read in the guest"
        return Evidence(name="running config", proof=Proof.OPEN, text=text)
    same = guest.config_digest == config.digest
    text = f"{name}: the guest's /proc/config.gz {'is' if same else 'is NOT'} the .config built"
    return Evidence(name="running config", proof=Proof.HOLDS if same else Proof.FAILS, text=text)


def _console_evidence(name: str, guests: Sequence[Guest]) -> Evidence:
    if not all(guest.console_scanned for guest in guests):
        text = f"{name}: the console could not be scanned"
        return Evidence(name="console", proof=Proof.FAILS, text=text)
    reports = {splat.fingerprint or splat.title for guest in guests for splat in guest.splats}
    benign = sum(len(guest.benign) for guest in guests)
    text = f"{name}: scanned, " + (counted(len(reports), "report") if reports else "clean")
    text += f"; {counted(benign, 'line')} allowed as benign" if benign else ""
    return Evidence(name="console", proof=Proof.FAILS if reports else Proof.HOLDS, text=text)


def _tests_evidence(name: str, guest: Guest) -> Evidence:
    answered = ran(guest)
    complete = guest.end is GuestEnd.DONE and len(answered) == len(guest.cases) and bool(answered)
    complete = complete and not guest.problems
    return Evidence(
        name="tests",
        proof=Proof.HOLDS if complete else Proof.FAILS,
        text=f"{name}: {len(answered)} of {len(guest.cases)} cases ran "
        f"({guest.accelerator.value}, {guest.end.value})"
        + ("" if guest.kvm or not answered else "; /dev/kvm does not answer in the guest")
        + (f"; not believed: {'; '.join(guest.problems[:3])}" if guest.problems else ""),
    )


def _sandbox_evidence(protection: Sequence[str]) -> Evidence:
    if protection:
        return Evidence(name="sandbox", proof=Proof.HOLDS, text="; ".join(protection))
    text = (
        "none (--unsafe-no-sandbox): the series' code could do anything here, also to these results"
    )
    return Evidence(name="sandbox", proof=Proof.FAILS, text=text)
