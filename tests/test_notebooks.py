"""Notebooks run on a made-up study, are committed without outputs, and agree with their twins."""

import copy
import csv
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
import synthetic
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
ANALYSIS = ROOT / "analysis"
sys.path.insert(0, str(ANALYSIS))
from browse import datasets, side_by_side  # noqa: E402
from views import losses_of, rows_of  # noqa: E402

EXPERIMENTS = [*synthetic.all_arms(), "mechanism"]
NAMES = [*EXPERIMENTS, "generations"]


def notebook(name: str) -> Any:
    return nbformat.read(ANALYSIS / f"{name}.ipynb", as_version=4)


def executed(name: str, profile: Path, line: str = "", times: int = 1) -> Any:
    """Run a notebook on a profile, with one line of its parameters changed, several times over."""
    book = notebook(name)
    book.cells = [copy.deepcopy(cell) for _ in range(times) for cell in book.cells]
    for cell in book.cells:
        cell.source = cell.source.replace('PROFILE = ".."', f"PROFILE = {str(profile)!r}")
        if line and "parameters" in cell.metadata.get("tags", []):
            name = re.escape(line.split(" = ")[0])
            cell.source, count = re.subn(rf"^{name}(:.*)? = .*$", line, cell.source, flags=re.M)
            assert count == 1
    resources = {"metadata": {"path": str(ANALYSIS)}}
    return NotebookClient(book, timeout=60, kernel_name="python3", resources=resources).execute()


def shown(book: Any) -> list[dict[str, str]]:
    """Return, for every output of a cell, MIME type -> content."""
    return [o["data"] for cell in book.cells for o in cell.get("outputs", []) if "data" in o]


def html(book: Any) -> str:
    return "".join(output.get("text/html", "") for output in shown(book))


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = synthetic.shared_study(tmp_path_factory.getbasetemp())
    folder = tmp_path_factory.mktemp("profile")
    (folder / "paper").mkdir()
    (folder / "paper" / "tables").symlink_to(study / "tables")
    (folder / "artifacts").symlink_to(study / "artifacts")
    return folder


@pytest.fixture(scope="module")
def books(profile: Path) -> dict[str, Any]:
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(NAMES, pool.map(executed, NAMES, [profile] * len(NAMES)), strict=True))


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    """Return each notebook, run twice from top to bottom on what the repository holds."""
    with ThreadPoolExecutor(2) as pool:
        twice = partial(executed, profile=ROOT, times=2)
        return dict(zip(NAMES, pool.map(twice, NAMES), strict=True))


def test_there_is_a_notebook_for_each_experiment() -> None:
    assert {path.stem for path in ANALYSIS.glob("*.ipynb")} == set(NAMES)
    assert {path.stem for path in (ANALYSIS / "twins").glob("*.py")} == set(NAMES)


