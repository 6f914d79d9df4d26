"""The one training entry: pretraining, fine-tuning, mixtures and ReSet all come through here."""

import math
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reproduce.config import ConfigError, Hardware, Training
from reproduce.models.tokenization import pad_rows
from reproduce.training.loss import sparse_scores
from reproduce.training.progress_callback import watch
from reproduce.training.sampler import LengthBatches, steps_in

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

Row = dict[str, Any]
History = list[dict[str, float]]
Save = Callable[[Path], None]

SHARD = "5GB"
"""Of a file of weights, at most: a 7B model is read and copied in parts, not in one piece."""


def train(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    rows: Sequence[Row],
    arguments: "TrainingArguments",
    title: str,
    stops: int = 0,
) -> tuple[History, Save]:
    """Train `model` in place on encoded rows; return its history and a function that saves it.

    The history is one dict a logged step. The function writes weights (gathered, where they are
    spread over devices) and tokenizer to a folder; every process has to call it. `stops` models
    are saved on the way, at equal distances, as `stop-N` below the arguments' folder. A run whose
    folder has a checkpoint goes on from there. Progress lines are headed with `title`.

    Raises FloatingPointError at the first loss that is not a number.
    """
    from datasets import Dataset
    from transformers import PrinterCallback, Trainer

    micro, seed = arguments.per_device_train_batch_size, arguments.data_seed or 0

    class LengthBatchTrainer(Trainer):  # type: ignore[misc]
        """Trainer that visits batches of like length in random order."""

        def _get_train_sampler(self, *_: Any) -> LengthBatches:
            return LengthBatches([row["length"] for row in rows], micro, seed)

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            """Begin a warm-up with its second step: at its first the rate is 0."""
            if not self.args.warmup_steps:
                return super().create_scheduler(num_training_steps, optimizer)
            made = super().create_scheduler(num_training_steps + 1, optimizer)
            with warnings.catch_warnings(action="ignore"):  # torch wants a step of training first.
                made.step()
            return made

    def save(folder: Path) -> None:
        _save(trainer, tokenizer, folder)

    def stop(step: int) -> None:
        save(Path(str(arguments.output_dir)) / f"stop-{step}")

    trainer = LengthBatchTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(list(rows)),
        data_collator=lambda batch: pad_rows(batch, int(tokenizer.pad_token_id or 0)),
        callbacks=[watch(title, _stops(arguments.max_steps, stops), stop)],
    )
    trainer.remove_callback(PrinterCallback)
    with sparse_scores(model):
        trainer.train(resume_from_checkpoint=_last_checkpoint(arguments))
    history = [
        {"step": log["step"], "loss": log["loss"], "learning_rate": log["learning_rate"]}
        for log in trainer.state.log_history
        if "loss" in log
    ]
    return history, save


def training_arguments(
    settings: Training, hardware: Hardware, seed: int, work: Path, examples: int
) -> "TrainingArguments":
    """Return the arguments of a run; made before its model, which ZeRO-3 spreads as it is loaded.

    The effective batch is `settings.batch_size` over all devices and accumulation; `seed` is of
    the data order. Raises ConfigError where the launcher started other than `hardware.devices`.
    """
    from transformers import TrainingArguments

    world = _world(hardware)
    steps = steps_in(examples, settings)
    return TrainingArguments(
        output_dir=str(work),
        max_steps=steps,
        per_device_train_batch_size=settings.micro_batch_size,
        gradient_accumulation_steps=settings.batch_size // (settings.micro_batch_size * world),
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        lr_scheduler_kwargs=_schedule_options(settings, steps),
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
        save_total_limit=1,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        use_cpu=not _has_gpu(),
    )


def _world(hardware: Hardware) -> int:
    """Return the number of processes that train together."""
    if hardware.deepspeed:
        # DeepSpeed looks for MPI where no launcher has said how many processes there are.
        alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
        for name, value in {**alone, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}.items():
            os.environ.setdefault(name, value)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world != hardware.devices:
        raise ConfigError(
            f"hardware.devices: {hardware.devices}, but {world} processes were started "
            "(hardware.launch); make them agree"
        )
    return world


def _schedule_options(settings: Training, steps: int) -> dict[str, Any]:
    # A decay given as a share of the run becomes the number of steps that the scheduler takes.
    options: dict[str, Any] = dict(settings.schedule_options)
    if "decay" in options:
        options["num_decay_steps"] = math.ceil(options.pop("decay") * steps)
    return options


def _stops(steps: int, count: int) -> set[int]:
    """Return `count` steps at equal distances inside a run; fewer if the run is shorter."""
    return {round(steps * k / (count + 1)) for k in range(1, count + 1)} - {0, steps}


def _last_checkpoint(arguments: "TrainingArguments") -> str | None:
    # The trainer writes its state last: a checkpoint without it was cut off, and is not used.
    found = Path(str(arguments.output_dir)).glob("checkpoint-*/trainer_state.json")
    folders = {int(path.parent.name.removeprefix("checkpoint-")): path.parent for path in found}
    return str(folders[max(folders)]) if folders else None


def _save(trainer: Any, tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    # Under ZeRO-3 no process has all weights, and all must take part in gathering them.
    spread = trainer.is_deepspeed_enabled and trainer.accelerator.state.deepspeed_plugin
    state = None
    if spread and spread.zero_stage == 3:
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.is_world_process_zero():
        whole = trainer.accelerator.unwrap_model(trainer.model)
        whole.save_pretrained(folder, state_dict=state, max_shard_size=SHARD)
        tokenizer.save_pretrained(folder)
    trainer.accelerator.wait_for_everyone()


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
