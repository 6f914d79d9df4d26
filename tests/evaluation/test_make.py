"""All tables of a study together, its metrics, and summaries of unfinished studies."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.synthetic_study import KINDS, synthetic_study, write_study

from reproduce.config import ConfigError
from reproduce.evaluation.tables.make import make_tables, write_summary
from reproduce.reporting.figures import make_figures
from reproduce.study import Study
from reproduce.utils.files import read_csv, read_json

NAMES = {
    "two-stage", "training-curve", "methods", "secondary-metrics", "data-size", "ablations",
    "interpolation", "controls", "levels", "best-of", "memorised-errors", "outcomes",
    "faithfulness-metrics", "instructions", "rewards", "datasets", "seeds", "diagnostics",
    "judge-validation", "judges-on-responses", "trivial", "predictions", "claims",
}  # fmt: skip
"""Tables of a study that has all arms of the paper's."""


def names_in(folder: Path, ending: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*.{ending}")}


def test_every_table_for_readers_has_two_files_of_the_same_rows(study: Study) -> None:
    folder = study.artifacts / "tables"
    assert names_in(folder, "md") == NAMES | {"samples"}
    programs = {"scores", "losses", "generations", "prompts", "study"}
    assert names_in(folder, "csv") == NAMES | programs
    for name in NAMES:
        lines = (folder / f"{name}.md").read_text(encoding="utf-8").splitlines()
        rows = [line for line in lines if line.startswith("|")]
        assert len(rows) == len(read_csv(folder / f"{name}.csv")) + 2


def test_every_run_writes_the_same_bytes(study: Study) -> None:
    def files() -> dict[str, bytes]:
        paths = [*(study.artifacts / "tables").iterdir(), study.artifacts / "metrics.json"]
        return {path.name: path.read_bytes() for path in paths}

    first = files()
    make_tables(study)
    assert files() == first


def test_metrics_have_the_deciding_effects_and_the_main_scores(study: Study, table) -> None:
    metrics = read_json(study.artifacts / "metrics.json")
    assert set(metrics["claims"]) == {
        "C1", "C2", "C3-instruction", "C3-faithfulness", "C4-MTL", "C4-MTL-again", "C5",
    }  # fmt: skip
    row = table("claims")[0]
    keys = {"effect": "effect", "low": "effect_low", "high": "effect_high"}
    assert metrics["claims"]["C1"] == {name: float(row[key]) for name, key in keys.items()}
    (row,) = table("methods", arm="MTL")
    scores = {
        "instruction_following": "instruction",
        "faithfulness": "faithfulness",
        "task": "task",
    }
    assert metrics["scores"]["MTL"] == {name: float(row[key]) for name, key in scores.items()}
    assert len(metrics["scores"]) == 9


def test_a_remark_of_the_profile_is_below_its_table(study: Study) -> None:
    assert "Mind the gap." in (study.artifacts / "tables" / "controls.md").read_text("utf-8")


def test_a_summary_decides_the_claims_whose_arms_are_finished(study: Study, table) -> None:
    text = write_summary(study, ["CD", "CD-IF", "MTL"], 1)
    assert "(CD → IF) − CD" in text and "MTL − CD" in text
    assert "MTL − IF" not in text and "ReSet" not in text
    folder = study.artifacts / "summary"
    effects = {row["comparison"]: row["effect"] for row in table("claims")}
    rows = read_csv(folder / "claims.csv")
    assert [row["effect"] for row in rows] == [effects[row["comparison"]] for row in rows]
    assert (folder / "samples.md").read_text("utf-8").count("### ") == len(KINDS)
    write_summary(study, ["CD"])
    assert names_in(folder, "csv") == {"summary", "scores", "generations", "prompts"}
    assert {row["arm"] for row in read_csv(folder / "generations.csv")} == {"CD"}


def test_a_summary_names_arms_that_are_not_finished(partial_study: Study, tmp_path: Path) -> None:
    study = replace(partial_study, arms=synthetic_study(tmp_path).arms)
    with pytest.raises(ConfigError, match="ReSet"):
        write_summary(study, ["CD", "ReSet"])
    assert "MTL" in write_summary(study)
    with pytest.raises(ConfigError, match="dvc repro"):
        write_summary(replace(study, folder=tmp_path / "empty"))


def test_a_study_rated_by_an_llm_judge_has_all_tables_but_that_of_instructions(tmp_path) -> None:
    def rate(pairs: list[tuple[str, str]]) -> list[float | None]:
        return [None if "e3" in prompt else float(1 + len(text) % 10) for prompt, text in pairs]

    study = write_study(synthetic_study(tmp_path, seeds=[0]), rate)
    make_tables(study)
    tables = study.artifacts / "tables"
    assert NAMES - names_in(tables, "md") == {"instructions"}
    rows = [row for row in read_csv(tables / "claims.csv") if "following" in row["measure"]]
    assert rows and all(row["judge"] == "rating" and row["effect"] for row in rows)
    (row,) = [r for r in read_csv(tables / "diagnostics.csv") if r["arm"] == "MTL"]
    assert row["unrated"] == "4" and 40 < int(row["rated"]) <= 48


def test_without_the_papers_arms_there_are_scores(partial_study: Study) -> None:
    study = partial_study
    make_tables(study)
    written = names_in(study.artifacts / "tables", "md")
    assert {"summary", "judge-validation", "samples"} <= written
    assert not {"methods", "two-stage", "controls"} & written
    make_figures(study.artifacts / "tables", study.artifacts / "figures")
    assert names_in(study.artifacts / "figures", "png") == {"losses"}
