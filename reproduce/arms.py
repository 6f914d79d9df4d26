"""One arm of the study: its training examples, its training, its evaluation, for every seed."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

from reproduce.config import Arm, Params, training_of
from reproduce.determinism import named_seed, settle
from reproduce.evaluate import evaluate
from reproduce.examples import Example, read_examples, read_sets, write_examples
from reproduce.files import checked, fingerprint, read_rows, sealed_folder, write_json, write_rows
from reproduce.judging import TooMuchLost, judges_of, refuse_lost
from reproduce.mixtures import mix
from reproduce.models import checkpoint, load_model, load_tokenizer
from reproduce.parallel import over_seeds
from reproduce.reset.selection import selected_examples
from reproduce.train import encode_example, steps_in, train

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
    model, tokenizer = load_model(start), load_tokenizer(start)
    judges = judges_of(params.judging, artifacts / "entailment")
    answers = partial(evaluate, tokenizer, held_out, params, judges, seed)
    examples = training_examples(arm, artifacts / arm.reads, seed)
    rows: list[Row] = []
    if examples:
        for progress, saved in _train(params, name, arm, model, tokenizer, examples, seed, folder):
            rows += [{**row, "progress": progress} for row in answers(load_model(saved))]
        shutil.rmtree(folder / "work", ignore_errors=True)
    final = answers(model)
    refuse_lost(final, params.judging, f"{name}, seed {seed}")
    rows += [{**row, "progress": 1.0} for row in final]
    write_rows(folder / "evaluation.jsonl", [{**row, "seed": seed} for row in rows])


def _train(
    params: Params,
    name: str,
    arm: Arm,
    model: Any,
    tokenizer: Any,
    examples: list[Example],
    seed: int,
    folder: Path,
) -> list[tuple[float, Path]]:
    """Train in place and save; return the models on the way with their share of the training."""
    settings, work = training_of(params, arm), folder / "work"
    encoded = [encode_example(tokenizer, e, settings.max_length) for e in examples]
    fitting = [row for row in encoded if row is not None]
    order, title = named_seed(name, "order", seed), f"{name}, seed {seed}"
    if not fitting:
        raise TooMuchLost(
            f"{title}: none of {len(examples)} training examples fits in {settings.max_length} "
            "tokens (training.max_length)"
        )
    history = train(
        model, tokenizer, fitting, settings, params.hardware, order, work, title, arm.trajectory
    )
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    write_examples(folder / "train.jsonl", examples)
    report = {"losses": history, "too_long": len(encoded) - len(fitting)}
    write_json(folder / "history.json", report)
    saved = {int(path.name[11:]): path for path in work.glob("checkpoint-*")}
    return [(step / steps_in(len(fitting), settings), saved[step]) for step in sorted(saved)]


def _record(params: Params, name: str, arm: Arm, artifacts: Path) -> dict[str, Any]:
    names = (arm.start, arm.reads, "evaluation", "entailment")
    inputs = {name: fingerprint(artifacts / name) for name in names}
    return {
        "arm": name,
        "settings": arm.model_dump(mode="json"),
        "training": training_of(params, arm).model_dump(mode="json"),
        "inputs": inputs,
    }
