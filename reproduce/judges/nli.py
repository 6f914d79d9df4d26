"""A cross-encoder's entailment probabilities: batched by length, each pair once, cached."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reproduce.judges.faithfulness import LABELS
from reproduce.utils.files import UnusableFile, digest, text_id
from reproduce.utils.progress import told

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Text = tuple[str, str]
Table = NDArray[np.float32]

MAX_LENGTH = 256
"""Tokens of a pair; the premise is cut where it has more, the text too if it alone has as many."""
ALIASES = {"supports": "entailment", "refutes": "contradiction", "not enough info": "neutral"}
"""What classifiers of fact verification (FEVER, VitaminC) call the three labels."""

BATCH, STEP = 32, 16
"""Every batch has this many rows, all of which need the same multiple of this many tokens: a pair
is computed in the same shapes whatever stands beside it."""


class CrossEncoder:
    """An `Entailment` model over the sequence classifier in a folder, with a cache on disk."""

    def __init__(self, folder: Path, cache: Path | None = None) -> None:
        """Load the model in `folder`; `cache` is a folder that processes may share."""
        self.model, self.tokenizer = load_classifier(folder)
        self.columns = label_columns(self.model.config.label2id)
        names = ("model.safetensors", "config.json", "tokenizer.json")
        # Another version of the library, or another device, rounds otherwise.
        made_by = (version("torch"), self.model.device.type, str(MAX_LENGTH))
        self.name = text_id(*made_by, *(digest(folder / name) for name in names))
        self.store = _opened(cache)

    def __call__(self, pairs: Sequence[Text]) -> Table:
        """Return (n, 3) probabilities of entailment, contradiction and neutral."""
        keys = [self._key(pair) for pair in pairs]
        distinct = dict(zip(keys, pairs, strict=True))
        known = {key: self.store.get(key) for key in distinct} if self.store is not None else {}
        rows = {key: np.frombuffer(row, np.float32) for key, row in known.items() if row}
        missing = [key for key in distinct if key not in rows]
        if missing:
            computed = self._computed([distinct[key] for key in missing])
            rows |= dict(zip(missing, computed, strict=True))
        if self.store is not None:
            with self.store.transact():
                for key in missing:
                    self.store.set(key, rows[key].tobytes())
            share = f"{1 - len(missing) / max(1, len(distinct)):.0%}"
            print(f"  entailment: {len(distinct)} pairs, {share} of them cached", flush=True)
        return np.stack([rows[key] for key in keys]) if keys else np.zeros((0, 3), np.float32)

    def _key(self, pair: Text) -> str:
        return hashlib.sha256("\x1f".join((self.name, *pair)).encode()).hexdigest()

    def _computed(self, pairs: Sequence[Text]) -> Table:
        return probabilities(self.model, self.tokenizer, pairs)[:, self.columns]


def load_classifier(folder: Path) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Return the sequence classifier and tokenizer in a folder, in fp32, ready to score."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def label_columns(label2id: dict[str, int]) -> list[int]:
    """Return the model's columns in the order of LABELS.

    Raises UnusableFile where a label is missing: published models name and order them differently.
    """
    known = {ALIASES.get(name.lower(), name.lower()): n for name, n in label2id.items()}
    if missing := [label for label in LABELS if label not in known]:
        raise UnusableFile(
            f"the entailment model has the labels {sorted(known)} and lacks {missing}; "
            "choose another (judging.published.model)"
        )
    return [known[label] for label in LABELS]


def probabilities(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", pairs: Sequence[Text]
) -> Table:
    """Return the softmax over the model's labels, (n, labels), in the order of `pairs`."""
    import torch

    encoded = [_encoded(tokenizer, premise, text) for premise, text in pairs]
    table = np.zeros((len(pairs), model.config.num_labels), np.float32)
    for chosen in told(_batches([len(row["input_ids"]) for row in encoded]), "entailment"):
        rows = [encoded[i] for i in chosen]
        batch = tokenizer.pad(
            rows + [rows[0]] * (BATCH - len(rows)), pad_to_multiple_of=STEP, return_tensors="pt"
        ).to(model.device)
        with torch.inference_mode():
            scores = torch.softmax(model(**batch).logits.float(), dim=-1)
        table[chosen] = scores[: len(chosen)].cpu().numpy()
    return table


def _encoded(tokenizer: "PreTrainedTokenizerBase", premise: str, text: str) -> Any:
    alone = len(tokenizer(text)["input_ids"]) + tokenizer.num_special_tokens_to_add(pair=True)
    alone -= tokenizer.num_special_tokens_to_add(pair=False)
    cut = "only_first" if alone < MAX_LENGTH else "longest_first"
    return tokenizer(premise, text, truncation=cut, max_length=MAX_LENGTH)


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Return the numbers of rows that are padded to one length, at most BATCH together."""
    widths = defaultdict(list)
    for number, length in enumerate(lengths):
        widths[-(-length // STEP)].append(number)
    return [
        rows[begin : begin + BATCH]
        for _, rows in sorted(widths.items())
        for begin in range(0, len(rows), BATCH)
    ]


def _opened(cache: Path | None) -> Any:
    if cache is None:
        return None
    import diskcache

    return diskcache.Cache(str(cache), eviction_policy="none", size_limit=1 << 40)
