"""The entailment model of real text: a cross-encoder.

That is a sequence classifier that reads premise and hypothesis together.
"""

import copy
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from reproduce.judges.faithfulness import LABELS, TextPair
from reproduce.utils.files import UnusableFile

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MAX_LENGTH = 256
"""Tokens of a scored pair; a longer one loses the end of its premise, then of its hypothesis."""
BATCH_SIZE, PAD_MULTIPLE = 32, 16
"""Every batch has this many rows, padded to the same multiple of tokens: the shapes in which a
pair is computed, and so its rounding, do not depend on the pairs next to it."""
ALIASES = {"supports": "entailment", "refutes": "contradiction", "not enough info": "neutral"}
"""Names of the labels in classifiers of fact verification (FEVER, VitaminC)."""


class CrossEncoder:
    """An `Entailment` model: a classifier, with a copy per GPU."""

    def __init__(self, folder: Path) -> None:
        """Load the fp32 classifier in `folder`; UnusableFile if it lacks one of LABELS."""
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        model = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
        # A copy per GPU; a pair gets the same probabilities on each.
        devices = [f"cuda:{n}" for n in range(torch.cuda.device_count())] or ["cpu"]
        self.models = [copy.deepcopy(model.eval()).to(device) for device in devices]
        self.model = self.models[0]
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self.columns = label_columns(self.model.config.label2id)

    def __call__(self, pairs: Sequence[TextPair]) -> NDArray[np.float32]:
        """Return (n, 3) probabilities of LABELS for n pairs of (premise, hypothesis)."""
        import torch

        encoded = [encode_pair(self.tokenizer, *pair) for pair in pairs]
        batches = batches_of_width([len(row["input_ids"]) for row in encoded])
        table = np.zeros((len(pairs), self.model.config.num_labels), np.float32)
        progress = tqdm(total=len(batches), desc="entailment", disable=None)

        def compute(model: Any, share: Sequence[list[int]]) -> None:
            for numbers in share:
                rows = [encoded[number] for number in numbers]
                batch = pad_batch(self.tokenizer, rows).to(model.device)
                with torch.inference_mode():
                    probabilities = torch.softmax(model(**batch).logits.float(), dim=-1)
                table[numbers] = probabilities[: len(numbers)].cpu().numpy()
                progress.update()

        count = len(self.models)
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(compute, self.models, [batches[n::count] for n in range(count)]))
        progress.close()
        return table[:, self.columns]


def batches_of_width(lengths: Sequence[int]) -> list[list[int]]:
    """Return the numbers of rows of these lengths in batches that are padded to one width."""
    by_width: defaultdict[int, list[int]] = defaultdict(list)
    for number, length in enumerate(lengths):
        by_width[-(-length // PAD_MULTIPLE)].append(number)
    return [
        numbers[start : start + BATCH_SIZE]
        for _, numbers in sorted(by_width.items())
        for start in range(0, len(numbers), BATCH_SIZE)
    ]


def pad_batch(tokenizer: "PreTrainedTokenizerBase", rows: Sequence[Any]) -> Any:
    """Return rows of tokens as tensors of BATCH_SIZE; copies of the first row fill them up."""
    return tokenizer.pad(
        [*rows, *[rows[0]] * (BATCH_SIZE - len(rows))],
        pad_to_multiple_of=PAD_MULTIPLE,
        return_tensors="pt",
    )


def encode_pair(tokenizer: "PreTrainedTokenizerBase", premise: str, hypothesis: str) -> Any:
    """Return the pair's tokens, at most MAX_LENGTH."""
    special = tokenizer.num_special_tokens_to_add
    alone = len(tokenizer(hypothesis)["input_ids"]) + special(pair=True) - special(pair=False)
    # A sampled response may be so long that it leaves the premise no room.
    truncation = "only_first" if alone < MAX_LENGTH else "longest_first"
    return tokenizer(
        premise, hypothesis, truncation=truncation, max_length=MAX_LENGTH, split_special_tokens=True
    )


def label_columns(label2id: dict[str, int]) -> list[int]:
    """Return the classifier's columns in the order of LABELS.

    Published models name and order them differently. Raises UnusableFile if one is missing.
    """
    columns = {ALIASES.get(name.lower(), name.lower()): n for name, n in label2id.items()}
    if missing := [label for label in LABELS if label not in columns]:
        raise UnusableFile(
            f"judging.published.model: the classifier has the labels {sorted(columns)} and lacks "
            f"{missing}"
        )
    return [columns[label] for label in LABELS]
