"""One arm of the study: its training examples, its training, its evaluation, for every seed."""

from functools import partial
from pathlib import Path
from typing import Any

from reproduce.config import Arm, Params, training_of
from reproduce.determinism import named_seed, settle
from reproduce.evaluate import evaluate
from reproduce.examples import Example, read_examples, read_sets, write_examples
from reproduce.files import checked, fingerprint, read_rows, sealed_folder, write_json, write_rows
from reproduce.judging import refuse_lost
from reproduce.mixtures import mix
from reproduce.models import checkpoint, load_model, load_tokenizer
from reproduce.parallel import over_seeds
from reproduce.reset.selection import selected_examples
from reproduce.train import encode_example, steps_in, train

Row = dict[str, Any]


def run_arm(params: Params, name: str, arm: Arm, artifacts: Path) -> None:
    """Write `artifacts/name`: for every seed the model, its history and its judged responses."""
    start, source = artifacts / arm.start, checked(artifacts / arm.reads)
    held_out = [e for s in read_sets(artifacts / "evaluation").values() for e in s]
    checked(start)
    with sealed_folder(artifacts / name) as folder:
        work = partial(_run_seed, params, name, arm, start, source, held_out, folder)
        over_seeds(work, params.seeds, params.hardware)
        write_json(folder / "record.json", _record(params, name, arm, artifacts))


def training_examples(arm: Arm, source: Path, seed: int) -> list[Example]:
    """Return what an arm trains on: a mixture of data, a selection of candidates, or nothing."""
    if arm.mixture is not None:
        return mix(read_sets(source), arm.mixture, seed)
    if arm.select is None:
        return []
    prompts = read_examples(source / f"prompts-{seed}.jsonl")
    rows = read_rows(source / f"scores-{seed}.jsonl")
    return selected_examples(prompts, rows, arm.select, seed)


def _run_seed(
    params: Params,
    name: str,
    arm: Arm,
    start: Path,
    source: Path,
    held_out: list[Example],
    target: Path,
    seed: int,
) -> None:
    folder = target / f"seed-{seed}"
    settle(named_seed(name, seed), params.hardware.threads)
    model = load_model(checkpoint(start, seed))
    tokenizer = load_tokenizer(checkpoint(start, seed))
    examples = training_examples(arm, source, seed)
    rows: list[Row] = []
    if examples:
        rows += _train(params, name, arm, model, tokenizer, examples, held_out, seed, folder)
    final = evaluate(model, tokenizer, held_out, params, seed)
    refuse_lost(final, params.judging, f"{name}, seed {seed}")
    rows += [{**row, "progress": 1.0, "seed": seed} for row in final]
    write_rows(folder / "evaluation.jsonl", rows)


def _train(
    params: Params,
    name: str,
    arm: Arm,
    model: Any,
    tokenizer: Any,
    examples: list[Example],
    held_out: list[Example],
    seed: int,
    folder: Path,
) -> list[Row]:
    """Train in place, save, and return the judged responses of the models on the way."""
    settings = training_of(params, arm)
    encoded = [encode_example(tokenizer, e, settings.max_length) for e in examples]
    fitting = [row for row in encoded if row is not None]
    work = folder / "work"
    order, title = named_seed(name, "order", seed), f"{name}, seed {seed}"
    history = train(
        model, tokenizer, fitting, settings, params.hardware, order, work, title, arm.trajectory
    )
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    write_examples(folder / "train.jsonl", examples)
    report = {"losses": history, "too_long": len(encoded) - len(fitting)}
    write_json(folder / "history.json", report)
    steps = steps_in(len(fitting), settings)
    return _on_the_way(params, work, tokenizer, held_out, seed, steps)


def _on_the_way(
    params: Params, work: Path, tokenizer: Any, held_out: list[Example], seed: int, steps: int
) -> list[Row]:
    import shutil

    rows: list[Row] = []
    for saved in sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name[11:])):
        progress = int(saved.name.removeprefix("checkpoint-")) / steps
        found = evaluate(load_model(saved), tokenizer, held_out, params, seed)
        rows += [{**row, "progress": progress, "seed": seed} for row in found]
    shutil.rmtree(work, ignore_errors=True)
    return rows


def _record(params: Params, name: str, arm: Arm, artifacts: Path) -> dict[str, Any]:
    inputs = {path: fingerprint(artifacts / path) for path in (arm.start, arm.reads, "evaluation")}
    return {
        "arm": name,
        "settings": arm.model_dump(mode="json"),
        "training": training_of(params, arm).model_dump(mode="json"),
        "profile": params.model_dump(mode="json"),
        "inputs": inputs,
    }
