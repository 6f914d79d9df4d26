"""The notebooks run, say which results they read, and are committed without outputs."""

from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

from reproduce.study import Study

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ["two-stage", "methods", "data-size", "ablations", "levels", "controls",
               "memorised-errors"]  # fmt: skip


def run(name: str, profile: Path, **parameters: Any) -> dict[str, Any]:
    """Run the code of a notebook in this process and return its variables."""
    variables: dict[str, Any] = {}
    for cell in nbformat.read(ROOT / "analysis" / f"{name}.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec("\n".join(x for x in cell.source.splitlines() if x[:1] != "%"), variables)
        if "parameters" in cell.metadata.get("tags", []):
            variables.update(parameters, PROFILE=str(profile))
    return variables


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Return a profile that has the published results of the default one, and no others."""
    (tmp_path / "paper").symlink_to(ROOT / "paper")
    return tmp_path


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_shows_its_tables_and_figures(
    experiment: str, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = run("experiment", study.folder, EXPERIMENT=experiment)
    assert variables["present"] == variables["table_names"]
    assert set(variables["EXPERIMENTS"]) == set(EXPERIMENTS)
    assert capsys.readouterr().out.count("Figure(") == len(variables["figure_names"]) > 0


def test_published_results_are_shown_where_there_are_no_others(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("experiment", published, EXPERIMENT="methods")
    assert "published" in capsys.readouterr().out


def test_local_results_come_before_published_ones(shared_nano_study: Path) -> None:
    variables = run("experiment", shared_nano_study, EXPERIMENT="methods")
    assert variables["tables"] == shared_nano_study / "artifacts" / "tables"
    table = run("generations", shared_nano_study, ARMS=["CD", "MTL"], SEED=1)["table"]
    assert list(table) == ["dataset", "passage", "question", "reference", "CD", "MTL"]
    assert table["CD"].str.contains(r"(?:task|instruction) \d\.\d\d").all()


def test_published_responses_are_shown_and_missing_arms_named(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = run("generations", published, ARMS=["MTL", "none"], DATASET="lists")["table"]
    assert set(table["dataset"]) == {"lists"} and "MTL" in table
    assert "Not there: none" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["experiment", "generations"])
def test_a_notebook_runs_in_a_kernel(name: str, published: Path, tmp_path: Path) -> None:
    source, target = ROOT / "analysis" / f"{name}.ipynb", tmp_path / "executed.ipynb"
    assert not any(cell.get("outputs") for cell in nbformat.read(source, as_version=4).cells)
    book = papermill.execute_notebook(source, target, {"PROFILE": str(published)})
    outputs = [o.get("data", {}) for cell in book.cells for o in cell.get("outputs", [])]
    assert any("image/png" in data or "text/html" in data for data in outputs)
