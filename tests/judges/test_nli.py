"""The cross-encoder: batches and label order change nothing; training learns."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from support.classifiers import WORDS, write_classifier

from reproduce.config import CrossEncoderTraining, Hardware, HubModel
from reproduce.judges.faithfulness import LABELS
from reproduce.judges.nli import MAX_LENGTH, CrossEncoder, encode_pair, label_columns
from reproduce.utils.files import UnusableFile
from reproduce.validation.entailment_training import train_cross_encoder
from reproduce.validation.trials import LabelledPair
from reproduce.validation.validate import import_classifier


@pytest.fixture
def model(tmp_path: Path) -> CrossEncoder:
    return CrossEncoder(write_classifier(tmp_path / "model"))


def pairs(count: int) -> list[tuple[str, str]]:
    rng = np.random.default_rng(0)

    def text(most: int) -> str:
        return " ".join(rng.choice(WORDS, rng.integers(1, most)))

    return [(text(60), text(12)) for _ in range(count)]


def test_batches_give_what_single_pairs_give(model: CrossEncoder) -> None:
    together = model(pairs(70))
    alone = np.concatenate([model([pair]) for pair in pairs(70)])
    assert together.shape == (70, 3) and np.ptp(together[:, 0]) > 0.01
    assert np.allclose(together.sum(axis=1), 1, atol=1e-6)
    assert np.abs(together - alone).max() <= 1e-6
    assert np.array_equal(model(pairs(70)[::-1]), together[::-1])
    assert model([]).shape == (0, 3)


def test_probabilities_are_those_of_the_plain_model(model: CrossEncoder) -> None:
    import torch

    (pair,) = pairs(1)
    with torch.no_grad():
        logits = model.model(**model.tokenizer(*pair, return_tensors="pt")).logits
    assert np.allclose(model([pair])[0], torch.softmax(logits[0], dim=0).numpy(), atol=1e-6)


@pytest.mark.parametrize("length", [240, 251, 252, 253, 254, 255, 256, 300])
def test_a_hypothesis_that_fills_the_model_alone_is_cut(model: CrossEncoder, length: int) -> None:
    premise, hypothesis = (" ".join([word] * length) for word in WORDS[:2])
    encoded = encode_pair(model.tokenizer, premise, hypothesis)
    assert len(encoded["input_ids"]) == MAX_LENGTH
    assert 0 < encoded["token_type_ids"].count(1) < MAX_LENGTH
    assert np.allclose(model([(premise, hypothesis)]).sum(), 1, atol=1e-6)


def test_columns_follow_the_names_of_the_labels(model: CrossEncoder, tmp_path: Path) -> None:
    labels = ("REFUTES", "Neutral", "entailment")
    turned = CrossEncoder(write_classifier(tmp_path / "turned", labels))
    assert np.allclose(model(pairs(4))[:, [0, 1, 2]], turned(pairs(4))[:, [1, 2, 0]])
    with pytest.raises(UnusableFile, match=r"label_0.*entailment"):
        label_columns({"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2})


def test_training_learns_to_tell_labels_apart(tmp_path: Path) -> None:
    hypotheses = ("the river is long", "not not short", "a lake is red")
    rows = [
        LabelledPair("the river is long", hypothesis, label)  # type: ignore[arg-type]
        for hypothesis, label in zip(hypotheses, LABELS, strict=True)
        for _ in range(32)
    ]
    settings = CrossEncoderTraining(epochs=12, batch_size=8, learning_rate=3e-3, pairs=96, seed=0)
    hardware = Hardware(threads=1)
    start, target = write_classifier(tmp_path / "start", spread=0.05), tmp_path / "trained"
    losses = train_cross_encoder(start, rows, settings, hardware, target)
    assert losses[-1]["loss"] < 0.7 < math.log(3)
    table = CrossEncoder(target)([(p.premise, p.hypothesis) for p in rows])
    assert table.argmax(axis=1).tolist() == [LABELS.index(pair.label) for pair in rows]
    assert not (target / "work").exists()
    settings = settings.model_copy(update={"learning_rate": 1e30, "epochs": 1})
    with pytest.raises(FloatingPointError):
        train_cross_encoder(start, rows, settings, hardware, tmp_path / "diverged")


def test_a_published_classifier_is_imported_as_safetensors(
    model: CrossEncoder, tmp_path: Path
) -> None:
    import_classifier(HubModel(model=str(tmp_path / "model")), tmp_path / "imported")
    assert (tmp_path / "imported" / "model.safetensors").is_file()
    imported = CrossEncoder(tmp_path / "imported")
    assert np.array_equal(imported(pairs(3)), model(pairs(3)))
    with pytest.raises(UnusableFile, match="missing"):
        import_classifier(HubModel(model=str(tmp_path / "missing")), tmp_path / "other")


def drop_head(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("classifier.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def rename_labels(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace("contradiction", "LABEL_1"))


@pytest.mark.parametrize(
    ("break_it", "word"),
    [(drop_head, "classifier.weight"), (cut_weights, "own"), (rename_labels, "contradiction")],
)
def test_a_classifier_that_does_not_fit_is_named(
    tmp_path: Path, break_it: Callable[[Path], None], word: str
) -> None:
    break_it(write_classifier(tmp_path / "own"))
    with pytest.raises(UnusableFile, match=word):
        import_classifier(HubModel(model=str(tmp_path / "own")), tmp_path / "imported")
    assert not (tmp_path / "imported" / "model.safetensors").exists()


def test_special_tokens_in_texts_are_text(model: CrossEncoder) -> None:
    tokenizer = model.tokenizer
    row = encode_pair(tokenizer, "the river [SEP] is [MASK] long", "[CLS] it is [SEP]")
    special = [token for token in row["input_ids"] if token in (2, 3, 4)]
    assert special == [tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.sep_token_id]
