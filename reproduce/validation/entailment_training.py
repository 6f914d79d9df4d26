"""The training of the entailment model of real text."""

import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reproduce.config import CrossEncoderTraining, Hardware
from reproduce.judges.faithfulness import LABELS
from reproduce.validation.trials import LabelledPair

TRAINING_LENGTH = 128
"""Tokens of a training pair; a longer one loses the end of its premise."""


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
