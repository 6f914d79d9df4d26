"""The one training entry: pretraining, fine-tuning, mixtures and ReSet all come through here."""

import math
import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reproduce.config import Hardware, Training
from reproduce.examples import Example

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

IGNORED = -100
"""Label of a token that the loss leaves out (torch's cross entropy default)."""

Row = dict[str, Any]


def encode_text(tokenizer: "PreTrainedTokenizerBase", text: str, max_length: int) -> Row:
    """Return a pretraining row: every token of the text counts in the loss."""
    ids = [tokenizer.bos_token_id, *_ids(tokenizer, text), tokenizer.eos_token_id][:max_length]
    return _row(ids, ids)


def encode_example(
    tokenizer: "PreTrainedTokenizerBase", example: Example, max_length: int
) -> Row | None:
    """Return a fine-tuning row whose loss counts the response and its end only.

    None if the prompt leaves no room for the whole response in `max_length` tokens.
    """
    prompt = prompt_ids(tokenizer, example)
    response = [*_ids(tokenizer, example.response), tokenizer.eos_token_id]
    if len(prompt) + len(response) > max_length:
        return None
    return _row(prompt + response, [IGNORED] * len(prompt) + response)


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", example: Example) -> list[int]:
    """Return the tokens up to where the model speaks: a chat turn, or plain text if raw."""
    if example.raw:
        start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        return [*start, *_ids(tokenizer, example.prompt)]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": example.prompt}], tokenize=False, add_generation_prompt=True
    )
    return _ids(tokenizer, str(text))


def pad_rows(rows: Sequence[Row], pad_id: int) -> dict[str, "torch.Tensor"]:
    """Return (rows, longest) tensors input_ids, attention_mask and labels, padded on the right."""
    import torch

    longest = max(len(row["input_ids"]) for row in rows)

    def padded(key: str, filler: int) -> "torch.Tensor":
        return torch.tensor([row[key] + [filler] * (longest - len(row[key])) for row in rows])

    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    return {
        "input_ids": padded("input_ids", pad_id),
        "labels": padded("labels", IGNORED),
        "attention_mask": (torch.arange(longest) < lengths[:, None]).long(),
    }


def train(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    rows: Sequence[Row],
    settings: Training,
    hardware: Hardware,
    seed: int,
    work: Path,
    title: str,
    stops: int = 0,
) -> list[dict[str, float]]:
    """Train `model` in place on encoded rows and return its history, one dict a logged step.

    The effective batch is `settings.batch_size` at any accumulation; `seed` is of the data order;
    `stops` models are saved on the way, at equal distances, as `work/checkpoint-N`; progress
    lines are headed with `title`.

    Raises FloatingPointError at the first loss that is not a number.
    """
    from datasets import Dataset
    from transformers import PrinterCallback, Trainer

    class LengthBatchTrainer(Trainer):  # type: ignore[misc]
        """Trainer that visits batches of like length in random order."""

        def _get_train_sampler(self, *_: Any) -> "LengthBatches":
            lengths = [row["length"] for row in rows]
            return LengthBatches(lengths, settings.micro_batch_size, seed)

    trainer = LengthBatchTrainer(
        model=model,
        args=_arguments(settings, hardware, seed, work, len(rows)),
        train_dataset=Dataset.from_list(list(rows)),
        data_collator=lambda batch: pad_rows(batch, int(tokenizer.pad_token_id or 0)),
        callbacks=[watch(title, _stops(steps_in(len(rows), settings), stops))],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return [
        {"step": log["step"], "loss": log["loss"], "learning_rate": log["learning_rate"]}
        for log in trainer.state.log_history
        if "loss" in log
    ]


class LengthBatches:
    """A sampler that goes through `length_batches` in another order each epoch."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        """Begin with epoch 0 of the streams that `seed` names."""
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        """Return the order of the next epoch."""
        order = length_batches(self.lengths, self.batch_size, self.seed + self.epoch)
        self.epoch += 1
        return iter(order)


def length_batches(lengths: Sequence[int], batch_size: int, seed: int) -> list[int]:
    """Return an order of the rows in which each batch holds rows of like length.

    Rows are shuffled, sorted by length within stretches of 50 batches, and the batches shuffled:
    Trainer's own group_by_length leaves each stretch in falling order of length, so that one
    kind of row follows the other and the model swings between them.
    """
    rng = random.Random(seed)
    order = rng.sample(range(len(lengths)), len(lengths))
    stretch = 50 * batch_size
    batches: list[list[int]] = []
    for begin in range(0, len(order), stretch):
        near = sorted(order[begin : begin + stretch], key=lambda i: lengths[i])
        batches += [near[i : i + batch_size] for i in range(0, len(near), batch_size)]
    short = [batch for batch in batches if len(batch) < batch_size]
    whole = [batch for batch in batches if len(batch) == batch_size]
    rng.shuffle(whole)
    return [index for batch in [*whole, *short] for index in batch]


def steps_in(examples: int, settings: Training) -> int:
    """Return the number of optimiser steps of one run over `examples` rows."""
    return max(1, math.ceil(math.ceil(examples / settings.batch_size) * settings.epochs))


def _stops(steps: int, count: int) -> set[int]:
    """Return `count` steps at equal distances inside a run; fewer if the run is shorter."""
    return {round(steps * k / (count + 1)) for k in range(1, count + 1)} - {0, steps}


def _arguments(settings: Training, hardware: Hardware, seed: int, work: Path, examples: int) -> Any:
    from transformers import TrainingArguments

    if hardware.deepspeed:
        _world_of_one()
    steps = steps_in(examples, settings)
    return TrainingArguments(
        output_dir=str(work),
        max_steps=steps,
        per_device_train_batch_size=settings.micro_batch_size,
        gradient_accumulation_steps=settings.batch_size // settings.micro_batch_size,
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
        deepspeed=hardware.deepspeed,
        logging_steps=max(1, steps // 20),
        logging_nan_inf_filter=False,
        save_strategy="no",
        save_only_model=True,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        use_cpu=not _has_gpu(),
    )


def _world_of_one() -> None:
    # DeepSpeed looks for MPI where no launcher has said how many processes there are.
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    for name, value in {**alone, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}.items():
        os.environ.setdefault(name, value)


def _schedule_options(settings: Training, steps: int) -> dict[str, Any]:
    # A decay given as a share of the run becomes the number of steps that the scheduler takes.
    options: dict[str, Any] = dict(settings.schedule_options)
    if "decay" in options:
        options["num_decay_steps"] = math.ceil(options.pop("decay") * steps)
    return options


def watch(title: str, stops: set[int]) -> Any:
    """Return a callback that saves at `stops`, refuses NaN and says how long it still takes."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        """See `watch`."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.began = self.said = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            # The last loss is always logged, so a run cannot end in one that nobody saw.
            control.should_log |= state.global_step == state.max_steps
            control.should_save |= state.global_step in stops

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            loss = (logs or {}).get("loss")
            if loss is None:
                return
            if not math.isfinite(loss):
                raise FloatingPointError(f"{title}: loss is {loss} at step {state.global_step}")
            now = time.monotonic()
            if now - self.said < 10:
                return
            self.said = now
            left = (now - self.began) / state.global_step * (state.max_steps - state.global_step)
            print(
                f"  {title}: step {state.global_step}/{state.max_steps}, "
                f"loss {loss:.3f}, about {left:.0f} s left",
                flush=True,
            )

    return Watch()


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _row(input_ids: list[int], labels: list[int]) -> Row:
    return {"input_ids": input_ids, "labels": labels, "length": len(input_ids)}
