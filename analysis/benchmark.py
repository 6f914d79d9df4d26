"""How fast fine-tuning is against TRL's SFTTrainer: all seeds of one arm, several ways in turn.

Needs the artifacts of a profile (`dvc repro` makes them) and writes a CSV beside this file.
"""

import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from aligned import as_called, as_text
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
from reproduce.determinism import named_seed, settle
from reproduce.examples import Example
from reproduce.files import UnusableFile, checked, read_json, write_csv, write_json
from reproduce.models import checkpoint, load_model, load_tokenizer
from reproduce.parallel import over_seeds
from reproduce.training.batches import LengthBatches, steps_in
from reproduce.training.encoding import encode_example, pad_rows
from reproduce.training.trainer import train, training_arguments

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

HERE = Path(__file__).resolve().parent
Row = dict[str, Any]
Profile = Annotated[Path, typer.Option(help="folder of the profile: params.yaml and artifacts/")]
Output = Annotated[Path, typer.Option(help="CSV to write")]

METHODS = {
    "ours": "this package: batches of like length, one process a seed",
    "trl": "SFTTrainer as it comes: random order, gradient checkpointing, seeds in turn",
    "trl-no-checkpointing": "SFTTrainer with gradient_checkpointing=False, seeds in turn",
    "plain": "bare PyTorch loop over our batches, seeds in turn",
}
THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM")
"""Environment variables taken from the measured processes, so that they run with defaults."""

DIFFERENCES = """\
Same in all: base model, examples, epochs, batch size, learning rate, schedule, warm-up, AdamW,
clipping, precision, loss on the response only, real tokens (counted by attention mask at each
forward pass). Timed: encoding, trainer set-up and training of all seeds; not timed, own column:
imports, loading models. Different: order of rows (so the padding), one process a seed or seeds in
turn, threads, gradient checkpointing, how the loss is computed (TRL builds no logits of the prompt
but measures token accuracy), deterministic kernels (ours and plain)."""


class Unfair(Exception):
    """Measurements that did not train on the same tokens."""


# What is measured: a process times one method and writes what it found to a file.


class Work:
    """One arm's training: parameters, settings, and for every seed the examples and the model."""

    def __init__(self, profile: Path, name: str, limit: int | None) -> None:
        """Read data and models; examples that do not fit in `max_length` are left out."""
        self.params, self.name = load_params(profile / "params.yaml"), name
        arm, artifacts = _arm(profile, name), profile / "artifacts"
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
    schedule = get_scheduler(settings.schedule, optimiser, warmup, steps)

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


def _arm(profile: Path, name: str) -> Arm:
    experiments = load_experiments(profile / "experiments.yaml")
    arms = by_key(experiments)
    if name not in arms or (arms[name].mixture is None and arms[name].select is None):
        raise ConfigError(f"no arm '{name}' that trains; there are: {', '.join(arms)}")
    return arms[name]


# The measuring side: fresh processes in turn, medians, a table.


@app.command()
def training(
    arm: Annotated[str, typer.Option(help="experiment/arm")] = "methods/MTL",
    examples: Annotated[
        int | None, typer.Option(min=1, help="examples a seed; all if left out")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    methods: Annotated[str, typer.Option(help="comma-separated")] = ",".join(METHODS),
    profile: Profile = HERE.parent,
    output: Output = HERE / "benchmark-training.csv",
) -> None:
    """Time the fine-tuning of all seeds of an arm, ours and others in turn."""
    wanted = methods.split(",")
    if unknown := set(wanted) - set(METHODS):
        raise ConfigError(f"no method is called {sorted(unknown)}; there are: {list(METHODS)}")
    _refuse_missing(profile, _arm(profile, arm))
    found = []
    for number in range(repeats):
        for method in wanted:
            found.append(_in_fresh_process(method, profile, arm, examples))
            speed = found[-1]["tokens"] / found[-1]["seconds"]
            print(f"{number + 1}/{repeats} {method}: {speed:.0f} tokens/s", flush=True)
    rows = summarised(found)
    write_csv(output, [{**row, "command": as_called()} for row in rows])
    print(f"\n{arm}, {repeats} repeats, {_machine()}\n\n{as_text(rows)}\n")
    print(*(f"{name}: {METHODS[name]}" for name in wanted), DIFFERENCES, sep="\n")


def summarised(found: Sequence[Row]) -> list[Row]:
    """Return a row a method with medians over its repeats and how many times as fast the first is.

    Raises Unfair where the methods did not train on the same number of real tokens.
    """
    if len({row["tokens"] for row in found}) != 1:
        counts = {row["method"]: row["tokens"] for row in found}
        raise Unfair(f"real tokens trained on differ: {counts}")
    methods = list(dict.fromkeys(row["method"] for row in found))
    rows = [_summary([row for row in found if row["method"] == name]) for name in methods]
    first = rows[0]["tokens_per_second"]
    return [{**row, "first_is_times": round(first / row["tokens_per_second"], 3)} for row in rows]


def _summary(found: Sequence[Row]) -> Row:
    def median(name: str) -> float:
        return float(statistics.median(row[name] for row in found))

    speeds = [row["tokens"] / row["seconds"] for row in found]
    return {
        "method": found[0]["method"],
        "repeats": len(found),
        "tokens": found[0]["tokens"],
        "seconds": round(median("seconds"), 2),
        "tokens_per_second": round(statistics.median(speeds)),
        "slowest": round(min(speeds)),
        "fastest": round(max(speeds)),
        "padding_share": round(median("padding"), 3),
        "last_loss": round(median("last_loss"), 4),
        "import_seconds": round(median("imports"), 2),
        "loading_seconds": round(median("loading"), 2),
        "processes": found[0]["processes"],
        "threads_each": found[0]["threads"],
    }


def _in_fresh_process(method: str, profile: Path, arm: str, limit: int | None) -> Row:
    environment = {k: v for k, v in os.environ.items() if k not in THREAD_LIMITS}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "found.json"
        command = [sys.executable, __file__, "one", method, arm, str(limit or 0), str(target)]
        done = subprocess.run(
            [*command, "--profile", str(profile)], env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise UnusableFile(f"{method} failed:\n{done.stderr[-3000:]}")
        return dict(read_json(target))


@app.command(hidden=True)
def one(method: str, arm: str, limit: int, target: Path, profile: Profile = HERE.parent) -> None:
    """Measure one method in this process and write what was found to `target`."""
    write_json(target, measure(method, profile, arm, limit or None))


def _refuse_missing(profile: Path, arm: Arm) -> None:
    for name in (arm.start, arm.reads):
        checked(profile / "artifacts" / name)


def _machine() -> str:
    import platform

    import psutil  # type: ignore[import-untyped]

    load = os.getloadavg()[0]
    return f"{psutil.cpu_count()} cores, {platform.machine()}, load {load:.2f} at the end"


def main() -> None:
    """Run the command in sys.argv; an expected error is one message."""
    try:
        app(standalone_mode=False)
    except (ConfigError, UnusableFile, Unfair) as error:
        sys.exit(f"benchmark: {error}")


if __name__ == "__main__":
    main()
