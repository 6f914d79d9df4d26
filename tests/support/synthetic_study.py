"""A finished study of all arms with made-up responses, written as the stages write it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from support.profiles import ROOT, nano_params

from reproduce.config import Arm, Prediction, training_for
from reproduce.data.mixture import mix
from reproduce.evaluation.tables.judge_tables import VALIDATED_SCORES
from reproduce.judges.judge import JudgePanel
from reproduce.reset.select import training_examples_from
from reproduce.schema import (
    Candidate,
    Example,
    JudgedResponse,
    JudgedTrial,
    Judgement,
    Kind,
    Sets,
    write_records,
)
from reproduce.study import Study, load_study
from reproduce.utils.files import read_rows, write_json, write_rows

VALUES = {"shape": ["round", "square", "oval", "flat", "long"], "hue": ["red", "blue", "green"]}
KINDS: dict[str, Kind] = {
    "answers-a": "extractive", "answers-b": "extractive", "digests": "abstractive",
    "joined": "abstractive",
    "orders-a": "instruction", "orders-b": "instruction", "orders-c": "instruction",
    "probe-a": "extractive", "probe-b": "extractive",
}  # fmt: skip
SKILL = {
    "base": (0.2, 0.4), "IF": (0.8, 0.3), "CD": (0.3, 0.8), "CD-IF": (0.8, 0.6),
    "IF-CD": (0.5, 0.8), "MTL": (0.65, 0.65), "MTL-again": (0.65, 0.66), "ReSet": (0.7, 0.7),
    "ReSet-S": (0.72, 0.74),
}  # fmt: skip
"""Arm -> chance to follow an instruction, and to be faithful."""
PROMPTS = 12
Rate = Callable[[Sequence[tuple[str, str]]], list[float | None]]
_JUDGEMENTS: dict[tuple[str, str, Rate | None], Judgement] = {}


def synthetic_study(folder: Path, seeds: Sequence[int] = (0, 1, 2)) -> Study:
    """Return the default profile in `folder`, with few trials and a remark.

    It also has an ablation, weights between two arms, arms with less data and with other shares
    of flawed data, and a prediction.
    """
    study = load_study(ROOT)
    others = {n: load_study(ROOT / "profiles" / n) for n in ("core", "ablations")}
    core = ("ReSet-quarter", "ReSet-S-quarter", "MTL-0", "MTL-again-0", "ReSet-0")
    ablations = ("no-task", "between-3", "MTL-15", "MTL-again-15", "ReSet-15")
    more = [("core", name) for name in core] + [("ablations", name) for name in ablations]
    arms, labels = (
        getattr(study, part)
        | {name: getattr(others[profile], part)[name] for profile, name in more}
        for part in ("arms", "labels")
    )
    prediction = Prediction(
        statement="ReSet gains.", profiles=["tiny"], arm="ReSet", against="MTL", metric="both",
        expected=[0.0, 0.2], refuted_below=-0.1,
    )  # fmt: skip
    changes = {
        "seeds": list(seeds),
        "captions": {"controls": "Mind the gap."},
        "validation": study.params.validation.model_copy(update={"min_trials": PROMPTS}),
    }
    params = study.params.model_copy(update=changes)
    return replace(
        study, params=params, arms=arms, labels=labels, predictions={"P1": prediction},
        folder=folder,
    )  # fmt: skip


def write_study(study: Study, rate: Rate | None = None) -> Study:
    """Write data, judged candidates and the results of all arms; return the study.

    With an LLM judge `rate` no prompt has verifiable instructions.
    """
    training = {n: _examples(n, "t", 2 * PROMPTS) for n in KINDS if "probe" not in n}
    held_out = {name: _examples(name, "e", PROMPTS) for name in KINDS}
    if rate:
        training, held_out = (
            {name: [replace(e, instructions=()) for e in examples] for name, examples in s.items()}
            for s in (training, held_out)
        )
    for part, sets in (("training", training), ("evaluation", held_out)):
        for name, examples in sets.items():
            write_records(study.artifacts / "data" / part / f"{name}.jsonl", examples)
    validation = study.artifacts / "judges" / "validation"
    write_records(validation / "trials.jsonl", _trials(held_out))
    write_records(validation / "trivial.jsonl", _trivial(held_out, rate))
    prompts = [e for examples in training.values() for e in examples]
    for seed in study.params.seeds:
        scores = study.artifacts / "scores" / "MTL" / f"seed-{seed}"
        candidates = _candidates(study, prompts, seed, rate)
        judged = zip(prompts, _judged(prompts, [e.response for e in prompts], rate), strict=True)
        references = [
            Candidate(e.dataset, e.id, "reference", 0, e.response, True, judgement)
            for e, judgement in judged
        ]
        write_records(scores / "references.jsonl", references)
        write_records(scores / "prompts.jsonl", prompts)
        write_records(scores / "candidates.jsonl", candidates)
        for name, arm in study.arms.items():
            examples = mix(training, arm.mixture, seed) if arm.mixture else []
            if arm.select:
                examples = training_examples_from(prompts, references, candidates, arm.select, seed)
            folder, steps = study.results_dir(name, seed), range(1, 9 if arm.trains else 1)
            write_records(folder / "evaluation.jsonl", _responses(name, arm, held_out, seed, rate))
            losses = [{"step": n, "loss": 2 / n, "learning_rate": 1e-3 / n} for n in steps]
            write_json(folder / "history.json", losses)
            write_json(folder / "record.json", {
                "arm": name, "seed": seed, "settings": arm.model_dump(mode="json"),
                "training": training_for(study.params, arm).model_dump(mode="json"),
                # Seed n leaves out n examples as too long.
                "examples": max(0, len(examples) - seed), "too_long": seed, "steps": len(steps),
                "datasets": sorted({e.dataset for e in examples}), "parameters": 23,
                "summed_learning_rate": 0.01, "distance": 0.1,
            })  # fmt: skip
    return study


def rewrite(path: Path, change: Callable[[list[Any]], list[Any]]) -> None:
    """Change the rows of a JSON Lines file."""
    write_rows(path, change(read_rows(path)))


def _responses(
    name: str, arm: Arm, held_out: Sets, seed: int, rate: Rate | None
) -> list[JudgedResponse]:
    prompts = [example for members in held_out.values() for example in members]
    responses: list[JudgedResponse] = []
    num_points = arm.num_intermediate_evals + 1
    for fraction in (n / num_points for n in range(1, num_points + 1)):
        rng = random.Random(f"{name}-{seed}-{fraction}")
        texts = [_response(e, *SKILL.get(name, (0.68, 0.68)), rng) for e in prompts]
        judgements = _judged(prompts, texts, rate)
        responses += [
            JudgedResponse(e.dataset, e.id, text, rng.random() < 0.9, judgement, fraction)
            for e, text, judgement in zip(prompts, texts, judgements, strict=True)
        ]
    return responses


def _judged(
    examples: Sequence[Example], texts: Sequence[str], rate: Rate | None
) -> list[Judgement]:
    # Most responses are one of a few, so each is judged once per process.
    keys = [(example.id, text, rate) for example, text in zip(examples, texts, strict=True)]
    new = {key: e for key, e in zip(keys, examples, strict=True) if key not in _JUDGEMENTS}
    judgements = _panel(rate).judge([*new.values()], [text for _, text, _ in new])
    _JUDGEMENTS.update(zip(new, judgements, strict=True))
    return [_JUDGEMENTS[key] for key in keys]


@cache
def _panel(rate: Rate | None) -> JudgePanel:
    panel = JudgePanel(nano_params(), Path())
    panel.entailment, panel.llm_judge = _entailment, rate
    return panel


def _candidates(
    study: Study, prompts: list[Example], seed: int, rate: Rate | None
) -> list[Candidate]:
    rng = random.Random(f"candidates-{seed}")
    candidates = [
        Candidate(e.dataset, e.id, name, n, _response(e, *SKILL["MTL"], rng), rng.random() < 0.9)
        for name, decoding in study.params.candidates.strategies.items()
        for e in prompts
        for n in range(decoding.samples)
    ]
    by_id = {example.id: example for example in prompts}
    examples = [by_id[candidate.example] for candidate in candidates]
    texts = [candidate.response for candidate in candidates]
    judgements = _judged(examples, texts, rate)
    return [replace(c, judgement=j) for c, j in zip(candidates, judgements, strict=True)]


def _trials(held_out: Sets) -> list[JudgedTrial]:
    # Every score is sure of what is right, and of what is wrong but for the first of each set.
    return [
        JudgedTrial(
            name, e.kind, e.id, variant, e.response,
            Judgement(None, None, None, dict.fromkeys(
                VALIDATED_SCORES[e.kind][1:], float(variant == "right" or n == 0)
            )),
        )
        for name, examples in held_out.items()
        for n, e in enumerate(examples)
        for variant in ("right", "same passage", "negated")
        if not e.is_probe
    ]  # fmt: skip


def _trivial(held_out: Sets, rate: Rate | None) -> list[JudgedTrial]:
    examples = [e for members in held_out.values() for e in members if not e.is_probe]
    judgements = _judged(examples, ["yes"] * len(examples), rate)
    return [
        JudgedTrial(e.dataset, e.kind, e.id, "best constant", "yes", judgement)
        for e, judgement in zip(examples, judgements, strict=True)
    ]


def _entailment(pairs: Any) -> Any:
    # The larger the share of the hypothesis's words in the premise, the more it is entailed. The
    # words of a question ("Which hue?") do not count.
    shares = []
    for premise, hypothesis in pairs:
        words = set(hypothesis.lower().rstrip(".").rpartition("?")[2].split())
        shares.append(len(words & set(premise.lower().rstrip(".").split())) / max(1, len(words)))
    shared = 0.9 * np.array(shares)
    return np.stack([shared, np.full_like(shared, 0.1), 0.9 - shared], axis=1)


def _response(example: Example, follow: float, faithful: float, rng: random.Random) -> str:
    if rng.random() < 0.01:
        return ""
    if example.kind == "instruction":
        return " ".join(["yes" if rng.random() < follow else "no", "end" * (rng.random() < follow)])
    if rng.random() < faithful:
        return example.response
    if example.kind == "abstractive":
        return "Nothing was written there at all."
    return example.parametric_answer if rng.random() < 0.6 else rng.choice(VALUES["shape"])


def _examples(dataset: str, part: str, size: int) -> list[Example]:
    rng, kind = random.Random(f"{dataset}-{part}"), KINDS[dataset]
    examples = []
    for name in (f"{part}{number}" for number in range(size)):
        topic = rng.choice(list(VALUES))
        truth, memorised = rng.sample(VALUES[topic], 2)
        context = f"The {topic} of {name} is {truth}. The mass of {name} is known to be heavy."
        if kind == "instruction":
            rules = tuple({"id": "includes", "words": [word]} for word in ("yes", "end"))
            example = Example(dataset, kind, f"Do {name}.", "yes end", instructions=rules)
        elif kind == "abstractive":
            is_joint = dataset == "joined"
            rules = ({"id": "includes", "words": ["heavy"]},) if is_joint else ()
            example = Example(dataset, kind, f"Sum up {context}", context, context, (context,),
                              rules, is_joint=is_joint)  # fmt: skip
        else:
            prompt, is_probe = f"{context} Which {topic}?", dataset.startswith("probe")
            example = Example(dataset, kind, prompt, truth, context, (truth,), (), "", memorised,
                              is_probe=is_probe)  # fmt: skip
        examples.append(example)
    return examples
