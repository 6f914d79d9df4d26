"""The entailment model of real text: a cross-encoder, its training and its cached scores.

A cross-encoder is a sequence classifier that reads premise and hypothesis together.
"""

import copy
import hashlib
import math
import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from reproduce.config import CrossEncoderTraining, Hardware
from reproduce.judges.faithfulness import LABELS, TextPair
from reproduce.judges.trials import LabelledPair
from reproduce.utils.files import UnusableFile, file_sha256, short_hash

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CACHE = Path(".cache/entailment")
"""The folder of computed probabilities, below the working directory."""
MAX_LENGTH = 256
"""Tokens of a scored pair; a longer one loses the end of its premise, then of its hypothesis."""
TRAINING_LENGTH = 128
"""Tokens of a training pair; a longer one loses the end of its premise."""
BATCH_SIZE, PAD_MULTIPLE = 32, 16
"""Every batch has this many rows, padded to the same multiple of tokens: the shapes in which a
pair is computed, and so its rounding, do not depend on the pairs next to it."""
ALIASES = {"supports": "entailment", "refutes": "contradiction", "not enough info": "neutral"}
"""Names of the labels in classifiers of fact verification (FEVER, VitaminC)."""


class CrossEncoder:
    """An `Entailment` model that computes each pair once and keeps its probabilities on disk."""

    def __init__(self, folder: Path, cache: Path = CACHE) -> None:
        """Load the fp32 classifier in `folder`; several processes may share a `cache`.

        Raises UnusableFile if the classifier lacks one of LABELS.
        """
        import diskcache
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
        files = ("model.safetensors", "config.json", "tokenizer.json")
        # Other versions of the library and other devices round differently.
        made_by = (version("torch"), self.model.device.type, str(MAX_LENGTH))
        self.name = short_hash(*made_by, *(file_sha256(folder / file) for file in files))
        self.store = diskcache.Cache(str(cache), eviction_policy="none", size_limit=1 << 40)

    def __call__(self, pairs: Sequence[TextPair]) -> NDArray[np.float32]:
        """Return (n, 3) probabilities of LABELS for n pairs of (premise, hypothesis)."""
        keys = [
            hashlib.sha256("\x1f".join((self.name, *pair)).encode()).hexdigest() for pair in pairs
        ]
        distinct = dict(zip(keys, pairs, strict=True))
        cached = {key: self.store.get(key) for key in distinct}
        rows = {key: np.frombuffer(row, np.float32) for key, row in cached.items() if row}
        missing = [key for key in distinct if key not in rows]
        if missing:
            table = self._compute([distinct[key] for key in missing])
            rows |= dict(zip(missing, table, strict=True))
            with self.store.transact():
                for key in missing:
                    self.store.set(key, rows[key].tobytes())
        if not keys:
            return np.zeros((0, 3), np.float32)
        share = 1 - len(missing) / len(distinct)
        print(f"  entailment: {len(distinct)} pairs, {share:.0%} of them cached", flush=True)
        return np.stack([rows[key] for key in keys])

    def _compute(self, pairs: Sequence[TextPair]) -> NDArray[np.float32]:
        import torch

        encoded = [encode_pair(self.tokenizer, *pair) for pair in pairs]
        by_width: defaultdict[int, list[int]] = defaultdict(list)
        for number, row in enumerate(encoded):
            by_width[-(-len(row["input_ids"]) // PAD_MULTIPLE)].append(number)
        batches = [
            numbers[start : start + BATCH_SIZE]
            for _, numbers in sorted(by_width.items())
            for start in range(0, len(numbers), BATCH_SIZE)
        ]
        table = np.zeros((len(pairs), self.model.config.num_labels), np.float32)
        progress = tqdm(total=len(batches), desc="entailment", disable=None)

        def compute(model: Any, share: Sequence[list[int]]) -> None:
            for numbers in share:
                rows = [encoded[number] for number in numbers]
                batch = self.tokenizer.pad(
                    rows + [rows[0]] * (BATCH_SIZE - len(rows)),
                    pad_to_multiple_of=PAD_MULTIPLE,
                    return_tensors="pt",
                ).to(model.device)
                with torch.inference_mode():
                    probabilities = torch.softmax(model(**batch).logits.float(), dim=-1)
                table[numbers] = probabilities[: len(numbers)].cpu().numpy()
                progress.update()

        count = len(self.models)
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(compute, self.models, [batches[n::count] for n in range(count)]))
        progress.close()
        return table[:, self.columns]


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


def train_cross_encoder(
    start: Path,
    pairs: Sequence[LabelledPair],
    settings: CrossEncoderTraining,
    hardware: Hardware,
    target: Path,
) -> list[dict[str, float]]:
    """Write the trained classifier and its tokenizer to `target`; return the logged losses.

    `start` holds an encoder in safetensors; its classification head is new. Raises
    FloatingPointError if the mean loss is not finite.
    """
    import torch
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        PrinterCallback,
        Trainer,
        TrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(start, trust_remote_code=False)
    model = AutoModelForSequenceClassification.from_pretrained(
        start,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
        use_safetensors=True,
        trust_remote_code=False,
    )
    limits: dict[str, Any] = {
        "truncation": "only_first", "max_length": TRAINING_LENGTH, "split_special_tokens": True
    }  # fmt: skip
    rows = [
        {**tokenizer(p.premise, p.hypothesis, **limits), "label": LABELS.index(p.label)}
        for p in pairs
    ]
    arguments = TrainingArguments(
        output_dir=str(target / "work"), num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size, learning_rate=settings.learning_rate,
        lr_scheduler_type="linear", weight_decay=0.01,
        warmup_steps=math.ceil(0.06 * settings.epochs * len(pairs) / settings.batch_size),
        seed=settings.seed, data_seed=settings.seed, train_sampling_strategy="group_by_length",
        bf16=hardware.precision == "bf16", use_cpu=not torch.cuda.is_available(),
        logging_steps=50, logging_nan_inf_filter=False, save_strategy="no", report_to="none",
        disable_tqdm=not sys.stderr.isatty(), dataloader_pin_memory=False,
    )  # fmt: skip
    dataset, collator = Dataset.from_list(rows), DataCollatorWithPadding(tokenizer)
    trainer = Trainer(model=model, args=arguments, train_dataset=dataset, data_collator=collator)
    trainer.remove_callback(PrinterCallback)
    mean_loss = trainer.train().training_loss
    if not math.isfinite(mean_loss):
        raise FloatingPointError(f"entailment model: the mean training loss is {mean_loss}")
    shutil.rmtree(target / "work", ignore_errors=True)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    logs = trainer.state.log_history
    return [{"step": log["step"], "loss": log["loss"]} for log in logs if "loss" in log]
