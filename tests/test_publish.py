"""Publishing: local tables and figures replace the published ones; nothing else does."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from support.profiles import ROOT

from reproduce import publish as module
from reproduce.publish import publish
from reproduce.reporting.readme import update_readme
from reproduce.study import Study, load_study
from reproduce.utils.files import UnusableFile, read_csv, write_csv, write_rows
from reproduce.utils.hardware import environment
from reproduce.utils.stage_log import LoggedRun, stage_order


@pytest.fixture
def study(shared_nano_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Return a profile with finished local tables and a README; its runs are two made-up ones."""
    for name in ("params.yaml", "experiments.yaml", "timings.csv"):
        shutil.copy(ROOT / name, tmp_path / name)
    block = "<!-- {0} of tiny: begin -->\n<!-- {0} of tiny: end -->\n"
    (tmp_path / "README.md").write_text(block.format("claims") + block.format("scores"))
    shutil.copytree(ROOT / "paper", tmp_path / "paper")
    for name in ("tables", "figures"):
        shutil.copytree(shared_nano_study / "artifacts" / name, tmp_path / "artifacts" / name)
    (tmp_path / "artifacts" / "explore.html").write_text("local page")
    for name in ("claims.csv", "methods.csv"):
        path = tmp_path / "artifacts" / "tables" / name
        write_csv(path, [row | {"label": "local"} if "label" in row else row | {"verdict": "local"}
                         for row in read_csv(path)])  # fmt: skip
    study = load_study(tmp_path)
    (tmp_path / "logs").mkdir()
    write_rows(tmp_path / "logs" / "runs.jsonl", [
        asdict(LoggedRun(name, None, 0.0, 1.5, 100)) for name in stage_order(study.arms)
    ])  # fmt: skip
    monkeypatch.setattr(module, "write_run_records", lambda _, path: write_rows(path, [{"a": 1}]))
    monkeypatch.setattr(module, "update_readme", lambda _: update_readme(tmp_path))
    monkeypatch.setattr(module, "build_report", lambda _: None)
    return study


def test_local_results_replace_the_published_ones(study: Study) -> None:
    (study.artifacts / "tables" / "seeds.csv").unlink()
    publish(study)
    for name in ("tables", "figures"):
        files = {path.name: path.read_bytes() for path in (study.paper / name).iterdir()}
        local = {path.name: path.read_bytes() for path in (study.artifacts / name).iterdir()}
        assert files == local
    assert (study.paper / "explore.html").read_text() == "local page"
    assert (study.paper / "runs.jsonl").read_text() == '{"a": 1}\n'
    assert json.loads((study.paper / "machine.json").read_text()) == environment()
    assert {row["seconds"] for row in read_csv(study.folder / "timings.csv")} == {"1.5"}
    readme = (study.folder / "README.md").read_text()
    assert "| local | " in readme and "| local |\n" in readme
    assert (study.paper / "claims.yaml").is_file(), "the rest of paper/ stays"


def test_a_page_with_other_peoples_texts_is_not_published(study: Study) -> None:
    (study.paper / "explore.html").unlink(missing_ok=True)
    data = study.params.data.model_copy(update={"world": None})
    publish(replace(study, params=study.params.model_copy(update={"data": data})))
    assert not (study.paper / "explore.html").exists()


def test_results_of_every_seed_are_exported_on_demand(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[tuple[str, int]] = []
    monkeypatch.setattr(module, "export_seed", lambda _, arm, seed: exported.append((arm, seed)))
    publish(study)
    assert exported == []
    publish(study, results=True)
    assert exported == [(arm, seed) for arm in study.arms for seed in study.params.seeds]


def test_documents_alone_leave_the_results(study: Study) -> None:
    before = {path: path.read_bytes() for path in study.paper.rglob("*") if path.is_file()}
    publish(study, documents_only=True)
    assert {path: path.read_bytes() for path in study.paper.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "missing", ["artifacts/tables", "artifacts/figures", "artifacts/explore.html"]
)
def test_an_unfinished_study_is_not_published(study: Study, missing: str) -> None:
    before = {path: path.read_bytes() for path in study.paper.rglob("*") if path.is_file()}
    path = study.folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UnusableFile, match=missing):
        publish(study)
    assert {path: path.read_bytes() for path in study.paper.rglob("*") if path.is_file()} == before
