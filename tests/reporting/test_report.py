"""Discussion and report: complete, up to date, free of typed numbers, replaced whole or not."""

import re
import shutil
from pathlib import Path

import jinja2
import pytest
from support.profiles import ROOT

from reproduce.evaluation.claims import primary_claims
from reproduce.evaluation.formatting import interval
from reproduce.reporting.readme import published_studies
from reproduce.reporting.report import build_report
from reproduce.utils.files import UnusableFile, read_csv

SOURCES = {"report.md.j2", "report.css", "report.typ"}
MADE = {"report.md", "report.html", "report.pdf"}
PROFILES = [study.folder.relative_to(ROOT) for study in published_studies(ROOT)]
TEMPLATES = ("discussion.md.j2", "report/report.md.j2")
PAGES = ("discussion.md", "report/report.md")
NAMES = re.compile(
    r"\b([CRF]\d+|\d+B|SmolLM2-135M|(19|20)\d\d)\b|\]\([^)]*\)|https?://\S+|%[.\d]*\w"
    r"|^#+ .*$|^\d+\. ", re.MULTILINE,
)  # fmt: skip
"""What may have digits: claims, F1, models, years, links, formats, headings, numbered lists."""


def copy_profile(source: Path, target: Path) -> None:
    for name in ("params.yaml", "experiments.yaml", "paper"):
        target.mkdir(parents=True, exist_ok=True)
        path = source / name
        shutil.copytree(path, target / name) if path.is_dir() else shutil.copy(path, target)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository's published results with a report of them."""
    folder = tmp_path_factory.mktemp("repository")
    for profile in PROFILES:
        copy_profile(ROOT / profile, folder / profile)
    for name in (*MADE, "../discussion.md"):
        (folder / "paper" / "report" / name).unlink(missing_ok=True)
    build_report(folder)
    return folder


def test_the_report_is_complete_and_needs_nothing_from_elsewhere(root: Path) -> None:
    report = root / "paper" / "report"
    assert {path.name for path in report.iterdir()} == SOURCES | MADE
    pdf, page = (report / "report.pdf").read_bytes(), (report / "report.html").read_text()
    assert pdf.startswith(b"%PDF") and len(pdf) > 50_000
    assert re.findall(r'src="(?!data:)([^"]*)"', page) == []
    for link in re.findall(r'href="(?!data:|#)([^"]*)"', page):
        assert (report / link).is_file(), link
    figures = re.findall(r"^!\[", (report / "report.md").read_text(), re.MULTILINE)
    assert page.count("data:image/png") == len(figures) > 3


def test_every_claim_of_every_study_is_in_it(root: Path) -> None:
    text = (root / "paper" / "report" / "report.md").read_text().replace("\u00a0", " ")
    for profile in PROFILES:
        for row in primary_claims(root / profile / "paper" / "tables"):
            effect, verdict = interval(row, "effect"), row["verdict"]
            assert re.search(rf"\| {re.escape(effect)} \| \**{verdict}\** \|", text)
    assert "0.82 to 0.55" in text and "Llama-2 and Falcon" in text
    for profile, table in (("core", "levels"), ("ablations", "ablations")):
        for row in read_csv(root / "profiles" / profile / "paper" / "tables" / f"{table}.csv"):
            assert not row["both_difference"] or interval(row, "both_difference") in text


def test_the_report_has_the_whole_discussion_once(root: Path) -> None:
    text, report = ((root / "paper" / page).read_text() for page in PAGES)
    _, *sections = re.split(r"(?m)^## .*\n", text)
    assert [report.count(section.strip()) for section in sections] == [1] * len(sections)


@pytest.mark.parametrize("page", PAGES)
def test_published_pages_are_those_of_the_published_tables(page: str, root: Path) -> None:
    path = Path("paper") / page
    assert (ROOT / path).read_text() == (root / path).read_text(), "run `reproduce publish`"


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_number_is_typed(template: str) -> None:
    tokens = list(jinja2.Environment().lex((ROOT / "paper" / template).read_text()))
    prose = "".join(token for _, kind, token in tokens if kind == "data")
    # Strings with spaces are prose, too: the captions of figures, say.
    strings = [token for _, kind, token in tokens if kind == "string" and " " in token]
    left = NAMES.sub("", "\n".join([prose, *strings]))
    assert [line for line in left.splitlines() if re.search(r"\d", line)] == []


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('effect("Reset", "MTL")', "claims.csv has no row .*Reset"),
        ('score("methods", "MTL", "speed")', "methods.csv has no number 'speed'"),
        ('score("method", "MTL", "task")', "method.csv: missing"),
        ("efect", "'efect' is undefined"),
    ],
)
def test_a_number_that_no_table_has_is_named_with_its_place(
    root: Path, expression: str, expected: str
) -> None:
    template = root / "paper" / TEMPLATES[0]
    before = template.read_text()
    template.write_text(f"{before}So it is {{{{ {expression} }}}}.\n")
    line = before.count("\n") + 1
    with pytest.raises(
        UnusableFile, match=rf"(?s)discussion.md.j2, line {line}: .*{expected}"
    ) as e:
        build_report(root)
    assert expression in str(e.value)
    template.write_text(before)


@pytest.mark.parametrize(
    "name", ["figures/trade-off.png", "tables/controls.csv", "tables/judge-validation.csv"]
)
def test_what_is_missing_is_named_and_nothing_replaced(root: Path, name: str) -> None:
    made = [root / "paper" / "discussion.md", *(root / "paper" / "report").iterdir()]
    missing = root / "profiles" / "core" / "paper" / name  # The pages are about this profile.
    before = {path: path.read_bytes() for path in made}
    aside = missing.rename(missing.with_name("aside"))
    # RuntimeError: pandoc's, for a figure.
    with pytest.raises((UnusableFile, RuntimeError), match=re.escape(missing.name)):
        build_report(root)
    aside.rename(missing)
    assert {path: path.read_bytes() for path in made} == before
    assert not list((root / "paper").glob(".report.*"))
