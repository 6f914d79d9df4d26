"""The ways of fine-tuning that the benchmark compares: this package, TRL's SFTTrainer, a bare loop.

A process times one way for all seeds of an arm (`measure`).
"""

import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from reproduce.arms import training_examples
from reproduce.config import (
    Arm,
    ConfigError,
    Training,
    by_key,
    load_experiments,
    load_params,
    training_of,
)
from reproduce.models.load import checkpoint, load_model, load_tokenizer
from reproduce.models.tokenization import encode_example, pad_rows
from reproduce.schema import Example
from reproduce.training.sampler import LengthBatches, steps_in
from reproduce.training.trainer import train, training_arguments
from reproduce.utils.determinism import named_seed, settle
from reproduce.utils.files import checked, read_json, write_json
from reproduce.utils.hardware import keep_to_one_gpu, resolved
from reproduce.utils.parallel import over_seeds

Row = dict[str, Any]

METHODS = {
    "ours": "this package: batches of like length, one process a seed",
    "trl": "SFTTrainer as it comes: random order, gradient checkpointing, seeds in turn",
    "trl-no-checkpointing": "SFTTrainer with gradient_checkpointing=False, seeds in turn",
    "plain": "bare PyTorch loop over our batches, seeds in turn",
}


class Work:
    """One arm's training: parameters, settings, and for every seed the examples and the model."""

    def __init__(self, profile: Path, name: str, limit: int | None) -> None:
        """Read data and models; examples that do not fit in `max_length` are left out."""
        self.params, self.name = resolved(load_params(profile / "params.yaml")), name
        keep_to_one_gpu(self.params)
        arm, artifacts = arm_that_trains(profile, name), profile / "artifacts"
        self.settings = training_of(self.params, arm)
        self.examples: dict[int, list[Example]] = {}
        self.models, self.tokenizers = {}, {}
        checked(artifacts / arm.reads)
        began = time.perf_counter()
        for seed in self.params.seeds:
            folder = checkpoint(artifacts / arm.start, seed)
            self.models[seed] = load_model(folder, self.params.hardware)
            self.tokenizers[seed] = load_tokenizer(folder)
        self.loading = time.perf_counter() - began
        for seed in self.params.seeds:
            found = training_examples(arm, artifacts / arm.reads, seed)
            self.examples[seed] = self._fitting(found, seed, limit)

    def _fitting(self, examples: list[Example], seed: int, limit: int | None) -> list[Example]:
        if limit:
            examples = random.Random(seed).sample(examples, min(limit, len(examples)))
        length, tokenizer = self.settings.max_length, self.tokenizers[seed]
        return [e for e in examples if encode_example(tokenizer, e, length) is not None]


class Tokens:
    """Counts the tokens that a model is given, real and padded."""

    def __init__(self, model: Any) -> None:
        """Count from now on."""
        self.real = self.padded = 0
        model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _model: Any, _inputs: Any, named: Mapping[str, Any]) -> None:
        self.real += int(named["attention_mask"].sum())
        self.padded += named["attention_mask"].numel()


LOADED: list[Work] = []
"""Inherited by the processes that are forked for the seeds; an argument would be pickled."""


def ours(work: Work, scratch: Path) -> None:
    """Fine-tune all seeds as the study does."""
    LOADED[:] = [work]
    over_seeds(partial(_our_seed, scratch), work.params.seeds, work.params.hardware)


def _our_seed(scratch: Path, seed: int) -> None:
    work = LOADED[0]
    hardware, length = work.params.hardware, work.settings.max_length
    settle(named_seed(work.name, seed), hardware.threads)
    model, tokenizer = work.models[seed], work.tokenizers[seed]
    tokens, rows = Tokens(model), _encoded(work, seed, length)
    order = named_seed(work.name, "order", seed)
    folder = scratch / f"seed-{seed}"
    arguments = training_arguments(work.settings, hardware, order, folder, len(rows))
    history, _ = train(model, tokenizer, rows, arguments, work.name)
    _report(scratch, seed, tokens, history[-1]["loss"])


def plain(work: Work, scratch: Path) -> None:
    """Fine-tune all seeds, one after the other, in a bare loop over the batches of `train`."""
    import torch

    for seed in work.params.seeds:
        settle(named_seed(work.name, seed), torch.get_num_threads())
        rows = _encoded(work, seed, work.settings.max_length)
        order = named_seed(work.name, "order", seed)
        visited = LengthBatches([row["length"] for row in rows], work.settings.batch_size, order)
        model, tokens = work.models[seed].train(), Tokens(work.models[seed])
        pad = int(work.tokenizers[seed].pad_token_id or 0)
        step = _optimiser_step(model, work.settings, len(rows), _bf16(work))
        batches = _batches(visited, work.settings, len(rows))
        losses = [step(pad_rows([rows[i] for i in batch], pad)) for batch in batches]
        every = max(1, len(losses) // 20)
        last = losses[-(len(losses) % every or every) :]  # what `train` logs at its end
        _report(scratch, seed, tokens, float(sum(last)) / len(last))


def _batches(visited: LengthBatches, settings: Training, examples: int) -> Iterator[list[int]]:
    size, left = settings.batch_size, steps_in(examples, settings)
    for epoch in itertools.count():
        if not left:
            return
        visited.set_epoch(epoch)
        order = list(visited)
        for begin in range(0, min(len(order), left * size), size):
            yield order[begin : begin + size]
            left -= 1


def _bf16(work: Work) -> bool:
    return work.params.hardware.precision == "bf16"


def _optimiser_step(
    model: Any, settings: Training, examples: int, bf16: bool
) -> Callable[[Any], Any]:
    import math

    import torch
    from transformers import get_scheduler

    steps = steps_in(examples, settings)
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(0.9, settings.beta2),
        weight_decay=settings.weight_decay,
        fused=True,
    )
    warmup = math.ceil(settings.warmup * steps)
    # As `train` has it: a warm-up begins with its second step, for at its first the rate is 0.
    schedule = get_scheduler(settings.schedule, optimiser, warmup, steps + bool(warmup))
    if warmup:
        schedule.step()

    def step(batch: Any) -> Any:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            loss = model(**{name: each.to(model.device) for name, each in batch.items()}).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        return loss.detach()

    return step


