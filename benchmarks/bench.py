"""How fast this package is against what a user would run instead; see benchmarks/README.md.

Every method is measured several times in turn, each time in a new process that has loaded what it
needs before the clock starts. Medians go to benchmarks/results/, a row per method.
"""

import argparse
import contextlib
import datetime
import math
import multiprocessing
import random
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import torch
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    get_scheduler,
)
from transformers.trainer_pt_utils import LengthGroupedSampler

from reproduce.arms import training_examples
from reproduce.config import (
    ConfigError,
    Decoding,
    Generation,
    Hardware,
    LoRA,
    Training,
    training_for,
)
from reproduce.generation import generate as generation
from reproduce.judges import nli
from reproduce.judges.judge import JudgePanel
from reproduce.models.adapter import add_adapter
from reproduce.models.load import find_checkpoint, load_model, load_tokenizer
from reproduce.models.tokenization import IGNORED, TokenRow, encode_example, prompt_ids
from reproduce.schema import Example, JudgedResponse, read_records, read_sets
from reproduce.study import Study, load_study
from reproduce.training import trainer
from reproduce.training.preference import SHARED
from reproduce.training.sampler import Batches, num_steps
from reproduce.training.trainer import pad_rows
from reproduce.utils.files import UnusableFile, read_json, write_csv, write_json
from reproduce.utils.hardware import environment, use_one_gpu
from reproduce.utils.seeds import for_each_seed, named_seed, set_determinism

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
ALONE = 150
"""Responses that are judged one by one."""


class UnequalWork(Exception):
    """Methods that did not do the same work, so that their times cannot be compared."""


@dataclass
class Measurement:
    """One run of one method.

    Attributes:
        units: tokens or responses that it processed.
        numbers: further columns of the result.
        outputs: what the method computed, to be compared with the first method's.
    """

    seconds: float
    units: int
    numbers: Mapping[str, float]
    outputs: list[Any] = field(default_factory=list)


# ---- training


INPUTS = ("input_ids", "attention_mask", "labels")