def pictures(book: Any) -> list[str]:
    return [output["image/png"] for output in shown(book) if "image/png" in output]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_committed_without_outputs(name: str) -> None:
    book = notebook(name)
    nbformat.validate(book)
    assert book.metadata.kernelspec.name == "python3"
    assert book.metadata.kernelspec.language == book.metadata.language_info.name == "python"
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_is_asked_and_holds_no_logic(name: str) -> None:
    book = notebook(name)
    assert book.cells[0].cell_type == "markdown"
    assert "**How to " in book.cells[0].source
    code = "\n".join(cell.source for cell in book.cells if cell.cell_type == "code")
    assert not re.search(r"^\s*(def|class|for|while|if|with|try)\b", code, re.MULTILINE)
    tagged = [c for c in book.cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1 and tagged[0].source.startswith('PROFILE = ".."')


@pytest.mark.parametrize("name", NAMES)
def test_its_twin_agrees(name: str) -> None:
    twin = jupytext.read(ANALYSIS / "twins" / f"{name}.py")
    pairs = zip(notebook(name).cells, twin.cells, strict=True)
    for cell, other in pairs:
        assert (cell.cell_type, cell.source) == (other.cell_type, other.source)
        assert cell.metadata.get("tags") == other.metadata.get("tags")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_it_shows_its_table_and_its_figure(name: str, profile: Path, books: dict[str, Any]) -> None:
    assert not [o for c in books[name].cells for o in c.get("outputs", []) if "ename" in o]
    assert any(len(output.get("image/png", "")) > 10_000 for output in shown(books[name]))
    with (profile / "paper" / "tables" / f"{name}.csv").open(encoding="utf-8") as stream:
        labels = [row["label"] for row in csv.DictReader(stream)]
    assert all(f"<td>{label}</td>" in html(books[name]) for label in labels)


def test_generations_are_side_by_side_with_their_scores(books: dict[str, Any]) -> None:
    text = html(books["generations"])
    assert ">methods/MTL</th>" in text and ">methods/ReSet-S</th>" in text
    assert re.search(r"\[task \d\.\d\d, faithfulness -?\d\.\d\d", text)
    assert re.search(r"\[(task \d\.\d\d, )?instruction \d\.\d\d\]", text)


def test_the_same_tables_give_the_same_pictures(profile: Path, books: dict[str, Any]) -> None:
    again = executed("methods", profile)
    assert pictures(again) == pictures(books["methods"]) and len(pictures(again)) == 3
    assert html(again) == html(books["methods"])


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_results_give_the_same_twice(name: str, committed: dict[str, Any]) -> None:
    # What stands for a picture or a page in plain text may hold an address.
    outputs = [{k: v for k, v in found.items() if k != "text/plain"}
               for found in shown(committed[name])]  # fmt: skip
    assert len(outputs) > 2 and outputs[: len(outputs) // 2] == outputs[len(outputs) // 2 :]
    assert bool(pictures(committed[name])) == (name != "generations")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_one_line_changes_arm_or_seed(name: str) -> None:
    source = "\n".join(cell.source for cell in notebook(name).cells)
    assert re.search(r"rows_of\(TABLES, \"[\w-]+\", ARMS\)", source)
    assert re.search(r"losses_of\(TABLES, \"[\w-]+\", ARMS, SEED\)", source)


def test_one_line_shows_another_arm(profile: Path, books: dict[str, Any]) -> None:
    book = executed("controls", profile, 'ARMS = ["gold"]')
    assert "<td>gold responses</td>" in html(book) and "<td>random choice</td>" not in html(book)
    assert pictures(book)[0] == pictures(books["controls"])[0]
    assert pictures(book)[1] != pictures(books["controls"])[1]


def test_one_line_shows_another_seed(profile: Path, books: dict[str, Any]) -> None:
    book = executed("controls", profile, "SEED = 1")
    assert html(book) == html(books["controls"])
    assert pictures(book)[1] != pictures(books["controls"])[1]


def test_what_there_is_not_is_named(profile: Path) -> None:
    tables = profile / "paper" / "tables"
    assert len(rows_of(tables, "methods", ["ReSet-S"])) == 1
    assert len(rows_of(tables, "trajectory", ["MTL"])) == 0
    with pytest.raises(ValueError, match="no arm is called 'ReSte'; there are: base, IF"):
        rows_of(tables, "methods", ["ReSte"])
    with pytest.raises(ValueError, match=r"no seed 7; there are: \[0, 1, 2\]"):
        losses_of(tables, "methods", seed=7)
    assert "not trained: base" in {text.get_text() for text in losses_of(
        tables, "two-stage", ["base"]).axes[0].texts}  # fmt: skip


def test_without_artifacts_the_committed_responses_are_shown(
    profile: Path, books: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "tables").symlink_to(profile / "paper" / "tables")
    shutil.copy(ANALYSIS.parent / "params.yaml", tmp_path)
    found = side_by_side(tmp_path, ["methods/MTL"], "", 0, 2, 3).data
    made = side_by_side(profile, ["methods/MTL"], "", 0, 2, 3).data
    assert found.to_dict() == made.to_dict()
    pages = [side_by_side(tmp_path, ["methods/MTL"], "", 0).to_html() for _ in range(2)]
    assert pages[0] == pages[1]
    assert list(datasets(tmp_path)["prompts"]) == list(datasets(profile)["prompts"])
    other = side_by_side(tmp_path, ["controls/gold"], "", 0)
    assert "not ['controls/gold']" in other.data
    assert "seed 0 only" in side_by_side(tmp_path, ["methods/MTL"], "", 1).data


def test_without_artifacts_the_command_is_shown(tmp_path: Path) -> None:
    book = executed("generations", tmp_path)
    said = [output["text/markdown"] for output in shown(book)]
    assert len(said) == 2
    assert all(f"cd {tmp_path}\ndvc repro" in text for text in said)
    assert "artifacts/evaluation: missing or unfinished" in said[0]
