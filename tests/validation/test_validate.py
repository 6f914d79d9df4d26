"""The stage `judges`."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.classifiers import write_classifier
from support.profiles import nano_params

from reproduce.config import Judging
from reproduce.schema import Example, JudgedTrial, Sets, read_records, write_records
from reproduce.utils.files import UserError
from reproduce.validation import validate
from reproduce.validation.validate import make_judges

PASSAGE = "The river rises in Norway. In 1904 the bridge was built by Anna Berg. It is long."
QUESTIONS = {"Where does the river rise?": "Norway", "Who built the bridge?": "Anna Berg"}
REAL: Sets = {
    "qa": [
        Example("qa", "extractive", f"{PASSAGE}\n\nQuestion: {text}", answer, PASSAGE, (answer,))
        for text, answer in QUESTIONS.items()
    ]
}
BY_MODEL: Any = {"extractive": "entailed", "abstractive": "summac", "max_empty_share": 1}


def judges_for(params: Any, folder: Path, training: Sets, held_out: Sets) -> None:
    """Make the judges of data sets that lie where the stage `data` writes them."""
    for part, sets in (("training", training), ("evaluation", held_out)):
        for name, examples in sets.items():
            write_records(folder / "data" / part / f"{name}.jsonl", examples)
    make_judges(params, folder, training, held_out)


def test_the_stage_judges_every_trial(training: Sets, held_out: Sets, tmp_path: Path) -> None:
    judges_for(nano_params(), tmp_path, training, held_out)
    assert list((tmp_path / "judges" / "model").iterdir()) == []
    judged = read_records(tmp_path / "judges" / "validation" / "trials.jsonl", JudgedTrial)
    assert {t.kind for t in judged} == {"extractive", "abstractive", "instruction"}
    for t in judged:
        if t.kind == "extractive" and t.variant == "right":
            assert t.judgement.faithfulness == t.judgement.details["entailed"] == 1.0
        elif t.kind == "extractive" and t.variant == "same passage":
            assert t.judgement.details["entailed"] <= 0
    trivial = read_records(tmp_path / "judges" / "validation" / "trivial.jsonl", JudgedTrial)
    for t in trivial:
        if t.variant == "first sentence":
            assert t.judgement.faithfulness is not None and t.judgement.faithfulness >= 0.5
        elif t.variant == "memorised value":
            assert t.judgement.faithfulness == 0.0


def test_judges_that_see_nothing_are_rejected(
    training: Sets, held_out: Sets, tmp_path: Path
) -> None:
    params = nano_params(
        judging__extractive="coverage", judging__abstractive="coverage", validation__min_auc=0.99
    )
    with pytest.raises(UserError, match=r"qa-pair.*judging\.extractive"):
        judges_for(params, tmp_path, training, held_out)
    assert list((tmp_path / "judges").iterdir()) == []


def test_a_profile_may_train_its_own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = write_classifier(tmp_path / "minilm", spread=0.05)
    monkeypatch.setattr(validate, "import_minilm", lambda target: shutil.copytree(start, target))
    training = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3, "pairs": 4, "seed": 0}
    judging = Judging(entailment="trained", training=training, **BY_MODEL)  # type: ignore[arg-type]
    params = nano_params().model_copy(update={"judging": judging})
    monkeypatch.setattr(validate, "valid_datasets", lambda *_: ["any"])
    judges_for(params, tmp_path, REAL, REAL)
    names = {path.name for path in (tmp_path / "judges" / "model").iterdir()}
    assert {"model.safetensors", "tokenizer.json", "history.json"} <= names
    assert not names & {"start", "work"}


def test_a_profile_may_use_a_published_model(tmp_path: Path) -> None:
    published = {"model": str(write_classifier(tmp_path / "published"))}
    settings: Any = {"published": published, "extractive": "k_precision"}
    judging = Judging(
        entailment="published", abstractive="k_precision", max_empty_share=1, **settings
    )
    params = nano_params().model_copy(update={"judging": judging})
    judges_for(params, tmp_path, REAL, REAL)
    assert (tmp_path / "judges" / "model" / "model.safetensors").is_file()
    judged = read_records(tmp_path / "judges" / "validation" / "trials.jsonl", JudgedTrial)
    assert any(0 < abs(t.judgement.details["entailed"]) < 1 for t in judged)