def trl(work: Work, scratch: Path, **options: Any) -> None:
    """Fine-tune all seeds, one after the other, with TRL's SFTTrainer."""
    from datasets import Dataset
    from trl import SFTTrainer

    for seed in work.params.seeds:
        tokens = Tokens(work.models[seed])
        trainer = SFTTrainer(
            model=work.models[seed],
            args=_sft_settings(work, scratch / f"seed-{seed}", seed, options),
            train_dataset=Dataset.from_list([_turns(e) for e in work.examples[seed]]),
            processing_class=work.tokenizers[seed],
        )
        trainer.train()
        losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
        _report(scratch, seed, tokens, losses[-1])


def _sft_settings(work: Work, folder: Path, seed: int, options: Mapping[str, Any]) -> Any:
    import math

    import torch
    from trl import SFTConfig

    settings = work.settings
    steps = steps_in(len(work.examples[seed]), settings)
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.micro_batch_size,
        gradient_accumulation_steps=settings.batch_size // settings.micro_batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=math.ceil(settings.warmup * steps),
        weight_decay=settings.weight_decay,
        adam_beta2=settings.beta2,
        max_length=settings.max_length,
        logging_steps=max(1, steps // 20),
        seed=seed,
        bf16=_bf16(work),
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        report_to="none",
        **options,
    )


def _turns(example: Example) -> Row:
    prompt = [{"role": "user", "content": example.prompt}]
    return {
        "prompt": prompt,
        "completion": [{"role": "assistant", "content": example.response}],
    }


RUNS: dict[str, Callable[[Work, Path], None]] = {
    "ours": ours,
    "trl": trl,
    "trl-no-checkpointing": partial(trl, gradient_checkpointing=False),
    "plain": plain,
}


def measure(method: str, profile: Path, arm: str, limit: int | None) -> Row:
    """Return what one method took: seconds, tokens, last loss, and the seconds of its set-up."""
    began = time.perf_counter()
    _import_all(method)
    imports = time.perf_counter() - began
    import torch

    threads, processes = torch.get_num_threads(), 1
    if method == "ours":
        hardware = load_params(profile / "params.yaml").hardware
        threads, processes = hardware.threads, hardware.workers
        # Threads started now would be lost in the processes that are forked for the seeds.
        torch.set_num_threads(1)
    work = Work(profile, arm, limit)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        began = time.perf_counter()
        RUNS[method](work, scratch)
        seconds = time.perf_counter() - began
        seeds = [read_json(scratch / f"report-{seed}.json") for seed in work.params.seeds]
    real, padded = (sum(found[name] for found in seeds) for name in ("real", "padded"))
    return {
        "method": method, "seconds": seconds, "tokens": real, "padding": 1 - real / padded,
        "last_loss": statistics.mean(found["loss"] for found in seeds), "imports": imports,
        "loading": work.loading, "threads": threads, "processes": processes,
    }  # fmt: skip


def _import_all(method: str) -> None:
    import importlib

    # DeepSpeed too: accelerate imports it to ask whether a model is one of its engines.
    names = ["torch", "datasets", "transformers.trainer", "deepspeed"]
    names += ["transformers.models.llama.modeling_llama"]
    for name in names + ["trl.trainer.sft_trainer"] * method.startswith("trl"):
        importlib.import_module(name)


def _encoded(work: Work, seed: int, length: int) -> list[Row]:
    tokenizer = work.tokenizers[seed]
    rows = [encode_example(tokenizer, example, length) for example in work.examples[seed]]
    return [row for row in rows if row is not None]


def _report(scratch: Path, seed: int, tokens: Tokens, loss: float) -> None:
    found = {"real": tokens.real, "padded": tokens.padded, "loss": loss}
    write_json(scratch / f"report-{seed}.json", found)


def arm_that_trains(profile: Path, name: str) -> Arm:
    """Return an arm of a profile; raises ConfigError where there is none that trains."""
    experiments = load_experiments(profile / "experiments.yaml")
    arms = by_key(experiments)
    if name not in arms or (arms[name].mixture is None and arms[name].select is None):
        raise ConfigError(f"no arm '{name}' that trains; there are: {', '.join(arms)}")
    return arms[name]
