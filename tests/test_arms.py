"""An arm: what it trains on, and what a stop costs."""

from pathlib import Path
from typing import Any

import pytest

from reproduce import arms
from reproduce.arms import training_examples
from reproduce.config import Arm, Selection, load_params
from reproduce.judges.panel import TooMuchLost
from reproduce.schema import Example, write_examples
from reproduce.training import launch as jobs
from reproduce.training.speed import LOG
from reproduce.utils.files import checked, read_json, read_rows, sealed_folder, write_rows
from reproduce.utils.openai_client import EndpointError
from reproduce.utils.stage_log import logged

ROOT = Path(__file__).parent.parent


def test_a_mixture_that_comes_out_empty_is_refused(tmp_path: Path) -> None:
    with sealed_folder(tmp_path / "training") as draft:
        write_examples(draft / "a.jsonl", [Example("a", "instruction", str(n), "") for n in "12"])
    arm = Arm(label="few", start="base", reads="training", mixture={"IF": 0.2})
    with pytest.raises(TooMuchLost, match="few, seed 3"):
        training_examples(arm, tmp_path / "training", 3)


def test_a_selection_from_empty_responses_is_refused(tmp_path: Path) -> None:
    example = Example("a", "instruction", "Do it.", "done")
    row = {"dataset": "a", "example": example.id, "strategy": "warm", "sample": 0, "response": "",
           "ended": True,
           "task": 0.0, "faithfulness": None, "instruction": 0.0}  # fmt: skip
    with sealed_folder(tmp_path / "scores") as draft:
        write_examples(draft / "prompts-0.jsonl", [example])
        write_rows(draft / "scores-0.jsonl", [row])
    arm = Arm(label="ReSet", start="base", reads="scores", select=Selection(keep=1.0))
    with pytest.raises(TooMuchLost, match="ReSet, seed 0"):
        training_examples(arm, tmp_path / "scores", 0)


def test_an_arm_without_training_has_no_examples(tmp_path: Path) -> None:
    assert training_examples(Arm(label="x", start="base", reads="training"), tmp_path, 0) == []


def test_a_stop_in_evaluation_costs_no_training(
    make_model: Any, tokenizer: Any, training: Any, held_out: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """At scale evaluation takes longer than training, and a judge may run out of its budget."""
    monkeypatch.chdir(tmp_path)
    told = load_params(ROOT / "tests" / "nano" / "params.yaml")
    hardware = told.hardware.model_copy(update={"workers": 1, "save_every": 2})
    params = told.model_copy(update={"seeds": [0], "hardware": hardware})
    artifacts = Path("artifacts")
    with sealed_folder(artifacts / "base") as draft:
        make_model().save_pretrained(draft / "model")
        tokenizer.save_pretrained(draft / "model")
    for name, sets in (("training", training), ("evaluation", held_out)):
        with sealed_folder(artifacts / name) as draft:
            for dataset, found in sets.items():
                write_examples(draft / f"{dataset}.jsonl", found[:6])
    with sealed_folder(artifacts / "entailment") as draft:
        write_rows(draft / "none.jsonl", [])
    arm = Arm(label="IF", start="base", reads="training", mixture={"IF": 1.0}, trajectory=1)

    def stopped(*_: Any) -> Any:
        raise EndpointError("the budget is spent")

    with monkeypatch.context() as patched:
        patched.setattr(arms, "evaluate", stopped)
        with pytest.raises(EndpointError):
            arms.run_arm(params, "two-stage/IF", arm, artifacts)
    assert not (artifacts / "two-stage" / "IF").exists()
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "run_job", stopped)
        arms.run_arm(params, "two-stage/IF", arm, artifacts)
    made = checked(artifacts / "two-stage" / "IF")
    assert len(read_json(made / "seed-0" / "history.json")["losses"]) > 2
    assert (made / "seed-0" / "model" / "model.safetensors").is_file()
    assert not list(jobs.CHECKPOINTS.glob("*"))
    (run,) = logged(LOG)
    rows = read_rows(made / "seed-0" / "train.jsonl")
    assert run["stage"] == "two-stage/IF" and run["parameters"] == make_model().num_parameters()
    assert run["tokens"] > 3 * len(rows) and run["seconds"] > 0
