"""The report: complete, self-contained, up to date, and replaced as a whole or not at all."""

import re
import shutil
from pathlib import Path

import pytest
from support.profiles import ROOT

from reproduce.evaluation.claims import primary_claims
from reproduce.reporting.report import build_report
from reproduce.utils.files import UnusableFile

SOURCES = {"report.md.j2", "report.css", "report.typ"}
MADE = {"report.md", "report.html", "report.pdf", "claims.png"}


PROFILES = [".", *("profiles/smollm2",) * (ROOT / "profiles/smollm2/paper/tables").is_dir()]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository's published results with a report of them."""
    folder = tmp_path_factory.mktemp("repository")
    for profile in PROFILES:
        for name in ("params.yaml", "experiments.yaml", "paper"):
            source, target = ROOT / profile / name, folder / profile / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    for name in MADE:
        (folder / "paper" / "report" / name).unlink(missing_ok=True)
    build_report(folder)
    return folder


def test_the_report_is_complete_and_takes_nothing_from_elsewhere(root: Path) -> None:
    report = root / "paper" / "report"
    assert {path.name for path in report.iterdir()} == SOURCES | MADE
    pdf, page = (report / "report.pdf").read_bytes(), (report / "report.html").read_text()
    assert pdf.startswith(b"%PDF") and len(pdf) > 50_000
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page) == []
    assert page.count("data:image/png") == 3 * len(PROFILES) + 1


def test_every_claim_of_every_study_is_in_it(root: Path) -> None:
    text = (root / "paper" / "report" / "report.md").read_text()
    for profile in PROFILES:
        for row in primary_claims(root / profile / "paper" / "tables"):
            assert f"| {row['claim']} | {row['comparison']} |" in text
    assert "0.82 to 0.55" in text and "Llama-2 and Falcon" in text


def test_the_published_report_is_that_of_the_published_tables(root: Path) -> None:
    report = Path("paper") / "report" / "report.md"
    assert (ROOT / report).read_text() == (root / report).read_text(), "run `reproduce publish`"


@pytest.mark.parametrize(
    "name", ["figures/trade-off.png", "tables/controls.csv", "tables/judge-validation.csv"]
)
def test_what_is_missing_is_named_and_nothing_replaced(root: Path, name: str) -> None:
    report, missing = root / "paper" / "report", root / PROFILES[-1] / "paper" / name
    before = {path: path.read_bytes() for path in report.iterdir()}
    aside = missing.rename(missing.with_name("aside"))
    # RuntimeError: pandoc's, for a figure.
    with pytest.raises((UnusableFile, RuntimeError), match=re.escape(missing.name)):
        build_report(root)
    aside.rename(missing)
    assert {path: path.read_bytes() for path in report.iterdir()} == before
    assert not list((root / "paper").glob(".report.*"))
