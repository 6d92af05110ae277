# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of a run: report.html, report.txt, verdict.json and its schema."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest
from rich.cells import cell_len

from kverdict.errors import UserError
from kverdict.models import BenignLine, FileReach, GuestEnd, Outcome, Reach, ReachState
from kverdict.models import TestOutput as OutputOfTest
from kverdict.render.report import html, render, schema, text
from kverdict.render.summary import summary
from kverdict.runs import RunState
from kverdict.text import one_line
from kverdict.verdict import Report
from tests import factories as make

HOME = Path(__file__).parent.parent.parent
TEMPLATES = HOME / "templates"
SCHEMA = HOME / "docs" / "verdict.schema.json"
COMMANDS = ("./pipeline.py verify --tree debian:7.2 gmem-write.mbx",)
VOID = {"meta", "br", "link", "img", "input", "hr"}


@dataclass
class Page(HTMLParser):
    """What a browser makes of the page, as far as the tests ask."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    style: str = ""
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.style += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def page_of(report: Report) -> Page:
    page = Page()
    page.feed(html(report, templates=TEMPLATES, commands=COMMANDS))
    page.close()
    assert page.open == []
    return page


def text_of(report: Report) -> str:
    return text(report, templates=TEMPLATES, commands=COMMANDS)


def with_findings() -> Report:
    """A report in which every section has something to show."""
    outcomes = {"pwrite.page": Outcome.PASS, "pwrite.empty": Outcome.FAIL, "aio": Outcome.SKIP}
    old = make.cases({**outcomes, "pwrite.empty": Outcome.SKIP})
    config = make.config(
        asked=(make.symbol("KVM"), make.missing_symbol("X86_SGX", required=False)),
        differing=("FOO: y -> n",),
        notes=("a note",),
    )
    bench = (make.bench("write", 9_400_000, 9_470_000, 9_500_000), make.bench("memcpy", 21_400_000))
    return make.report(
        make.before(config=config, guest=make.guest(make.BASE_ID, cases=old)),
        make.evaluation(
            config=config,
            guest=make.guest(
                cases=make.cases(outcomes),
                bench=bench,
                splats=(make.splat(during="pwrite.page"),),
            ),
        ),
        series=make.series(
            cover="The cover letter.",
            newest_revision=8,
            patches=(make.patch(trailers_added=("Reviewed-by: Bob <bob@example.org>",)),),
        ),
    )


STATES = {
    "good": make.report(),
    "findings": with_findings(),
    "does not build": make.report(None, make.evaluation(build=make.failed_build(), guest=None)),
    "panics": make.report(
        None,
        make.evaluation(
            guest=make.guest(
                None,
                end=GuestEnd.PANIC,
                cases=make.cases({"pwrite.page": Outcome.NOT_RUN}),
                boot_seconds=None,
                release=None,
                config_digest=None,
                kvm=False,
            )
        ),
    ),
    "nothing was done": make.report(
        make.before(config=None, build=None, guest=None, infra="the disk is full"),
        make.evaluation(config=None, build=None, guest=None),
    ),
    "no message-id": make.report(series=make.series(message_id=None)),
}


@pytest.mark.parametrize("state", STATES)
def test_every_state_of_a_run_has_its_pages(state: str) -> None:
    report = STATES[state]
    page, plain = page_of(report), text_of(report)
    for shown in (page.text, " ".join(plain.split())):
        assert report.verdict.headline in shown
        assert report.series.subject in shown
        assert f"exit status {report.verdict.exit_status}" in shown
        assert COMMANDS[0] in shown
    assert all(cell_len(line) <= 78 for line in plain.splitlines())
    assert "\n\n\n" not in plain


def test_a_finding_is_shown_with_what_was_expected_and_where_that_comes_from() -> None:
    report = with_findings()
    for shown in (page_of(report).text, " ".join(text_of(report).split())):
        assert "NEW-FAIL" in shown
        assert "what pwrite.empty is about" in shown
        assert "expected 4096, got -1 EINVAL (Invalid argument)" in shown
        assert "Source: write(2)" in shown


def test_the_page_has_every_part_of_the_evidence() -> None:
    report = with_findings()
    shown = page_of(report).text
    assert all(" ".join(item.text.split()) in shown for item in report.verdict.evidence)
    for part in (
        "v7, 1 patch from mbox; v8 exists",
        "Alice Example <alice@example.org>",
        "guessed by preimage blobs (HEAD), 4 of 4 preimage blobs match",
        "gcc (Debian 12.2.0-14) 12.2.0",
        "tcg: a guest does not boot with KVM: failed to set MSR 0x10a",
        "CONFIG_X86_SGX",
        "depends on CPU_SUP_AMD, which is n",
        "CONFIG_VIRTUALIZATION",
        "FOO: y -> n",
        make.TIP_ID,
        "WARNING: virt/kvm/guest_memfd.c:519",
        "reboot: Power down",
        "20251114151828.98165-1-alice@example.org",
        "Reviewed-by: Bob <bob@example.org>",
        "The cover letter.",
        "evaluations/" + "7e57" * 16,
    ):
        assert part in shown, part


def test_how_often_it_was_seen_what_was_allowed_and_what_tests_printed() -> None:
    allowed = BenignLine(text="WARNING: an old one", reason="known for years", expires="2027-11-30")
    splat = make.splat(fingerprint="WARN:kvm_gmem_write_begin", line=812)
    lost = make.guest(end=GuestEnd.PANIC, cases=make.cases({"a": Outcome.NOT_RUN}))
    after = make.guest(
        boot=2,
        cases=make.cases({"kunit.x": Outcome.FAIL}),
        splats=(splat,),
        benign=(allowed, allowed),
        outputs=(OutputOfTest(case="kunit.x", text="not ok 1 x\n" * 2000),),
    )
    far = FileReach(
        path="mm/a.c",
        patches=(1,),
        state=ReachState.NOT_COMPILED,
        condition="NUMA && KVM",
        unmet=("NUMA",),
    )
    report = make.report(
        make.before(guest=make.guest(make.BASE_ID, cases=make.cases({"kunit.x": Outcome.PASS}))),
        make.evaluation(guest=after, reruns=(lost,)),
    ).model_copy(update={"reach": Reach(files=(far,))})
    page, plain = page_of(report).text, " ".join(text_of(report).split())
    for shown in (page, plain):
        assert "fails 1 of 1, base passes 1 of 1" in shown
        assert "seen in 1 of 2 boots, base in 0 of 1 boot" in shown
        assert "WARN:kvm_gmem_write_begin" in shown
        assert "line 812 of console-2.log" in shown
        assert "2 lines" in shown
        assert "allowed until 2027-11-30: known for years" in shown
        assert "WARNING: an old one" in shown
        assert "off: NUMA" in shown
    assert "not ok 1 x not ok 1 x" in page
    assert f"more characters, see evaluations/{'7e57' * 16}/guest-2.json]" in page
    assert f"evaluations/{'7e57' * 16}/console-2.log, other boots: evaluations/" in page
    assert "Output of kunit.x, patched, boot 2: evaluations/7e577e577e57*/guest-2.json" in plain
    assert "not ok 1 x" not in plain
    assert "NEW-FAIL, 1 case: fails 1 of 1, base passes 1 of 1 kunit.x" in plain
    assert all(cell_len(line) <= 78 for line in text_of(report).splitlines())


def test_a_benchmark_in_instructions_is_labelled_and_every_number_has_its_unit() -> None:
    page, plain = page_of(with_findings()).text, text_of(with_findings())
    assert all(f"{number} M guest instructions" in page for number in ("9.40", "9.47", "9.50"))
    assert "median 9.47 M, min 9.40 M, max 9.50 M guest instructions\n" in plain
    for shown in (page, plain):
        assert "not time" in shown
        assert "write() takes 0.44 of what mmap and memcpy take" in shown
    timed = (
        make.bench("write", 202_000_000, unit="ns"),
        make.bench("memcpy", 436_000_000, unit="ns"),
    )
    plain = text_of(make.report(None, make.evaluation(guest=make.guest(bench=timed))))
    assert "202.00 ms" in plain
    assert "not time" not in plain
    assert "write() takes 0.46 of" in plain


def test_each_verdict_has_a_colour_and_a_word() -> None:
    for report in STATES.values():
        page = page_of(report)
        classes = next(tag[1]["class"] for tag in page.tags if tag[0] == "header")
        assert f".{classes} {{ --c:" in page.style
        assert report.verdict.overall.value in page.text


def test_a_series_is_attested_as_a_whole_or_its_other_patches_are_named() -> None:
    good, bad = make.attested(True), make.attested(False)
    for found, said in (
        ((good, good), "attested"),
        ((good, bad), "not attested: [2/2]"),
        ((bad,) * 7, "not attested: [1/7] [2/7] [3/7] [4/7] [5/7] and 2 more"),
    ):
        patches = tuple(make.patch(n, attestation=one) for n, one in enumerate(found, start=1))
        report = make.report(series=make.series(patches=patches))
        source = next(item for item in report.verdict.evidence if item.name == "source")
        assert source.text.endswith(f", {said}")
        assert f"<dt>Signatures</dt><dd>{said}</dd>" in html(
            report, templates=TEMPLATES, commands=COMMANDS
        ).replace("\n", "")
        assert f"Signatures   {said}\n" in text_of(report)
        assert f"Signatures   {said}" in summary(report, Path("runs/one"))


def test_what_is_worth_a_look_is_said_beside_its_patch_and_in_the_evidence() -> None:
    notes = tuple(f"scripts/{n}.sh (becomes executable)" for n in range(7))
    patch = make.applied().patches[0].model_copy(update={"attention": notes})
    report = make.report(applied=make.applied(patches=(patch,)))
    apply = next(item for item in report.verdict.evidence if item.name == "apply")
    assert apply.text.endswith(f"; worth a look: {', '.join(notes[:5])} and 2 more")
    for shown in (page_of(report).text, text_of(report)):
        assert all(f"! {note}" in shown for note in notes)


# --- the page loads and runs nothing --------------------------------------------------------------


def test_the_page_is_one_file_that_loads_nothing() -> None:
    page = page_of(with_findings())
    tags = [name for name, _ in page.tags]
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base"} & set(tags)
    for name, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key in ("src", "style")]
        if "href" in attributes:
            assert re.fullmatch(r"#[\w.-]+", attributes["href"] or ""), name
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_only_the_page_s_own_style_sheet_is_allowed() -> None:
    page = page_of(with_findings())
    policy = next(
        attributes["content"] or ""
        for name, attributes in page.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == f"'sha256-{digest}'"
    assert "script-src" not in rules


def test_every_anchor_leads_somewhere() -> None:
    tags = page_of(with_findings()).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in tags:
        if "href" in attributes:
            assert (attributes["href"] or "").removeprefix("#") in ids


# --- hostile input --------------------------------------------------------------------------------

HOSTILE = (
    "<script>alert(1)</script>",
    "</style></title><img src=x onerror=alert(1)>",
    "\" onmouseover='alert(1)' x=\"",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "\x1b[2J\x1b]0;owned\x07",
    "user\u202egnp.exe\u2066",
    "first\nEVIDENCE\n\nholds everything: yes",
    "]]>&amp;&#x3c;b&#x3e;",
    "' onfocus=alert(1) autofocus tabindex=1 x='",
    "<a href=javascript:alert(1)>javascript:alert(1)</a>",
    "--><svg/onload=alert(1)><!--",
    "</pre></code></td></table><form action=https://evil.example><input>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}{# #}{{ self._TemplateReference__context }}",
    "one line\u2028EVIDENCE\u2029\u0085\x0b\x0cEVIDENCE",
    "\x1b]8;;https://evil.example\x1b\\kernel.org\x1b]8;;\x1b\\",
    "\x1b]52;c;b3duZWQ=\x07\x1bP+q544e\x1b\\",
    "\x9b2J\x9d0;owned\x9c\x90",
    "zero\u200bwidth\ufeff\u00ad\u2060 tag\U000e0041",
    "\ud800 lone, \ue000 private, \U0010ffff none",
    "\r\rEVIDENCE\rBcc: victim@example.org",
    "word" * 2000,
)
ACTS = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\uf8ff]"
)


def hostile_report(bad: str) -> Report:
    """A stranger's text wherever a mail, a tree or a guest can put one."""
    case = make.case("pwrite.page", Outcome.FAIL, message=bad, title=bad, source=bad)
    error = make.failed_build().first_error
    assert error is not None
    warning = error.model_copy(update={"severity": "warning", "message": bad, "file": bad})
    config = make.config(compiler=bad, notes=(bad,), differing=(bad,))
    return make.report(
        make.before(guest=make.guest(make.BASE_ID)),
        make.evaluation(
            config=config,
            build=make.build(warnings=(warning,)),
            guest=make.guest(
                cases=(case, make.case("other")),
                release=bad,
                accelerator_why=bad,
                console_tail=(bad,),
                splats=(make.splat(title=bad, excerpt=bad, function=bad),),
                bench_note=bad,
                problems=(bad,),
                benign=(BenignLine(text=bad, reason=bad, expires="2027-11-30"),),
                outputs=(OutputOfTest(case="pwrite.page", text=bad),),
            ),
        ),
        series=make.series(
            subject=bad,
            author=bad,
            message_id=bad,
            asked=bad,
            cover=bad,
            patches=(make.patch(subject=bad, author=bad, message_id=bad, trailers_added=(bad,)),),
        ),
        base=make.base_choice(ref=bad, description=bad),
        applied=make.applied(
            patches=(
                make.applied().patches[0].model_copy(update={"paths": (bad,), "attention": (bad,)}),
            )
        ),
    )