@dataclass
class Task:
    """A training run, the same for every method: the model is trained in place and saved."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    rows: list[TokenRow]
    settings: Training
    hardware: Hardware
    seed: int
    folder: Path

    @property
    def steps(self) -> int:
        """Return the number of optimiser steps."""
        return num_steps(len(self.rows), self.settings)

    def sampler(self) -> Batches:
        """Return the order in which this package visits the rows."""
        lengths = [len(row["input_ids"]) for row in self.rows]
        return Batches(lengths, self.settings.batch_size, self.settings.window, self.seed)

    def batch(self, rows: Sequence[TokenRow]) -> dict[str, torch.Tensor]:
        """Return padded tensors with the arguments that every causal language model has."""
        batch = pad_rows(rows, self.tokenizer.pad_token_id or 0)
        return {name: batch[name].to(self.model.device) for name in INPUTS}


def ours(task: Task) -> float:
    """Train as the study does; return the last logged loss, as every method does."""
    arguments = trainer.training_arguments(
        task.settings, task.hardware, task.seed, task.folder, len(task.rows)
    )
    pad_id = task.tokenizer.pad_token_id or 0
    window = task.settings.window
    trainer.train(task.model, task.rows, pad_id, arguments, "benchmark", window=window)
    state = read_json(task.folder / f"checkpoint-{task.steps}" / trainer.TRAINER_STATE)
    return float([log["loss"] for log in state["log_history"] if "loss" in log][-1])


def lora(task: Task, targets: Any = "all-linear") -> float:
    """Train an adapter in place of all weights."""
    adapter = LoRA(rank=16, alpha=32, target_modules=targets)
    return ours(replace(task, model=add_adapter(task.model, adapter)))


def group_by_length(task: Task) -> float:
    """Train with the length grouping of transformers instead of ours."""

    def sampler(lengths: list[int], batch_size: int, *_: int) -> LengthGroupedSampler:
        return LengthGroupedSampler(batch_size, lengths=lengths)

    with patch.object(trainer, "Batches", sampler):
        return ours(task)


def all_logits(task: Task) -> float:
    """Train with the logits of all tokens, those that do not count in the loss included."""
    with patch.object(trainer, "pad_rows", lambda rows, pad_id: task.batch(rows)):
        return ours(task)


def bare_loop(task: Task) -> float:
    """Train in a loop of plain PyTorch over the same batches."""
    model, settings = task.model.train(), task.settings
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, settings.beta2),
        weight_decay=settings.weight_decay, fused=True,
    )  # fmt: skip
    warmup = math.ceil(settings.warmup * task.steps)
    # As in `train`, a warm-up starts with its second step: at the first the learning rate is 0.
    schedule = get_scheduler(settings.schedule, optimiser, warmup, task.steps + bool(warmup))
    if warmup:
        schedule.step()
    sampler, size, micro = task.sampler(), settings.batch_size, settings.micro_batch_size
    batches: list[list[TokenRow]] = []
    for epoch in range(math.ceil(task.steps / math.ceil(len(task.rows) / size))):
        sampler.set_epoch(epoch)
        order = [task.rows[index] for index in sampler]
        batches += [order[begin : begin + size] for begin in range(0, len(order), size)]
    losses = []
    for rows in batches[: task.steps]:
        counted = sum(label != IGNORED for row in rows for label in row["labels"])
        parts = []
        for begin in range(0, len(rows), micro):
            batch = task.batch(rows[begin : begin + micro])
            bf16 = task.hardware.precision == "bf16"
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
                parts.append(model(**batch, num_items_in_batch=counted).loss)
            parts[-1].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(sum(part.item() for part in parts))
    model.save_pretrained(task.folder)
    every = max(1, len(losses) // 20)
    return float(
        statistics.mean(losses[-(len(losses) % every or every) :])
    )  # what `train` logs last


def trl(task: Task, as_it_comes: bool = False) -> float:
    """Train with TRL's SFTTrainer, on the same batches and schedule unless it runs as it comes."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    class SameBatches(trainer._Trainer, SFTTrainer):  # type: ignore[misc]
        """SFTTrainer with our order of the rows and start of the warm-up."""

    arguments = trainer.training_arguments(
        task.settings, task.hardware, task.seed, task.folder, len(task.rows)
    )
    own = [] if as_it_comes else ["activation_checkpointing", "activation_checkpointing_kwargs"]
    config = SFTConfig(
        **{name: getattr(arguments, name) for name in [*SHARED, *own]},
        max_length=task.settings.max_length,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    columns = [{name: row[name] for name in ("input_ids", "labels")} for row in task.rows]
    # Logs the last loss and saves the model, as our own training does.
    callbacks = [trainer._Checkpoints("trl", task.steps, 0)]
    sft = (SFTTrainer if as_it_comes else SameBatches)(
        task.model, config, train_dataset=Dataset.from_list(columns),
        processing_class=task.tokenizer, callbacks=callbacks,
    )  # fmt: skip
    sft.remove_callback(PrinterCallback)
    sft.train()
    return float([log["loss"] for log in sft.state.log_history if "loss" in log][-1])


TRAINING: dict[str, Callable[[Task], float]] = {
    "ours": ours,
    "bare-loop": bare_loop,
    "trl": trl,
    "trl-as-it-comes": partial(trl, as_it_comes=True),
    "group-by-length": group_by_length,
    "all-logits": all_logits,
    "lora": lora,
    "lora-attention": partial(lora, targets=["q_proj", "v_proj"]),
}


def measure_training(method: str, options: argparse.Namespace) -> Measurement:
    """Time the training of all seeds of an arm."""
    study = load_profile(options.profile)
    threads = options.threads or study.params.hardware.threads
    workers = options.workers or study.params.workers
    hardware = study.params.hardware.model_copy(update={"threads": threads})
    study = replace(study, params=study.params.model_copy(update={"hardware": hardware}))
    if method.startswith("trl"):
        import trl.trainer.sft_trainer  # noqa: F401
    seeds = study.params.seeds
    with tempfile.TemporaryDirectory() as folder:
        for_each_seed(partial(_train_seed, method, study, options, Path(folder)), seeds, workers)
        reports = [read_json(Path(folder) / f"{seed}.json") for seed in seeds]
    seconds = max(report["end"] for report in reports) - min(r["start"] for r in reports)
    real, padded = (sum(report[name] for report in reports) for name in ("real", "padded"))
    loss = statistics.mean(report["loss"] for report in reports)
    numbers = {"padding_share": 1 - real / padded, "last_loss": loss,
               "cpu_seconds": sum(report["cpu_seconds"] for report in reports),
               "peak_memory_gib": max(report["peak_memory_gib"] for report in reports),
               "processes": workers, "threads": threads}  # fmt: skip
    return Measurement(seconds, real, numbers)


def _train_seed(
    method: str, study: Study, options: argparse.Namespace, folder: Path, seed: int
) -> None:
    arm, hardware = study.arms[options.arm], study.params.hardware
    settings = training_for(study.params, arm)
    if options.steps:
        settings = settings.model_copy(update={"steps": options.steps, "epochs": None})
    set_determinism(named_seed(options.arm, seed), hardware.threads)
    start = find_checkpoint(study.artifacts / "models" / arm.start, seed)
    # Frozen weights may be in half the bits, as in the study.
    model = load_model(start, hardware, half=method.startswith("lora"))
    tokenizer = load_tokenizer(start)
    examples, _ = training_examples(arm, study.artifacts / arm.source, settings.flaws, seed)
    count = min(options.size or len(examples), len(examples))
    encoded = [
        encode_example(tokenizer, example, settings.max_length)
        for example in random.Random(seed).sample(examples, count)
    ]
    tokens = {"real": 0, "padded": 0}

    def count_tokens(_: Any, __: Any, inputs: Mapping[str, torch.Tensor]) -> None:
        tokens["real"] += int(inputs["attention_mask"].sum())
        tokens["padded"] += inputs["attention_mask"].numel()

    # Not of the model itself, which an adapter calls without its hooks.
    model.base_model.register_forward_pre_hook(count_tokens, with_kwargs=True)
    rows = [row for row in encoded if row is not None]
    task = Task(model, tokenizer, rows, settings, hardware, seed, folder / f"seed-{seed}")
    began, cpu = time.time(), time.process_time()
    loss = TRAINING[method](task)
    report = {
        **tokens, "loss": loss, "start": began, "end": time.time(),
        "cpu_seconds": time.process_time() - cpu, "peak_memory_gib": peak_memory_gib(),
    }  # fmt: skip
    write_json(folder / f"{seed}.json", report)


def peak_memory_gib() -> float:
    """Return the most memory of the GPU that this process has held, or of the machine without."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


# ---- sampling and evaluation


def plain_generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example],
    decoding: Decoding, bounds: Generation, seed: int,
) -> list[list[str]]:  # fmt: skip
    """Return responses by `generate` of transformers, on the batches that this package makes."""
    torch.manual_seed(seed)
    prompts = {example.id: prompt_ids(tokenizer, example) for example in examples}
    order = sorted(
        examples, key=lambda e: (e.dataset if decoding.temperature else "", len(prompts[e.id]))
    )
    options: dict[str, Any] = {"do_sample": False}
    if decoding.temperature:
        options = {"do_sample": True, **decoding.model_dump(exclude={"samples"})}
    texts: dict[str, list[str]] = {}
    size, pad_id = max(1, bounds.batch_size // decoding.samples), tokenizer.pad_token_id or 0
    for begin in range(0, len(order), size):
        batch = order[begin : begin + size]
        ids, mask = generation.pad_left([prompts[e.id] for e in batch], pad_id)
        tokens = model.generate(
            input_ids=ids.to(model.device), attention_mask=mask.to(model.device),
            max_new_tokens=bounds.max_new_tokens, num_return_sequences=decoding.samples,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=pad_id, **options,
        )  # fmt: skip
        decoded = tokenizer.batch_decode(tokens[:, ids.shape[1] :], skip_special_tokens=True)
        for number, example in enumerate(batch):
            samples = decoded[number * decoding.samples : (number + 1) * decoding.samples]
            texts[example.id] = [text.strip() for text in samples]
    return [texts[example.id] for example in examples]


GENERATION: dict[str, dict[str, Any]] = {
    # method: constants of `generation` to replace
    "ours": {},
    "plain-generate": {},
    "one-by-one": {},
    "finished-rows-stay": {"DROP_FINISHED": 2.0},
}


def measure_generation(method: str, options: argparse.Namespace) -> Measurement:
    """Time responses to the first prompts of each evaluation set: sampled, or greedy ones."""
    study = load_profile(options.profile)
    params, threads = study.params, study.params.hardware.threads
    set_determinism(0, threads)
    folder = find_checkpoint(study.artifacts / "models" / options.arm, params.seeds[0])
    model, tokenizer = load_model(folder, params.hardware, half=True), load_tokenizer(folder)
    sets = read_sets(study.artifacts / "data" / "evaluation").values()
    examples = [e for s in sets for e in s[: options.size] if not e.is_probe]
    bounds, decoding = params.generation, generation.GREEDY
    if options.benchmark == "sampling":
        decoding = Decoding(temperature=1.0, samples=options.samples)
    if method == "one-by-one":
        bounds = bounds.model_copy(update={"batch_size": 1})
        decoding = decoding.model_copy(update={"samples": 1})
    with (
        patch.multiple(generation, **GENERATION[method])
        if GENERATION[method]
        else contextlib.nullcontext()
    ):
        arguments = (model, tokenizer, examples, decoding, bounds, 0)
        start = time.perf_counter()
        if method in ("plain-generate", "one-by-one"):
            texts = plain_generate(*arguments)
        else:
            texts = [[r.text for r in samples] for samples in generation.generate(*arguments)]
        seconds = time.perf_counter() - start
    responses = [text for samples in texts for text in samples]
    tokens = sum(len(tokenizer(text)["input_ids"]) for text in responses)
    numbers = {"responses": len(responses), "processes": 1, "threads": threads}
    return Measurement(seconds, tokens, numbers, [] if decoding.temperature else responses)


# ---- judging


def measure_judging(method: str, options: argparse.Namespace) -> Measurement:
    """Time the judgements of the responses of some evaluations.

    One by one, every pair of texts is a batch of its own without padding.
    """
    study = load_profile(options.profile)
    params, threads = study.params, study.params.hardware.threads
    set_determinism(0, threads)
    sets = read_sets(study.artifacts / "data" / "evaluation").values()
    examples = {example.id: example for s in sets for example in s}
    files = [study.results_dir(a, s) / "evaluation.jsonl" for a in study.arms for s in params.seeds]
    calls = [
        [
            (examples[r.example], r.response)
            for r in read_records(file, JudgedResponse)
            if r.train_fraction == 1.0
        ]
        for file in files[: options.size]
    ]
    changes: dict[str, Any] = {}
    if method == "one-by-one":
        pairs = [pair for call in calls for pair in call]
        calls = [[pair] for pair in random.Random(0).sample(pairs, min(ALONE, len(pairs)))]
        changes = {"BATCH_SIZE": 1, "PAD_MULTIPLE": 1}
    panel = JudgePanel(params, study.artifacts / "judges" / "model")
    with patch.multiple(nli, **changes) if changes else contextlib.nullcontext():
        start = time.perf_counter()
        judgements = [panel.judge(*zip(*call, strict=True)) for call in calls]
        seconds = time.perf_counter() - start
    scores = [judgement.faithfulness for call in judgements for judgement in call]
    numbers = {"processes": 1, "threads": threads}
    return Measurement(seconds, len(scores), numbers, [] if method == "one-by-one" else scores)


# ---- comparing

BENCHMARKS: dict[str, tuple[Callable[..., Measurement], str, str, Sequence[str]]] = {
    # name: how a method is measured, unit, the methods by default, all methods
    "training": (measure_training, "tokens", "ours bare-loop trl trl-as-it-comes", [*TRAINING]),
    "sampling": (measure_generation, "tokens", "ours plain-generate one-by-one", [*GENERATION]),
    "evaluation": (measure_generation, "tokens", "ours plain-generate one-by-one", [*GENERATION]),
    "judging": (measure_judging, "responses", "ours one-by-one", ()),
}


def main(words: Sequence[str]) -> None:
    """Measure the methods of a benchmark in turn and write a row per method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("--profile", type=Path, default=ROOT, help="has params.yaml and artifacts/")
    parser.add_argument("--arm", default="MTL", help="whose data to train on, or whose model runs")
    size_help = "training examples per seed, prompts per data set, or evaluations; default all"
    parser.add_argument("--size", type=int, help=size_help)
    parser.add_argument("--steps", type=int, help="optimiser steps; default those of the profile")
    parser.add_argument("--samples", type=int, default=4, help="responses per prompt (sampling)")
    parser.add_argument("--workers", type=int, help="seeds at once (training)")
    parser.add_argument("--threads", type=int, help="of each process (training)")
    parser.add_argument("--methods", help="comma-separated; the others are compared with the first")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--output", type=Path, help="CSV; default a file of the profile in results/"
    )
    options = parser.parse_args(words)
    measure, unit, default, known = BENCHMARKS[options.benchmark]
    methods = options.methods.split(",") if options.methods else default.split()
    if unknown := set(methods) - {*default.split(), *known}:
        parser.error(
            f"--methods: no {min(unknown)}; there are {', '.join(known or default.split())}"
        )
    runs: dict[str, list[Measurement]] = {method: [] for method in methods}
    about = provenance(shlex.join(["python", "benchmarks/bench.py", *words]))
    suffix = "" if options.profile.resolve() == ROOT else f"-{options.profile.resolve().name}"
    output = options.output or RESULTS / f"{options.benchmark}{suffix}.csv"
    for repeat in range(options.repeats):
        for method in methods:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                runs[method].append(pool.submit(measure, method, options).result())
            seconds = runs[method][-1].seconds
            print(f"{repeat + 1}/{options.repeats} {method}: {seconds:.2f} s", flush=True)
        rows = summarise(runs, unit)
        write_csv(output, [{**row, **about} for row in rows])
    print(pd.DataFrame(rows).to_string(index=False))


