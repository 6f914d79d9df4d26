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
    compare,
    contradiction,
    dvc_status,
    rerun_all,
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


@pytest.fixture
def up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "dvc_status", lambda _: {})


def change_claim(study: Study, **cells: str) -> None:
    path = study.artifacts / "tables" / "claims.csv"
    first, *rest = read_csv(path)
    write_csv(path, [first | cells, *rest])


@pytest.mark.usefixtures("up_to_date")
class TestOutcome:
    def test_the_same_bytes_are_identical(self, study: Study) -> None:
        assert compare(study).outcome == "IDENTICAL" and verify(study) == 0

    def test_other_bytes_are_named_and_consistent(self, study: Study) -> None:
        (study.artifacts / "figures" / "trade-off.png").write_bytes(b"other")
        (study.artifacts / "tables" / "seeds.csv").unlink()
        (study.paper / "tables" / "scores.csv").unlink()
        comparison = compare(study)
        assert comparison.outcome == "CONSISTENT" and verify(study) == 0
        assert comparison.files == [
            "figures/trade-off.png",
            "tables/scores.csv",
            "tables/seeds.csv",
        ]

    def test_a_contradicted_claim_is_different(
        self, study: Study, capsys: pytest.CaptureFixture[str]
    ) -> None:
        change_claim(study, effect="0.5", effect_low="0.4", effect_high="0.6")
        assert compare(study).outcome == "DIFFERENT" and verify(study) == 1
        lines = capsys.readouterr().out.splitlines()
        assert any(line.startswith("DIFFERENT: IF tuning lowers faithfulness") for line in lines)

    def test_a_claim_that_only_one_side_has_is_different(self, study: Study) -> None:
        change_claim(study, claim="another")
        assert len(compare(study).contradictions) == 2

    def test_secondary_differences_decide_nothing(self, study: Study) -> None:
        path = study.artifacts / "tables" / "claims.csv"
        write_csv(path, [
            row | ({} if row["role"] == "primary" else {"effect": "9"}) for row in read_csv(path)
        ])  # fmt: skip
        assert compare(study).outcome == "CONSISTENT"

    def test_no_local_results_are_an_error(self, study: Study) -> None:
        shutil.rmtree(study.artifacts)
        with pytest.raises(UnusableFile, match="artifacts"):
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


def test_outdated_results_fail_and_their_stages_are_named(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"tables": [{"changed deps": {"params.yaml": "modified"}}]}
    monkeypatch.setattr(module, "dvc_status", lambda _: changes)
    assert verify(study) == 1
    output = capsys.readouterr().out
    assert "out of date: tables" in output and "dvc repro" in output


def test_code_of_another_clone_is_named(study: Study, tmp_path: Path) -> None:
    check_environment(ROOT / "reproduce")
    with pytest.raises(UnusableFile, match="another"):
        check_environment(tmp_path / "another" / "reproduce")


STAGES = """
stages:
  first:
    cmd: ls .cache/entailment | wc -l >> ran.log; cp input artifacts/first
    deps: [input]
    outs: [artifacts/first]
  second:
    cmd: {second}cp artifacts/first artifacts/second
    deps: [artifacts/first]
    outs: [artifacts/second]
"""


@pytest.fixture
def pipeline(study: Study) -> Study:
    """Return a study whose pipeline has two tiny stages, with what its judge scored before."""
    folder = study.folder
    dvc(folder, "init", "--no-scm")
    (folder / ".cache" / "entailment").mkdir(parents=True)
    (folder / ".cache" / "entailment" / "pairs").write_text("scored before")
    (folder / "artifacts" / "README.md").write_text("committed")
    (folder / "input").write_text("one")
    (folder / "dvc.yaml").write_text(STAGES.format(second=""))
    dvc(folder, "repro")
    return study


@pytest.mark.slow
class TestRerun:
    def test_every_stage_runs_again_without_any_cache(self, pipeline: Study) -> None:
        assert rerun_all(pipeline) == []
        # The first run saw the pairs that were scored before, the second none.
        assert (pipeline.folder / "ran.log").read_text().split() == ["1", "0"]
        assert (pipeline.artifacts / "README.md").read_text() == "committed"
        assert not (pipeline.folder / ".cache" / "before-rerun").exists()

    def test_outputs_with_other_bytes_are_named(self, pipeline: Study) -> None:
        (pipeline.folder / "input").write_text("two")
        assert list(dvc_status(pipeline.folder)) == ["first"]
        assert verify(pipeline, rerun=True) == 1
        assert rerun_all(pipeline) == []

    def test_a_stage_that_fails_leaves_the_old_results(self, pipeline: Study) -> None:
        lock = (pipeline.folder / "dvc.lock").read_text()
        (pipeline.folder / "input").write_text("two")
        (pipeline.folder / "dvc.yaml").write_text(STAGES.format(second="false && "))
        with pytest.raises(UnusableFile, match="dvc repro"):
            rerun_all(pipeline)
        assert (pipeline.artifacts / "second").read_text() == "one"
        assert (pipeline.folder / "dvc.lock").read_text() == lock
        pairs = pipeline.folder / ".cache" / "entailment" / "pairs"
        assert pairs.read_text() == "scored before"
