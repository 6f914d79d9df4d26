"""The one training entry: pretraining, fine-tuning, mixtures and ReSet all come through here."""

import math
import os
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from reproduce.config import ConfigError, Hardware, Training
from reproduce.models.tokenization import IGNORED, TokenRow
from reproduce.training.sampler import Batches, num_steps

TRAINER_STATE = "trainer_state.json"
"""The last file of a checkpoint that the Trainer writes: without it the checkpoint is cut off."""
NOT_THE_MODEL = shutil.ignore_patterns(
    TRAINER_STATE, "training_args.bin", "*.pt", "*.pth", "global_step*", "latest", "zero_to_fp32.py"
)
"""The files of a checkpoint that only training needs."""


def train(
    model: PreTrainedModel,
    rows: Sequence[TokenRow],
    pad_id: int,
    arguments: TrainingArguments,
    title: str,
    num_intermediate_evals: int = 0,
    window: int = 1,
) -> None:
    """Train `model` in place and leave its last checkpoint in the arguments' output_dir.

    `checkpoint-N` of the last step N stays there, and one for each intermediate evaluation. A run
    that was stopped goes on from its newest checkpoint. Every process of the run has to call this.
    `window` is that of `Batches`.

    Raises FloatingPointError, with `title`, at the first loss that is not a number.
    """
    output_dir = Path(str(arguments.output_dir))
    trainer = _Trainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        data_collator=partial(pad_rows, pad_id=pad_id),
        callbacks=[_Checkpoints(title, arguments.max_steps, num_intermediate_evals)],
    )
    trainer.window = window
    trainer.remove_callback(PrinterCallback)
    checkpoint = last_checkpoint(output_dir)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def training_arguments(
    settings: Training, hardware: Hardware, seed: int, output_dir: Path, num_rows: int
) -> TrainingArguments:
    """Return the arguments of a run; make them before the model, which ZeRO-3 needs.

    The effective batch is `settings.batch_size` over all devices and accumulation. `seed` is that
    of the data order. Raises ConfigError where not `hardware.devices` processes were started.
    """
    if hardware.deepspeed:
        # DeepSpeed looks for MPI where no launcher has said how many processes there are.
        single = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
        for name, value in {**single, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}.items():
            os.environ.setdefault(name, value)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes != hardware.devices:
        raise ConfigError(
            f"hardware.devices: {hardware.devices}, but hardware.launch started {processes} "
            "processes; they must be equal"
        )
    steps = num_steps(num_rows, settings)
    schedule_options: dict[str, Any] = dict(settings.schedule_options)
    if "decay" in schedule_options:
        schedule_options["num_decay_steps"] = math.ceil(schedule_options.pop("decay") * steps)
    return TrainingArguments(
        output_dir=str(output_dir),
        max_steps=steps,
        per_device_train_batch_size=settings.micro_batch_size,
        gradient_accumulation_steps=settings.batch_size // (settings.micro_batch_size * processes),
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        lr_scheduler_kwargs=schedule_options,
        warmup_steps=math.ceil(settings.warmup * steps),
        weight_decay=settings.weight_decay,
        adam_beta2=settings.beta2,
        optim="adamw_torch_fused",
        seed=seed,
        data_seed=seed,
        bf16=hardware.precision == "bf16",
        activation_checkpointing=hardware.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        deepspeed=hardware.deepspeed,
        logging_steps=max(1, steps // 20),
        logging_nan_inf_filter=False,
        save_strategy="steps" if hardware.save_every else "no",
        save_steps=hardware.save_every or 1,
        save_only_model=not hardware.save_every,
        report_to="none",
        disable_tqdm=not sys.stderr.isatty(),
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
    )


def loss_history(log_history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Return one {step, loss, learning_rate} per logged step of a Trainer."""
    keys = ("step", "loss", "learning_rate")
    return [{key: log[key] for key in keys} for log in log_history if "loss" in log]


def pad_rows(rows: Sequence[TokenRow], pad_id: int) -> dict[str, torch.Tensor]:
    """Return a batch, padded on the right, whose logits are computed for counted tokens only.

    `logits_to_keep` is True at the (rows, tokens) whose next token counts in the loss, and
    `shift_labels` holds those next tokens. Prompts are longer than responses as a rule, and the
    logits of all their tokens are a fifth of the products of a model like SmolLM2-135M. Padding is
    not left to DataCollatorForSeq2Seq: it needs a pad token and pads LLaMA's rows on the left.
    """

    def padded(sequences: Sequence[Sequence[int]], value: int) -> torch.Tensor:
        return pad_sequence([torch.tensor(s) for s in sequences], True, value)

    labels = padded([row["labels"] for row in rows], IGNORED)
    next_labels = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
    return {
        "input_ids": padded([row["input_ids"] for row in rows], pad_id),
        "attention_mask": padded([[1] * len(row["input_ids"]) for row in rows], 0),
        "labels": labels,
        "logits_to_keep": next_labels != IGNORED,
        "shift_labels": next_labels[next_labels != IGNORED],
    }


def intermediate_steps(steps: int, count: int) -> set[int]:
    """Return `count` steps at equal distances inside a run; fewer if the run is shorter."""
    return {round(steps * k / (count + 1)) for k in range(1, count + 1)} - {0, steps}


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint in a folder.

    transformers' get_last_checkpoint would also return one whose writing was cut off.
    """
    complete = [path.parent for path in folder.glob(f"checkpoint-*/{TRAINER_STATE}")]
    return max(complete, key=_step, default=None)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


class _Trainer(Trainer):  # type: ignore[misc]
    """A Trainer that visits rows in the order of `Batches`."""

    window = 1

    def _get_train_sampler(self, *_: Any) -> Batches:
        lengths = [len(row["input_ids"]) for row in self.train_dataset]
        micro_batches = self.args.gradient_accumulation_steps * self.args.world_size
        batch_size = self.args.per_device_train_batch_size * micro_batches
        return Batches(lengths, batch_size, self.window, self.args.data_seed)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Start a warm-up with its second step: at the first the learning rate is 0."""
        if not self.args.warmup_steps:
            return super().create_scheduler(num_training_steps, optimizer)
        scheduler = super().create_scheduler(num_training_steps + 1, optimizer)
        with warnings.catch_warnings(action="ignore"):  # torch expects an optimiser step first.
            scheduler.step()
        return scheduler

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save tied weights once: DeepSpeed's state dict has a copy of them for each name."""
        if state_dict:
            tied = self.model.all_tied_weights_keys
            state_dict = {name: state_dict[name] for name in state_dict if name not in tied}
        super()._save(output_dir, state_dict)


class _Checkpoints(TrainerCallback):  # type: ignore[misc]
    """Decides which checkpoints are saved and kept, and stops a run whose loss is no number."""

    def __init__(self, title: str, steps: int, num_intermediate_evals: int) -> None:
        self.title, self.last = title, steps
        self.intermediate = intermediate_steps(steps, num_intermediate_evals)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # The last loss is always logged, so no run ends in a loss that nobody checked.
        control.should_log |= state.global_step == self.last
        control.should_save |= state.global_step in {*self.intermediate, self.last}

    def on_log(self, args: Any, state: Any, control: Any, logs: Any, **_: Any) -> None:
        if not math.isfinite(logs.get("loss", 0.0)):
            raise FloatingPointError(
                f"{self.title}: loss is {logs['loss']} at step {state.global_step}"
            )

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Remove older checkpoints; those of intermediate evaluations keep their model."""
        if not state.is_world_process_zero:
            return
        for checkpoint in Path(args.output_dir).glob("checkpoint-*"):
            if _step(checkpoint) >= state.global_step:
                continue
            if _step(checkpoint) not in self.intermediate:
                shutil.rmtree(checkpoint)
                continue
            for name in NOT_THE_MODEL(str(checkpoint), os.listdir(checkpoint)):
                path = checkpoint / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