@pytest.mark.parametrize("bad", HOSTILE)
def test_a_stranger_s_text_stays_text(bad: str) -> None:
    plain = page_of(hostile_report("harmless"))
    page = page_of(hostile_report(bad))
    assert [name for name, _ in page.tags] == [name for name, _ in plain.tags]
    attributes = [set(found) for _, found in page.tags]
    assert attributes == [set(found) for _, found in plain.tags]
    assert page.style == plain.style
    for name, found in page.tags:
        assert (found.get("href") or "#").startswith("#"), name
        assert not {"src", "action", "formaction", "background", "data", "ping"} & set(found)
    for shown in (html(hostile_report(bad), templates=TEMPLATES, commands=()), page.text):
        assert not ACTS.search(shown)


@pytest.mark.parametrize("bad", HOSTILE)
def test_a_stranger_s_text_acts_on_no_terminal_and_forges_no_section(bad: str) -> None:
    plain = text_of(hostile_report(bad))
    assert not ACTS.search(plain)
    assert plain.splitlines().count("EVIDENCE") == 1
    assert not [line for line in plain.splitlines() if line.startswith("Bcc:")]
    words = hostile_report("harmless")
    longest = max(cell_len(line) for line in text_of(words).splitlines())
    ids = "<" + one_line(bad) + ">"  # of mails, which must not be broken
    for line in plain.splitlines():
        assert cell_len(line) <= max(78, longest) or ids in line


