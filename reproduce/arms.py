"""One arm of the study: its training examples, its training, its evaluation, for every seed."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

from reproduce.config import Arm, Params, training_of
from reproduce.data.mixture import mix
from reproduce.generation.respond import evaluate
from reproduce.judges.panel import TooMuchLost, judges_of, refuse_lost
from reproduce.models.load import checkpoint, load_model, load_tokenizer
from reproduce.models.tokenization import encode_example
from reproduce.reset.select import selected_examples
from reproduce.schema import Example, read_examples, read_sets, write_examples
from reproduce.training.launch import Job, carried_out, forget
from reproduce.training.sampler import steps_in
from reproduce.utils.determinism import named_seed, settle
from reproduce.utils.files import (
    checked,
    fingerprint,
    read_rows,
    sealed_folder,
    write_json,
    write_rows,
)
from reproduce.utils.parallel import over_seeds

Row = dict[str, Any]


def run_arm(params: Params, name: str, arm: Arm, artifacts: Path) -> None:
    """Write `artifacts/name`: for every seed the model, its history and its judged responses."""
    for needed in (arm.start, arm.reads, "entailment"):
        checked(artifacts / needed)
    held_out = [e for s in read_sets(artifacts / "evaluation").values() for e in s]
    with sealed_folder(artifacts / name) as folder:
        work = partial(_run_seed, params, name, arm, artifacts, held_out, folder)
        over_seeds(work, params.seeds, params.hardware)
        write_json(folder / "record.json", _record(params, name, arm, artifacts))
    forget(name)


def training_examples(arm: Arm, source: Path, seed: int) -> list[Example]:
    """Return what an arm trains on: a mixture of data, a selection of candidates, or nothing.

    Raises TooMuchLost where a mixture or a selection comes out empty.
    """
    if arm.mixture is not None:
        found = mix(read_sets(source), arm.mixture, seed)
    elif arm.select is not None:
        prompts = read_examples(source / f"prompts-{seed}.jsonl")
        rows = read_rows(source / f"scores-{seed}.jsonl")
        found = selected_examples(prompts, rows, arm.select, seed)
    else:
        return []
    if not found:
        raise TooMuchLost(f"{arm.label}, seed {seed}: no training example is left to it")
    return found


def _run_seed(
    params: Params,
    name: str,
    arm: Arm,
    artifacts: Path,
    held_out: list[Example],
    target: Path,
    seed: int,
) -> None:
    folder, start = target / f"seed-{seed}", checkpoint(artifacts / arm.start, seed)
    settle(named_seed(name, seed), params.hardware.threads)
    tokenizer = load_tokenizer(start)
    judges = judges_of(params.judging, params.servers.judge, artifacts / "entailment")
    examples = training_examples(arm, artifacts / arm.reads, seed)
    found = {1.0: start}
    if examples:
        found = _train(params, name, arm, start, tokenizer, examples, seed, folder)
    rows: list[Row] = []
    for progress, saved in found.items():
        model = load_model(saved, params.hardware, generates=True)
        answers = evaluate(tokenizer, held_out, params, judges, seed, model)
        rows += [{**row, "progress": progress} for row in answers]
    refuse_lost(
        [row for row in rows if row["progress"] == 1.0], params.judging, f"{name}, seed {seed}"
    )
    for progress, saved in found.items():
        if progress < 1.0:
            shutil.rmtree(saved)
    write_rows(folder / "evaluation.jsonl", [{**row, "seed": seed} for row in rows])


def _train(
    params: Params,
    name: str,
    arm: Arm,
    start: Path,
    tokenizer: Any,
    examples: list[Example],
    seed: int,
    folder: Path,
) -> dict[float, Path]:
    """Train and save; return share of the training -> model, of those on the way and the last."""
    settings, title = training_of(params, arm), f"{name}, seed {seed}"
    encoded = [encode_example(tokenizer, e, settings.max_length) for e in examples]
    fitting = [row for row in encoded if row is not None]
    if not fitting:
        raise TooMuchLost(
            f"{title}: none of {len(examples)} training examples fits in {settings.max_length} "
            "tokens (training.max_length)"
        )
    job = Job(
        title=title, start=str(start), rows=str(folder / "rows.jsonl"), target=str(folder),
        seed=named_seed(name, seed), order=named_seed(name, "order", seed),
        threads=params.hardware.threads, stops=arm.trajectory, training=settings,
        hardware=params.hardware, keeper=name,
    )  # fmt: skip
    history = carried_out(job, fitting)
    (folder / "rows.jsonl").unlink()
    write_examples(folder / "train.jsonl", examples)
    report = {"losses": history, "too_long": len(encoded) - len(fitting)}
    write_json(folder / "history.json", report)
    steps = steps_in(len(fitting), settings)
    saved = {int(path.name[5:]): path for path in folder.glob("stop-*")}
    return {step / steps: saved[step] for step in sorted(saved)} | {1.0: folder / "model"}


def _record(params: Params, name: str, arm: Arm, artifacts: Path) -> dict[str, Any]:
    names = (arm.start, arm.reads, "evaluation", "entailment")
    inputs = {name: fingerprint(artifacts / name) for name in names}
    return {
        "arm": name,
        "settings": arm.model_dump(mode="json"),
        "training": training_of(params, arm).model_dump(mode="json"),
        "inputs": inputs,
    }
