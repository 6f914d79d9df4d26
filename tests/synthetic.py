"""Artifact folders of a whole study with made-up scores, written as the real steps write them."""

import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from reproduce.config import (
    Arm,
    Claims,
    Params,
    load_claims,
    load_experiments,
    load_params,
    training_of,
)
from reproduce.data.mixture import mix
from reproduce.evaluation.tables.judges import MEASURES
from reproduce.evaluation.tables.make import make_tables
from reproduce.judges.judge import judge
from reproduce.judges.panel import judged
from reproduce.reset.select import selected_examples
from reproduce.schema import Example, write_examples
from reproduce.utils.files import SUMS, fingerprint, sealed_folder, write_json, write_rows
from reproduce.world.tokenizer import build_tokenizer

ROOT = Path(__file__).parent.parent
VALUES = {"shape": ["round", "square", "oval", "flat", "long"], "hue": ["red", "blue", "green"]}
SETS = {
    "answers-a": "extractive", "answers-b": "extractive", "digests": "abstractive",
    "orders-a": "instruction", "orders-b": "instruction", "orders-c": "instruction",
    "probe-a": "extractive", "probe-b": "extractive",
}  # fmt: skip
SKILL = {
    "two-stage/base": (0.2, 0.4), "two-stage/IF": (0.8, 0.3), "two-stage/CD": (0.3, 0.8),
    "two-stage/CD-IF": (0.8, 0.6), "two-stage/IF-CD": (0.5, 0.8), "methods/MTL": (0.65, 0.65),
    "methods/ReSet": (0.7, 0.7), "methods/ReSet-S": (0.72, 0.74),
}  # fmt: skip
"""Arm -> chance to follow an instruction and to be faithful."""

Row = dict[str, Any]


def small_params() -> Params:
    """Return the default profile with few resamples and seeds."""
    params = load_params(ROOT / "params.yaml")
    statistics = params.statistics.model_copy(update={"resamples": 200})
    validation = params.validation.model_copy(update={"least_trials": 12})
    changes = {"seeds": [0, 1, 2], "statistics": statistics, "validation": validation}
    return params.model_copy(update=changes)


def all_arms() -> dict[str, dict[str, Arm]]:
    """Return the experiments of the study."""
    return load_experiments(ROOT / "experiments.yaml")


def all_claims() -> Claims:
    """Return the claims of the study."""
    return load_claims(ROOT / "paper" / "claims.yaml", all_arms())


def shared_study(base: Path) -> Path:
    """Return a folder with artifacts/ and tables/, made once for all test modules of a run."""
    folder = base / "synthetic-study"
    if not folder.is_dir():
        write_study(folder / "artifacts", small_params(), all_arms())
        asked = all_claims()
        make_tables(small_params(), all_arms(), asked, folder / "artifacts", folder / "tables")
    return folder


def write_study(
    artifacts: Path, params: Params, experiments: Mapping[str, Mapping[str, Arm]], size: int = 12
) -> None:
    """Write data, candidates with scores, and every arm for every seed."""
    training = {name: _examples(name, "t", size * 2) for name in SETS if "probe" not in name}
    held_out = {name: _examples(name, "e", size) for name in SETS}
    for folder, sets in (("training", training), ("evaluation", held_out)):
        with sealed_folder(artifacts / folder) as draft:
            for name, examples in sets.items():
                write_examples(draft / f"{name}.jsonl", examples)
    with sealed_folder(artifacts / "base") as draft:
        (draft / "model").mkdir()
        weights = {"embedding": np.zeros((5, 4)), "head": np.zeros(3)}
        save_file(weights, draft / "model" / "model.safetensors")
        said = [e.prompt for examples in held_out.values() for e in examples]
        build_tokenizer(said).save_pretrained(draft / "model")
    with sealed_folder(artifacts / "validation") as draft:
        write_rows(draft / "judged.jsonl", _trials(held_out))
    prompts = [example for examples in training.values() for example in examples]
    scores = {seed: _candidates(params, prompts, seed) for seed in params.seeds}
    with sealed_folder(artifacts / "scores") as draft:
        for seed, rows in scores.items():
            write_examples(draft / f"prompts-{seed}.jsonl", prompts)
            write_rows(draft / f"scores-{seed}.jsonl", rows)
    tests = [example for examples in held_out.values() for example in examples]
    for experiment, arms in experiments.items():
        for name, arm in arms.items():
            with sealed_folder(artifacts / experiment / name) as draft:
                for seed in params.seeds:
                    key = f"{experiment}/{name}"
                    if arm.mixture is not None:
                        examples = mix(training, arm.mixture, seed)
                    else:
                        assert arm.select is not None or key == "two-stage/base"
                        examples = (
                            selected_examples(prompts, scores[seed], arm.select, seed)
                            if arm.select
                            else []
                        )
                    _write_run(draft / f"seed-{seed}", key, arm, examples, tests, seed)
                read = (arm.start, arm.reads, "evaluation")
                known = {
                    n: fingerprint(artifacts / n) for n in read if (artifacts / n / SUMS).is_file()
                }
                record = {"arm": f"{experiment}/{name}", "inputs": known}
                record["settings"] = arm.model_dump(mode="json")
                record["training"] = training_of(params, arm).model_dump(mode="json")
                write_json(draft / "record.json", record)


