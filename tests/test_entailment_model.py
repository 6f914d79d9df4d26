"""The cross-encoder: batches, cache and label order change nothing; training learns."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ENCODER_WORDS

from reproduce.config import CrossEncoderTraining, Hardware, Judging, Params, Published, load_params
from reproduce.data.prepare import make_data
from reproduce.judges.faithfulness import LABELS
from reproduce.judges.nli import MAX_LENGTH, CrossEncoder, _encoded, label_columns
from reproduce.judges.nli_training import train_cross_encoder
from reproduce.judges.prepare_judges import make_entailment
from reproduce.judges.trials import Pair
from reproduce.judges.validation import Unsound
from reproduce.utils.files import UnusableFile, checked, read_rows, sealed_folder, write_rows

ROOT = Path(__file__).parent.parent
Maker = Callable[..., Path]
MEASURES: Any = {"extractive": "entailed", "abstractive": "summac", "max_empty_share": 1}


def pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    rng = np.random.default_rng(seed)

    def text(most: int) -> str:
        return " ".join(rng.choice(ENCODER_WORDS, rng.integers(1, most)))

    return [(text(60), text(12)) for _ in range(count)]


def test_batches_give_what_single_pairs_give(encoder: Maker) -> None:
    model = CrossEncoder(encoder())
    asked = pairs(70)
    together = model(asked)
    alone = np.concatenate([model([pair]) for pair in asked])
    assert together.shape == (70, 3) and np.ptp(together[:, 0]) > 0.01
    assert np.allclose(together.sum(axis=1), 1, atol=1e-6)
    assert np.abs(together - alone).max() <= 1e-6


def test_probabilities_are_those_of_the_plain_model(encoder: Maker) -> None:
    import torch

    model = CrossEncoder(encoder())
    pair = pairs(1)[0]
    with torch.no_grad():
        scores = model.model(**model.tokenizer(*pair, return_tensors="pt")).logits
    assert np.allclose(model([pair])[0], torch.softmax(scores[0], dim=0).numpy(), atol=1e-6)


@pytest.mark.parametrize("length", [240, 251, 252, 253, 254, 255, 256, 300])
def test_a_text_that_fills_the_model_alone_is_cut(encoder: Maker, length: int) -> None:
    """A sampled response may go on and on; what room is there belongs to the premise, if any."""
    model = CrossEncoder(encoder())
    premise, text = (" ".join([word] * length) for word in ENCODER_WORDS[:2])
    encoded = _encoded(model.tokenizer, premise, text)
    assert len(encoded["input_ids"]) == MAX_LENGTH
    assert 0 < encoded["token_type_ids"].count(1) < MAX_LENGTH
    assert np.allclose(model([(premise, text)]).sum(), 1, atol=1e-6)


def test_a_pair_is_computed_once_and_kept(encoder: Maker, tmp_path: Path) -> None:
    folder, asked = encoder(), pairs(20)
    first = CrossEncoder(folder, tmp_path / "cache")
    table = first([*asked, *asked])
    assert np.array_equal(table[:20], table[20:])
    second = CrossEncoder(folder, tmp_path / "cache")
    second.model = None  # type: ignore[assignment]  # Nothing is left to compute.
    assert np.array_equal(second(asked[::-1]), table[:20][::-1])


def test_another_model_does_not_find_the_cached_scores(encoder: Maker, tmp_path: Path) -> None:
    asked = pairs(5)
    CrossEncoder(encoder("one", seed=1), tmp_path / "cache")(asked)
    second = encoder("two", seed=2)
    found = CrossEncoder(second, tmp_path / "cache")(asked)
    assert np.array_equal(found, CrossEncoder(second)(asked))


def test_columns_follow_the_names_of_the_labels(encoder: Maker) -> None:
    asked = pairs(4)
    plain = CrossEncoder(encoder("plain"))(asked)
    turned = CrossEncoder(encoder("turned", ("CONTRADICTION", "Neutral", "entailment")))(asked)
    assert np.allclose(plain[:, [0, 1, 2]], turned[:, [1, 2, 0]])


def test_unknown_labels_are_refused() -> None:
    with pytest.raises(UnusableFile, match=r"label_0.*entailment"):
        label_columns({"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2})


def test_no_pair_gives_no_row(encoder: Maker) -> None:
    assert CrossEncoder(encoder())([]).shape == (0, 3)


def test_training_learns_to_tell_labels_apart(encoder: Maker, tmp_path: Path) -> None:
    rows = [
        Pair("the river is long", hypothesis, label)
        for hypothesis, label in (
            ("the river is long", "entailment"),
            ("not not short", "contradiction"),
            ("a lake is red", "neutral"),
        )
        for _ in range(32)
    ]  # fmt: skip
    settings = CrossEncoderTraining(epochs=12, batch_size=8, learning_rate=3e-3, pairs=96, seed=0)
    start, hardware = encoder("start", spread=0.05), Hardware(workers=1, threads=1, threads_alone=1)
    history = train_cross_encoder(start, rows, settings, hardware, tmp_path / "made")
    assert history[-1]["loss"] < 0.7 < math.log(3)
    model = CrossEncoder(tmp_path / "made")
    table = model([(pair.premise, pair.hypothesis) for pair in rows[::32]])
    assert table.argmax(axis=1).tolist() == [LABELS.index(pair.label) for pair in rows[::32]]
    assert not (tmp_path / "made" / "work").exists()


@pytest.fixture
def params() -> Params:
    return load_params(ROOT / "tests" / "nano" / "params.yaml")


def test_the_step_measures_every_judge(params: Params, tmp_path: Path) -> None:
    make_data(params.data, params.validation, tmp_path)
    make_entailment(params, tmp_path)
    rows = read_rows(checked(tmp_path / "validation") / "judged.jsonl")
    assert {row["kind"] for row in rows} == {"extractive", "abstractive", "instruction"}
    for row in rows:
        if row["kind"] == "extractive" and row["variant"] in ("right", "same passage"):
            assert row["details"]["entailed"] == (1.0 if row["variant"] == "right" else -1.0) or (
                row["variant"] != "right" and row["details"]["entailed"] <= 0
            )


def test_a_profile_may_tune_its_own_model(
    params: Params, encoder: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = encoder("minilm", spread=0.05)
    monkeypatch.setattr(
        "reproduce.models.minilm.import_minilm", lambda target, _: shutil.copytree(start, target)
    )
    make_data(params.data, params.validation, tmp_path)
    pairs = tmp_path / "pairs"
    shutil.rmtree(pairs)
    with sealed_folder(pairs) as draft:
        example = {"premise": "the river is long", "hypothesis": "a lake", "label": "neutral"}
        write_rows(draft / "training.jsonl", [example] * 20)
        write_rows(draft / "trials.jsonl", [])
    training = CrossEncoderTraining(epochs=1, batch_size=4, learning_rate=1e-3, pairs=8, seed=0)
    judging = Judging(entailment="trained", training=training, **MEASURES)
    changed = params.model_copy(update={"judging": judging})
    with pytest.raises(Unsound, match="no measure"):
        make_entailment(changed, tmp_path)
    monkeypatch.setattr("reproduce.judges.prepare_judges.sound_sets", lambda *_: ["any"])
    make_entailment(changed, tmp_path)
    folder = checked(tmp_path / "entailment")
    assert {path.name for path in folder.iterdir()} == {"model", "history.json", "SHA256SUMS"}
    assert not (folder / "start").exists()


def test_judges_that_see_nothing_are_refused(params: Params, tmp_path: Path) -> None:
    make_data(params.data, params.validation, tmp_path)
    blind = params.judging.model_copy(update={"extractive": "coverage", "abstractive": "coverage"})
    strict = params.validation.model_copy(update={"least_auc": 0.99})
    changed = params.model_copy(update={"judging": blind, "validation": strict})
    with pytest.raises(Unsound, match=r"qa-pair.*judging\.extractive"):
        make_entailment(changed, tmp_path)
    assert not (tmp_path / "entailment").exists() and not (tmp_path / "validation").exists()


def test_a_published_model_is_kept_as_safetensors(
    params: Params, encoder: Maker, tmp_path: Path
) -> None:
    make_data(params.data, params.validation, tmp_path)
    published = Published(model=str(encoder("published")))
    judging = Judging(entailment="published", published=published, max_empty_share=1,
                      extractive="k_precision", abstractive="k_precision")  # fmt: skip
    changed = params.model_copy(update={"judging": judging})
    make_entailment(changed, tmp_path)
    assert (tmp_path / "entailment" / "model" / "model.safetensors").is_file()
    rows = read_rows(tmp_path / "validation" / "judged.jsonl")
    assert any(0 < abs(row["details"].get("entailed", 0)) < 1 for row in rows)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"entailment": "trained"}, "'training' goes with"),
        ({"entailment": "symbolic", "published": {"model": "."}}, "'published' goes with"),
        ({"entailment": "published", "published": {"model": "a/b", "revision": "main"}}, "pattern"),
    ],
)
def test_contradictory_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Judging(**settings, extractive="entailed", abstractive="summac", max_empty_share=0)


def test_a_published_model_that_cannot_be_had_is_named(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(params.data, params.validation, tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    published = Published(model="nobody/nothing", revision="0" * 40)
    judging = Judging(entailment="published", published=published, **MEASURES)
    with pytest.raises(UnusableFile, match=r"nobody/nothing at 0{40}.*judging\.published"):
        make_entailment(params.model_copy(update={"judging": judging}), tmp_path)
