"""An arm that has nothing to train on is refused, not evaluated as if it were trained."""

from pathlib import Path

import pytest

from reproduce.arms import training_examples
from reproduce.config import Arm, Selection
from reproduce.examples import Example, write_examples
from reproduce.files import sealed_folder, write_rows
from reproduce.judging import TooMuchLost


def test_a_mixture_that_comes_out_empty_is_refused(tmp_path: Path) -> None:
    with sealed_folder(tmp_path / "training") as draft:
        write_examples(draft / "a.jsonl", [Example("a", "instruction", str(n), "") for n in "12"])
    arm = Arm(label="few", start="base", reads="training", mixture={"IF": 0.2})
    with pytest.raises(TooMuchLost, match="few, seed 3"):
        training_examples(arm, tmp_path / "training", 3)


def test_a_selection_from_empty_responses_is_refused(tmp_path: Path) -> None:
    example = Example("a", "instruction", "Do it.", "done")
    row = {"dataset": "a", "example": example.id, "strategy": "warm", "sample": 0, "response": "",
           "task": 0.0, "faithfulness": None, "instruction": 0.0}  # fmt: skip
    with sealed_folder(tmp_path / "scores") as draft:
        write_examples(draft / "prompts-0.jsonl", [example])
        write_rows(draft / "scores-0.jsonl", [row])
    arm = Arm(label="ReSet", start="base", reads="scores", select=Selection(keep=1.0))
    with pytest.raises(TooMuchLost, match="ReSet, seed 0"):
        training_examples(arm, tmp_path / "scores", 0)


def test_an_arm_without_training_has_no_examples(tmp_path: Path) -> None:
    assert training_examples(Arm(label="x", start="base", reads="training"), tmp_path, 0) == []
