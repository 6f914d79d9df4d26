"""Fine-tuning of a small encoder to tell entailment, contradiction and neutral apart."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reproduce.config import CrossEncoderTraining, Hardware
from reproduce.judges.faithfulness import LABELS
from reproduce.judges.trials import Pair
from reproduce.training.progress_callback import watch

MAX_LENGTH = 128
"""Tokens of a pair in training; the premise is cut where it has more."""


def train_cross_encoder(
    start: Path,
    pairs: Sequence[Pair],
    settings: CrossEncoderTraining,
    hardware: Hardware,
    target: Path,
) -> list[dict[str, float]]:
    """Write the tuned classifier and its tokenizer to `target`; return the logged losses.

    `start` holds an encoder in safetensors; its classification head is new.
    """
    from datasets import Dataset
    from transformers import AutoTokenizer, DataCollatorWithPadding, PrinterCallback, Trainer

    tokenizer = AutoTokenizer.from_pretrained(start, trust_remote_code=False)
    model = _classifier(start)
    trainer = Trainer(
        model=model,
        args=_arguments(settings, hardware, target / "work", len(pairs)),
        train_dataset=Dataset.from_list([_row(tokenizer, pair) for pair in pairs]),
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[watch("entailment model")],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    shutil.rmtree(target / "work", ignore_errors=True)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    logs = trainer.state.log_history
    return [{"step": log["step"], "loss": log["loss"]} for log in logs if "loss" in log]


def _classifier(start: Path) -> Any:
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(
        start,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
        use_safetensors=True,
        trust_remote_code=False,
    )


def _row(tokenizer: Any, pair: Pair) -> dict[str, Any]:
    encoded = tokenizer(
        pair.premise, pair.hypothesis, truncation="only_first", max_length=MAX_LENGTH
    )
    return {**encoded, "label": LABELS.index(pair.label)}


def _arguments(
    settings: CrossEncoderTraining, hardware: Hardware, work: Path, examples: int
) -> Any:
    import torch
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(work),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(0.06 * settings.epochs * examples / settings.batch_size),
        weight_decay=0.01,
        seed=settings.seed,
        data_seed=settings.seed,
        train_sampling_strategy="group_by_length",
        bf16=hardware.precision == "bf16",
        logging_steps=50,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        use_cpu=not torch.cuda.is_available(),
    )
