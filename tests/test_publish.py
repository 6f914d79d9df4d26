"""The report: every number from a table, the same bytes each time, nothing from elsewhere."""

import json
import re
import shutil
from pathlib import Path

import pytest
import synthetic
import yaml

from reproduce.reporting.figures import make_figures
from reproduce.reporting.report import (
    MADE,
    SOURCES,
    TEXTS,
    build_report,
    provenance,
    settings_of,
    studies_of,
)
from reproduce.utils.files import UnusableFile

ROOT = Path(__file__).parent.parent
REPORT = ROOT / "paper" / "report"
NAMES = r"EMNLP 2024|SHA-256|SmolLM2-135M|SQuAD 2\.0|LLaMA-7B|Vicuna-7B|F1"
"""Names with a digit in them, which the prose may hold."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with two profiles that have results, of synthetic scores."""
    folder = tmp_path_factory.mktemp("repository")
    made = synthetic.shared_study(tmp_path_factory.getbasetemp())
    for name in ("experiments.yaml", "paper/claims.yaml", *(f"paper/{name}" for name in TEXTS)):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "paper" / "report").mkdir()
    for name in SOURCES:
        shutil.copy(REPORT / name, folder / "paper" / "report")
    for place in (folder, folder / "profiles" / "other"):
        shutil.copytree(made / "tables", place / "paper" / "tables")
        make_figures(place / "paper" / "tables", place / "paper" / "figures")
        shutil.copy(ROOT / "dvc.lock", place / "dvc.lock")
    build_report(folder, folder / "paper" / "report")
    return folder


def test_the_report_is_the_same_twice_and_takes_nothing_from_elsewhere(root: Path) -> None:
    report = root / "paper" / "report"
    names = ("report.md", "report.html", "report.pdf", "ladder.png")
    first = {name: (report / name).read_bytes() for name in names}
    build_report(root, report)
    assert {name: (report / name).read_bytes() for name in names} == first
    assert first["report.pdf"].startswith(b"%PDF") and len(first["report.pdf"]) > 50_000
    page = first["report.html"].decode()
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page) == []
    assert page.count("data:image/png") == 2 * 3 + 1
    assert sorted(path.name for path in report.iterdir()) == sorted([*SOURCES, *names])


def refused(root: Path, name: str) -> None:
    """Assert that the report is refused by the name of a file, and that nothing was replaced."""
    report = root / "paper" / "report"
    before = {path: path.read_bytes() for path in report.iterdir()}
    with pytest.raises(UnusableFile, match=re.escape(name)):
        build_report(root, report)
    assert {path: path.read_bytes() for path in report.iterdir()} == before


@pytest.mark.parametrize("name", ["study", "claims", "controls", "judges"])
@pytest.mark.parametrize("lines", [0, 1])
def test_an_empty_table_is_named(root: Path, name: str, lines: int) -> None:
    path = root / "paper" / "tables" / f"{name}.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text("".join(text.splitlines(keepends=True)[:lines]), encoding="utf-8")
    refused(root, f"{name}.csv: has no rows")
    path.write_text("a\n1\n", encoding="utf-8")
    refused(root, f"{name}.csv: has no column")
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", [*TEXTS, *(f"report/{name}" for name in SOURCES)])
def test_a_text_that_is_missing_is_named_with_what_to_do(root: Path, name: str) -> None:
    path = root / "paper" / name
    text = path.read_text(encoding="utf-8")
    path.unlink()
    refused(root, f"{path.name}: missing; `git checkout")
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["paper/figures/trade-off.png", "dvc.lock", "paper/tables/controls.csv"]
)
def test_what_is_missing_is_named_and_nothing_replaced(root: Path, name: str) -> None:
    missing = root / "profiles" / "other" / name
    aside = missing.with_name("aside")
    missing.rename(aside)
    refused(root, missing.name)
    aside.rename(missing)


def test_every_claim_of_every_study_is_in_it(root: Path) -> None:
    text = (root / "paper" / "report" / "report.md").read_text(encoding="utf-8")
    for study in studies_of(root):
        for row in study.claims:
            assert f"| {row['claim']} | {row['comparison']} |" in text
    assert "0.82 to 0.55" in text and "papers.lunadong.com, S" in text
    assert "Llama-2 and Falcon" in text and "not tested" in text


def test_settings_are_those_that_the_results_were_made_with(root: Path, tmp_path: Path) -> None:
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))
    found = settings_of(ROOT / "dvc.lock")
    made = lock["stages"]["methods@ReSet"]["params"]["params.yaml"]
    rate = made["continuation"]["learning_rate"]
    assert float(found["continuation.learning_rate"]) == rate
    assert found["candidates.strategies.top-k.top_k"] == "5"
    text = (root / "paper" / "report" / "report.md").read_text(encoding="utf-8")
    assert f"| `continuation.learning_rate` | {json.dumps(rate)} | {json.dumps(rate)} |" in text
    (tmp_path / "dvc.lock").write_text("stages: {}\n", encoding="utf-8")
    with pytest.raises(UnusableFile, match="no stage 'methods@ReSet'"):
        settings_of(tmp_path / "dvc.lock")


def test_no_number_is_typed() -> None:
    prose = (REPORT / "report.md.j2").read_text(encoding="utf-8")
    prose += "".join((ROOT / "paper" / name).read_text(encoding="utf-8") for name in TEXTS)
    prose = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "", prose, flags=re.DOTALL)
    assert re.findall(r"\S*\d\S*", re.sub(NAMES, "", prose)) == []


def test_the_committed_report_is_that_of_the_committed_tables(tmp_path: Path) -> None:
    """Text, page, PDF and ladder, byte for byte."""
    for folder in ("", *(f"profiles/{path.name}" for path in (ROOT / "profiles").glob("*"))):
        for name in ("dvc.lock", "experiments.yaml", "paper"):
            source, target = ROOT / folder / name, tmp_path / folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            elif source.is_file():
                shutil.copy(source, target)
    report = tmp_path / "paper" / "report"
    committed = {name: (report / name).read_bytes() for name in MADE}
    for name in MADE:
        (report / name).unlink()
    build_report(tmp_path, report)
    for name, content in committed.items():
        assert (report / name).read_bytes() == content, f"{name}: run `reproduce paper`"


def test_inputs_have_one_digest_a_stage(root: Path, tmp_path: Path) -> None:
    lock = root / "dvc.lock"
    rows = {row["stage"]: row for row in provenance(lock, root / "paper")}
    assert "trade-off" in rows["figures"]["files"] and "claims" in rows["tables"]["files"]
    changed = tmp_path / "dvc.lock"
    text = lock.read_text(encoding="utf-8")
    begin = text.index("\n  tables:")
    place = text.index("md5: ", begin) + 5
    changed.write_text(text[:place] + "0" * 32 + text[place + 32 :], encoding="utf-8")
    found = {row["stage"]: row for row in provenance(changed, root / "paper")}
    assert found["tables"]["inputs"] != rows["tables"]["inputs"]
    assert found["figures"]["inputs"] == rows["figures"]["inputs"]
    changed.write_text("stages: {}\n")
    with pytest.raises(UnusableFile, match="no stage 'tables'"):
        provenance(changed, root / "paper")


def test_a_repository_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="no profile has paper/tables"):
        studies_of(tmp_path)
