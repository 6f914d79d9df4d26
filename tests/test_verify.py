"""Local results against published ones: the same bytes, consistent, or different and why."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.profiles import ROOT, dvc

from reproduce import verify as module
from reproduce.study import Study, load_study
from reproduce.utils.files import UnusableFile, read_csv, write_csv
from reproduce.verify import (
    check_environment,
    contradiction,
    deciding_rows,
    dvc_status,
    print_effects,
    verify,
)

PUBLISHED = {"judge": "entailed (a)", "seeds": "3", "effect": "-0.2", "effect_low": "-0.3",
             "effect_high": "-0.1", "verdict": "supported"}  # fmt: skip


@pytest.fixture
def study(shared_nano_study: Path, tmp_path: Path) -> Study:
    """Return a study in a folder where its published results are also the local ones."""
    (tmp_path / "artifacts").mkdir()
    for name in ("tables", "figures"):
        for folder in ("paper", "artifacts"):
            shutil.copytree(shared_nano_study / "artifacts" / name, tmp_path / folder / name)
    study = replace(load_study(ROOT), folder=tmp_path)
    package = str(ROOT / "reproduce")
    return replace(study, params=study.params.model_copy(update={"package": package}))


@pytest.fixture(autouse=True)
def up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "dvc_status", lambda _: {})


def change_claims(study: Study, role: str, **cells: str) -> None:
    path = study.artifacts / "tables" / "claims.csv"
    write_csv(path, [
        row | (cells if row["role"] == role else {}) for row in read_csv(path)
    ])  # fmt: skip


def verified(study: Study, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Return the exit status and the lines that are printed."""
    status = verify(study)
    return status, capsys.readouterr().out.splitlines()


def test_the_same_bytes_are_identical(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = verified(study, capsys)
    assert status == 0 and lines[-1].startswith("IDENTICAL")
    assert lines[0].startswith("IF tuning lowers faithfulness: (CD → IF) − CD")
    assert lines[1].split()[0] == "here" and lines[2].split()[0] == "published"


def test_other_bytes_are_named_and_consistent(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    (study.artifacts / "figures" / "trade-off.png").write_bytes(b"other")
    (study.artifacts / "tables" / "seeds.csv").unlink()
    (study.paper / "tables" / "scores.csv").unlink()
    change_claims(study, "secondary", effect="9")
    status, lines = verified(study, capsys)
    assert status == 0 and lines[-1].startswith("CONSISTENT")
    names = "figures/trade-off.png, tables/claims.csv, tables/scores.csv, tables/seeds.csv"
    assert lines[-2].endswith(names)


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"effect": "0.5", "effect_low": "0.4", "effect_high": "0.6"}, "overlap"),
        ({"claim": "another"}, "another"),
    ],
)
def test_a_contradicted_claim_is_different(
    study: Study, capsys: pytest.CaptureFixture[str], cells: dict[str, str], why: str
) -> None:
    change_claims(study, "primary", **cells)
    status, lines = verified(study, capsys)
    assert status == 1 and lines[-1].startswith("DIFFERENT: ") and why in lines[-1]
    assert any(line.startswith("DIFFERENT: IF tuning lowers faithfulness") for line in lines)


def test_effects_of_a_partial_run_stand_above_the_published_ones(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    change_claims(study, "primary", effect="-0.25", effect_low="-0.5", effect_high="0.125")
    (key, row), *others = deciding_rows(study.artifacts / "tables").items()
    print_effects({key: row}, deciding_rows(study.paper / "tables"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * (1 + len(others))
    assert "-0.250 [-0.500, +0.125]" in lines[1].replace("−", "-") and lines[1] != lines[2]
    assert lines[4].split() == ["here", "–"]


@pytest.mark.parametrize("folder", ["artifacts", "paper"])
def test_missing_results_are_an_error(study: Study, folder: str) -> None:
    shutil.rmtree(study.folder / folder)
    with pytest.raises(UnusableFile, match=folder):
        verify(study)


@pytest.mark.parametrize(
    ("changes", "agrees"),
    [
        ({}, True),
        ({"effect": "-0.3", "verdict": "inconclusive"}, True),
        ({"effect": "-0.1"}, True),
        ({"effect": "-0.09", "effect_low": "-0.15", "effect_high": "-0.02"}, True),
        ({"effect": "-0.09", "effect_low": "-0.15", "verdict": "inconclusive"}, False),
        ({"effect": "0.1", "effect_low": "0.0", "effect_high": "0.2"}, False),
        ({"effect": "", "effect_low": "", "effect_high": ""}, False),
        ({"judge": "coverage (a)"}, False),
        ({"seeds": "1"}, False),
    ],
)
def test_an_effect_agrees_inside_the_interval_or_with_verdict_and_overlap(
    changes: dict[str, str], agrees: bool
) -> None:
    assert (contradiction(PUBLISHED | changes, PUBLISHED) == "") == agrees


def test_an_outdated_stage_is_different(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"tables": ["params.yaml"]}
    monkeypatch.setattr(module, "dvc_status", lambda _: changes)
    status, lines = verified(study, capsys)
    assert status == 1 and lines[-1].startswith("DIFFERENT: out of date: tables")
    assert "dvc repro" in lines[-1]


def test_code_of_another_clone_is_named(study: Study, tmp_path: Path) -> None:
    check_environment(ROOT / "reproduce")
    with pytest.raises(UnusableFile, match="another"):
        check_environment(tmp_path / "another" / "reproduce")


@pytest.mark.slow
def test_dvc_names_the_stages_that_are_out_of_date(tmp_path: Path) -> None:
    dvc(tmp_path, "init", "--no-scm")
    (tmp_path / "input").write_text("one")
    (tmp_path / "dvc.yaml").write_text(
        "stages: {first: {cmd: cp input output, deps: [input], outs: [output]}}"
    )
    dvc(tmp_path, "repro")
    assert dvc_status(tmp_path) == {}
    (tmp_path / "input").write_text("two")
    assert list(dvc_status(tmp_path)) == ["first"]
    (tmp_path / "dvc.yaml").write_text("stages: [")
    with pytest.raises(UnusableFile, match="dvc status"):
        dvc_status(tmp_path)