def test_a_template_is_never_made_of_a_stranger_s_text() -> None:
    page = page_of(hostile_report("{{ 7 * 7 }}{% if 1 %}49{% endif %}")).text
    assert "{{ 7 * 7 }}{% if 1 %}49{% endif %}" in page
    assert "4949" not in page


@pytest.mark.parametrize(
    "word",
    [
        "''.__class__.__mro__",
        "verdict.__init__.__globals__",
        "report.model_copy.__func__.__globals__",
        "self.__init__.__globals__",
        "cycler.__init__.__globals__.os.popen('id').read()",
    ],
)
def test_a_user_s_template_gets_nowhere_either(tmp_path: Path, word: str) -> None:
    (tmp_path / "report.txt.j2").write_text(f"{{{{ {word} }}}}")
    with pytest.raises(UserError, match=r"report\.txt\.j2:1: "):
        text(make.report(), templates=tmp_path, commands=())


def test_a_huge_message_is_cut_and_says_so(tmp_path: Path) -> None:
    huge = "expected " + "x" * 100_000
    report = make.report(
        None,
        make.evaluation(
            guest=make.guest(cases=(make.case("pwrite.page", Outcome.FAIL, message=huge),))
        ),
    )
    render(report, tmp_path, templates=TEMPLATES, commands=COMMANDS)
    assert (tmp_path / "report.html").stat().st_size < 60_000
    assert (tmp_path / "report.txt").stat().st_size < 10_000
    for name in ("report.html", "report.txt"):
        assert "more characters, see verdict.json" in " ".join(
            (tmp_path / name).read_text().split()
        )
    assert huge in (tmp_path / "verdict.json").read_text()


