"""The README's generated blocks: what tables and timings say, and nothing else changes."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.profiles import ROOT

from reproduce.evaluation.claims import primary_claims
from reproduce.evaluation.formatting import interval
from reproduce.reporting.readme import (
    claims,
    costs,
    needed_stages,
    published_studies,
    scores,
    updated,
)
from reproduce.study import Study, load_study
from reproduce.utils.files import UnusableFile, read_csv, write_csv
from reproduce.utils.stage_log import PREPARING


@pytest.fixture(scope="module")
def studies(shared_nano_study: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Study]:
    """Return two studies with published tables: "nano", and the same again as "other"."""
    folder = tmp_path_factory.mktemp("published")
    shutil.copytree(shared_nano_study / "artifacts" / "tables", folder / "paper" / "tables")
    study = replace(load_study(shared_nano_study), folder=folder)
    return [study, replace(study, params=study.params.model_copy(update={"profile": "other"}))]


def block(name: str, text: str) -> str:
    return f"<!-- {name}: begin -->\n{text}<!-- {name}: end -->\n"


def test_published_profiles_are_found() -> None:
    names = [path.parents[1].name for path in sorted(ROOT.glob("profiles/*/paper/tables"))]
    assert [study.folder.name for study in published_studies(ROOT)] == [ROOT.name, *names]


def test_each_claim_has_a_line_with_all_its_comparisons(studies: list[Study]) -> None:
    for study in studies:
        rows = primary_claims(study.paper / "tables")
        text = claims(study).replace("\u00a0", " ")
        lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
        assert len(lines) == len({row["claim"] for row in rows})
        for row in rows:
            (line,) = (line for line in lines if line.startswith(f"| {row['claim']} |"))
            assert row["comparison"] in line and interval(row, "effect") in line
            assert row["verdict"] in line


def test_each_main_arm_has_its_scores(studies: list[Study]) -> None:
    text = scores(studies[0])
    for row in read_csv(studies[0].paper / "tables" / "methods.csv"):
        assert f"| {row['label']} | {float(row['instruction']):.3f} | " in text


def test_a_claim_costs_the_stages_that_it_needs(studies: list[Study], tmp_path: Path) -> None:
    stages = (*PREPARING, "CD", "CD-IF", "IF")
    write_csv(tmp_path / "timings.csv", [
        {"stage": name, "seconds": 2**n, "memory_mb": 100 * n} for n, name in enumerate(stages)
    ])  # fmt: skip
    text = costs(replace(studies[0], folder=tmp_path))
    lines = {line.split(" | ")[0]: line for line in text.splitlines()}
    assert lines["| IF tuning lowers faithfulness"].endswith("| 31 s, 0.4 GB |")
    assert "`dvc repro arm@CD-IF arm@CD && " in lines["| IF tuning lowers faithfulness"]
    assert lines["| ReSet beats MTL"].endswith("| – |")
    assert lines["| All 6 stages"].endswith("| 63 s, 0.5 GB |")


def test_an_arm_needs_its_start_and_the_candidates_that_it_selects_from(
    studies: list[Study],
) -> None:
    arms, always = studies[0].arms, set(PREPARING)
    assert needed_stages(["base"], arms) == always | {"base"}
    assert needed_stages(["CD-IF"], arms) == always | {"CD-IF", "CD"}
    assert needed_stages(["between"], arms) == always | {"between", "IF", "CD"}
    assert needed_stages(["ReSet"], arms) == always | {
        "MTL", "candidates@MTL", "score@MTL", "ReSet"
    }  # fmt: skip


def test_only_the_text_between_markers_changes(studies: list[Study]) -> None:
    text = "# Title\n" + block("costs of nano", "old\n") + "between\n"
    text += (
        block("claims of other", "")
        + block("scores of nano", "x\n")
        + block("notes of nano", "kept\n")
        + "rest\n"
    )
    expected = "# Title\n" + block("costs of nano", costs(studies[0])) + "between\n"
    expected += block("claims of other", claims(studies[1]))
    expected += block("scores of nano", scores(studies[0]))
    expected += block("notes of nano", "kept\n") + "rest\n"
    assert updated(text, studies) == expected
    assert updated(expected, studies) == expected


def test_a_block_of_an_unpublished_profile_is_named(studies: list[Study]) -> None:
    with pytest.raises(UnusableFile, match="claims of llama-7b"):
        updated(block("claims of llama-7b", ""), studies)


@pytest.mark.parametrize("table", ["claims", "study"])
def test_a_table_that_is_missing_is_named(table: str, studies: list[Study], tmp_path: Path) -> None:
    shutil.copytree(studies[0].paper / "tables", tmp_path / "paper" / "tables")
    (tmp_path / "paper" / "tables" / f"{table}.csv").unlink()
    with pytest.raises(UnusableFile, match=f"{table}.csv"):
        claims(replace(studies[0], folder=tmp_path))