def summarise(
    measured: Mapping[str, Sequence[Measurement]], unit: str
) -> list[dict[str, str | float]]:
    """Return a row per method with medians; "times_as_long" is per unit, against the first method.

    Raises UnequalWork where methods of the same batches did not train on equally many tokens.
    """
    first = next(iter(measured.values()))
    # With fewer steps than an epoch, another order means other rows.
    trained = {
        runs[0].units
        for method, runs in measured.items()
        if "last_loss" in runs[0].numbers and method not in ("trl-as-it-comes", "group-by-length")
    }
    if len(trained) > 1:
        raise UnequalWork(f"the methods trained on different numbers of tokens: {sorted(trained)}")
    first_pace = statistics.median(run.seconds / run.units for run in first)
    rows: list[dict[str, str | float]] = []
    for method, runs in measured.items():
        paces = [run.seconds / run.units for run in runs]
        row: dict[str, str | float] = {
            "method": method, "repeats": len(runs), unit: runs[0].units,
            "seconds": round(statistics.median(run.seconds for run in runs), 3),
            f"{unit}_per_second": round(1 / statistics.median(paces), 1),
            "slowest": round(1 / max(paces), 1), "fastest": round(1 / min(paces), 1),
            "times_as_long": round(statistics.median(paces) / first_pace, 4),
        }  # fmt: skip
        for name in runs[0].numbers:
            row[name] = round(statistics.median(run.numbers[name] for run in runs), 4)
        if first[0].outputs:
            pairs = zip(first[0].outputs, runs[0].outputs, strict=False)
            equal = [a == b for a, b in pairs]
            row["equal_outputs"] = round(statistics.mean(equal), 4) if equal else ""
        rows.append(row)
    return rows


def provenance(command: str) -> dict[str, str]:
    """Return what a row of results needs to be understood: machine, commit, date, command."""
    machine = environment()
    describe = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    commit = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False)
    parts = [machine["processor"], machine.get("GPUs"), f"{machine['cores']} cores"]
    return {
        "machine": ", ".join(part for part in parts if part),
        "commit": commit.stdout.strip(),
        "date": datetime.date.today().isoformat(),
        "command": command,
    }


def load_profile(folder: Path) -> Study:
    """Return the study of a profile; this process uses one GPU."""
    study = load_study(folder)
    use_one_gpu(study.params)
    return study


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ConfigError, UnusableFile, UnequalWork) as error:
        sys.exit(f"bench: {error}")