# --- the files ------------------------------------------------------------------------------------


def test_the_same_report_gives_the_same_bytes_and_nothing_else_is_left(tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        render(with_findings(), tmp_path, templates=TEMPLATES, commands=COMMANDS)
        written.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert written[0] == written[1]
    assert set(written[0]) == {"verdict.json", "report.html", "report.txt", "check.json"}


def test_a_template_that_names_what_is_not_there_is_an_error_and_writes_nothing(
    tmp_path: Path,
) -> None:
    templates, folder = tmp_path / "templates", tmp_path / "run"
    (templates / "report").mkdir(parents=True)
    folder.mkdir()
    (templates / "report" / "style.css").write_text("")
    (templates / "report.html.j2").write_text("{{ verdict.overall }}")
    (templates / "report.txt.j2").write_text("{{ verdict.no_such_key }}")
    with pytest.raises(UserError, match=r"report\.txt\.j2:1: .*no_such_key"):
        render(with_findings(), folder, templates=templates, commands=COMMANDS)
    assert list(folder.iterdir()) == []


def test_the_published_schema_is_the_one_of_the_code() -> None:
    assert SCHEMA.read_text() == schema(), "docs/run-folder.md says how to renew it"
    published = json.loads(SCHEMA.read_text())
    assert published.pop("$schema") == "https://json-schema.org/draft/2020-12/schema"
    assert published == Report.model_json_schema()


@pytest.mark.parametrize("state", STATES)
def test_verdict_json_is_valid_by_the_schema_and_reads_back(state: str, tmp_path: Path) -> None:
    report = STATES[state]
    render(report, tmp_path, templates=TEMPLATES, commands=COMMANDS)
    written = (tmp_path / "verdict.json").read_text()
    published = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.Draft202012Validator(published).validate(json.loads(written))
    assert Report.from_json(written) == report


def test_the_schema_refuses_what_the_code_never_writes() -> None:
    published = json.loads(SCHEMA.read_text())
    validator = jsonschema.Draft202012Validator(published)
    good = json.loads(make.report().to_json())
    assert validator.is_valid(good)
    for spoil in (
        {**good, "extra": 1},
        {**good, "verdict": {**good["verdict"], "overall": "fine"}},
        {name: value for name, value in good.items() if name != "series"},
    ):
        assert not validator.is_valid(spoil)


def documented(section: str) -> set[str]:
    """The keys under a heading of docs/run-folder.md."""
    page = (HOME / "docs" / "run-folder.md").read_text()
    body = re.split(rf"^#+ {re.escape(section)}$", page, flags=re.MULTILINE)[1]
    table = re.split(r"^#", body, flags=re.MULTILINE)[0]
    return set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE))


def test_every_key_of_verdict_json_is_documented_and_no_other() -> None:
    published = json.loads(SCHEMA.read_text())
    models = {"Report": published, **published["$defs"]}
    for name, model in models.items():
        if "properties" in model:
            assert documented(name) == set(model["properties"]), name


def test_every_key_of_run_json_is_documented() -> None:
    assert documented("run.json") == set(RunState.model_fields)