def _write_run(
    folder: Path, key: str, arm: Arm, examples: list[Example], tests: list[Example], seed: int
) -> None:
    start = SKILL["two-stage/base"] if arm.start == "base" else SKILL[arm.start]
    end = SKILL.get(key, tuple(0.95 * skill for skill in SKILL["methods/ReSet"]))
    points = [(n + 1) / (arm.trajectory + 1) for n in range(arm.trajectory)] + [1.0]
    rows: list[Row] = []
    for share in points:
        rng = random.Random(f"{key}-{seed}-{share}")
        skill = [a + share * (b - a) + rng.gauss(0, 0.02) for a, b in zip(start, end, strict=True)]
        found = [_answer(example, skill, rng) for example in tests]
        rows += [{**row, "progress": share, "seed": seed} for row in _judged(found, tests)]
    write_rows(folder / "evaluation.jsonl", rows)
    if examples:
        write_examples(folder / "train.jsonl", examples)
        losses = [
            {"step": n, "loss": 2 / n + seed / 10, "learning_rate": 1e-3 / n} for n in range(1, 9)
        ]
        write_json(folder / "history.json", {"losses": losses, "too_long": seed})


def _candidates(params: Params, prompts: list[Example], seed: int) -> list[Row]:
    rng = random.Random(f"candidates-{seed}")
    rows = [
        {**_answer(example, SKILL["methods/MTL"], rng), "strategy": name, "sample": number}
        for name, decoding in params.candidates.strategies.items()
        for example in prompts
        for number in range(decoding.samples)
    ]
    return _judged(rows, prompts)


def _judged(rows: list[Row], examples: list[Example]) -> list[Row]:
    return judged(rows, {example.id: example for example in examples}, JUDGES)


def _entailment(pairs: Any) -> Any:
    import numpy as np

    # As many words as premise and hypothesis share, so much is entailed.
    shared = np.array([_overlap(a, b) for a, b in pairs])
    return np.stack([shared * 0.9, np.full_like(shared, 0.1), 0.9 - shared * 0.9], axis=1)


CARRIERS = {"extractive": "entailed", "abstractive": "summac"}
JUDGES = partial(judge, entailment=_entailment, carriers=CARRIERS)


def _trials(held_out: Mapping[str, list[Example]]) -> list[Row]:
    # Every measure is sure of what is right, and of what is wrong but for the first of each set.
    return [
        {"dataset": name, "kind": e.kind, "example": e.id, "variant": variant,
         "response": e.response, "details": dict.fromkeys(measures, float(right or not n))}
        for name, examples in held_out.items()
        for n, e in enumerate(examples)
        for variant, right in (("right", True), ("same passage", False), ("negated", False))
        for measures in [MEASURES[e.kind]]
        if not e.probe
    ]  # fmt: skip


def _overlap(premise: str, hypothesis: str) -> float:
    words = set(hypothesis.lower().rstrip(".").split())
    return len(words & set(premise.lower().rstrip(".").split())) / max(1, len(words))


def _answer(example: Example, skill: Any, rng: random.Random) -> Row:
    return {
        "dataset": example.dataset,
        "example": example.id,
        "response": _response(example, skill[0], skill[1], rng),
        "ended": rng.random() < 0.9,
    }


def _response(example: Example, follow: float, faithful: float, rng: random.Random) -> str:
    if rng.random() < 0.01:
        return ""
    if example.kind == "instruction":
        return " ".join(["yes" if rng.random() < follow else "no", "end" * (rng.random() < follow)])
    if rng.random() < faithful:
        return example.response
    if example.kind == "abstractive":
        return "Nothing was written there at all."
    return example.memory if rng.random() < 0.6 else rng.choice(VALUES["shape"])


def _examples(dataset: str, part: str, size: int) -> list[Example]:
    rng = random.Random(f"{dataset}-{part}")
    return [_example(dataset, f"{part}{number}", rng) for number in range(size)]


def _example(dataset: str, name: str, rng: random.Random) -> Example:
    kind: Any = SETS[dataset]
    if kind == "instruction":
        rules = ({"id": "includes", "words": ["yes"]}, {"id": "includes", "words": ["end"]})
        return Example(dataset, kind, f"Do {name}.", "yes end", instructions=rules)
    topic = rng.choice(list(VALUES))
    truth, memory = rng.sample(VALUES[topic], 2)
    context = f"The {topic} of {name} is {truth}. The mass of {name} is known to be heavy."
    probe = dataset.startswith("probe")
    if kind == "abstractive":
        return Example(dataset, kind, f"Sum up {context}", context, context, (context,), group=name)
    prompt = f"{context} Which {topic}?"
    return Example(
        dataset, kind, prompt, truth, context, (truth,), memory=memory, probe=probe, group=name
    )
