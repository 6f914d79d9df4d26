"""Arms: what they train on, what they leave behind, and what a stop costs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from reproduce import arms
from reproduce.arms import run_arm, run_seed, training_examples
from reproduce.config import Arm, Selection
from reproduce.schema import (
    Candidate,
    Example,
    JudgedResponse,
    Judgement,
    read_records,
    write_records,
)
from reproduce.study import Study
from reproduce.training import launch
from reproduce.utils.files import UnusableFile


def test_a_mixture_or_selection_that_comes_out_empty_is_an_error(tmp_path: Path) -> None:
    write_records(tmp_path / "a.jsonl", [Example("a", "instruction", n, "") for n in "12"])
    mixture = Arm(
        experiment="methods", start="pretrained", source="data/training", mixture={"IF": 0.2}
    )
    with pytest.raises(UnusableFile):
        training_examples(mixture, tmp_path, 0.0, 3)
    example = Example("a", "instruction", "Do it.", "done")
    empty = Candidate("a", example.id, "warm", 0, "", True, Judgement(0.0, None, 0.0))
    write_records(tmp_path / "seed-0" / "prompts.jsonl", [example])
    write_records(tmp_path / "seed-0" / "candidates.jsonl", [empty])
    write_records(tmp_path / "seed-0" / "references.jsonl", [replace(empty, strategy="reference")])
    selection = Arm(experiment="methods", start="MTL", source="scores/MTL", select=Selection())
    with pytest.raises(UnusableFile):
        training_examples(selection, tmp_path, 0.0, 0)


def test_an_arm_has_a_model_and_results_per_seed(nano_study: Study) -> None:
    study = nano_study
    for seed in study.params.seeds:
        model, results = study.model_dir("CD-IF", seed), study.results_dir("CD-IF", seed)
        assert {"model.safetensors", "tokenizer.json", "train.jsonl"} <= {
            p.name for p in model.iterdir()
        }
        assert not any(path.is_dir() for path in model.iterdir())
        record = json.loads((results / "record.json").read_text())
        assert record["examples"] == len(read_records(model / "train.jsonl", Example))
        assert record["datasets"] == ["biographies", "lists", "stories"]
        judged = read_records(results / "evaluation.jsonl", JudgedResponse)
        fractions = {response.train_fraction for response in judged}
        assert len(fractions) == 2 and max(fractions) == 1.0
        losses = json.loads((results / "history.json").read_text())
        assert losses[-1]["step"] == record["steps"]
    start, end = (
        load_file(study.model_dir(arm, 0) / "model.safetensors") for arm in ("CD", "CD-IF")
    )
    assert any(not start[name].equal(end[name]) for name in start)


def test_an_arm_without_training_has_only_results(nano_study: Study) -> None:
    assert not list(nano_study.model_dir("base", 0).iterdir())
    assert read_records(nano_study.results_dir("base", 0) / "evaluation.jsonl", JudgedResponse)


@pytest.mark.slow
def test_dpo_counts_pairs_whose_rewards_differ(nano_study: Study) -> None:
    arm = nano_study.arms["ReSet"].model_copy(update={"dpo": 0.1, "select": Selection()})
    study = replace(nano_study, arms={**nano_study.arms, "DPO": arm})
    folder = study.artifacts / arm.source / "seed-0"
    prompts = read_records(folder / "prompts.jsonl", Example)
    # The candidates of the first prompt tie.
    write_records(folder / "candidates.jsonl", [
        Candidate(e.dataset, e.id, name, 0, f"{name} it is", True, Judgement(None, None, score))
        for number, e in enumerate(prompts)
        for name, score in (("warm", 1.0), ("cold", 0.0 if number else 1.0))
    ])  # fmt: skip
    run_seed(study, "DPO", 0)
    examples = read_records(study.model_dir("DPO", 0) / "train.jsonl", Example)
    assert {e.response for e in examples} == {"warm it is"}
    assert prompts[0].id not in {e.id for e in examples}
    results = study.results_dir("DPO", 0)
    record, losses = (
        json.loads((results / f"{name}.json").read_text()) for name in ("record", "history")
    )
    assert (record["examples"], record["too_long"]) == (len(examples), 0)
    assert record["steps"] == losses[-1]["step"]


def test_plain_text_is_the_responses_of_a_mixture_without_their_prompts(
    nano_study: Study,
) -> None:
    for seed in nano_study.params.seeds:
        plain, usual = (
            read_records(nano_study.model_dir(arm, seed) / "train.jsonl", Example)
            for arm in ("CD-text", "CD-IF")
        )
        assert {(e.prompt, e.is_completion) for e in plain} == {("", True)}
        assert {e.id: e.response for e in usual}.items() <= {
            e.id: e.response for e in plain
        }.items()
        assert all(e.prompt for e in usual)


def test_the_same_references_are_flawed_in_all_arms_of_a_seed(nano_study: Study) -> None:
    for seed in nano_study.params.seeds:
        seen: dict[str, set[tuple[str, str]]] = {}
        for arm in ("IF", "CD", "MTL", "MTL-again"):
            for e in read_records(nano_study.model_dir(arm, seed) / "train.jsonl", Example):
                assert (e.response == e.flawed_response) == bool(e.clean_response)
                seen.setdefault(e.id, set()).add((e.response, e.clean_response))
        assert all(len(versions) == 1 for versions in seen.values())
        flawed = sum(bool(clean) for versions in seen.values() for _, clean in versions)
        assert 0.1 < flawed / len(seen) < 0.6


def test_an_interpolation_is_the_mean_of_two_models_and_is_not_trained(nano_study: Study) -> None:
    one, other, between = (
        load_file(nano_study.model_dir(arm, 1) / "model.safetensors")
        for arm in ("IF", "CD", "between")
    )
    for name, weight in between.items():
        assert weight.allclose((one[name] + other[name]) / 2, atol=1e-7)
    assert not (nano_study.model_dir("between", 1) / "train.jsonl").exists()
    results = nano_study.results_dir("between", 1)
    record = json.loads((results / "record.json").read_text())
    assert (record["examples"], record["steps"]) == (0, 0)
    assert {
        r.train_fraction for r in read_records(results / "evaluation.jsonl", JudgedResponse)
    } == {1.0}


def test_the_same_arm_again_gives_the_same_bytes(nano_study: Study) -> None:
    def content() -> dict[str, bytes]:
        return {
            str(path.relative_to(nano_study.artifacts)): path.read_bytes()
            for kind in ("models", "results")
            for path in (nano_study.artifacts / kind / "ReSet").rglob("*")
            if path.is_file()
        }

    before = content()
    run_arm(nano_study, "ReSet")
    assert content() == before and len(before) > 10


def test_a_stop_in_evaluation_costs_no_training(
    nano_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At scale evaluation takes longer than training, and a judge may run out of its budget."""
    hardware = nano_study.params.hardware.model_copy(update={"save_every": 2})
    changes = {"seeds": [0], "workers": 1, "hardware": hardware}
    params = nano_study.params.model_copy(update=changes)
    study = replace(nano_study, params=params)

    def stopped(*_: Any) -> Any:
        raise UnusableFile("the budget is spent")

    with monkeypatch.context() as patched:
        patched.setattr(arms, "evaluate", stopped)
        with pytest.raises(UnusableFile):
            run_arm(study, "IF")
    assert not study.results_dir("IF", 0).exists() and not study.model_dir("IF", 0).exists()
    assert list(launch.CHECKPOINTS.glob("*"))
    steps: list[int] = []
    with monkeypatch.context() as patched:
        from transformers import Trainer

        step = Trainer.training_step
        patched.setattr(
            Trainer, "training_step", lambda *a, **k: (steps.append(1), step(*a, **k))[1]
        )
        run_arm(study, "IF")
    assert not steps and (study.model_dir("IF", 0) / "model.safetensors").is_file()
    assert not list(launch.CHECKPOINTS.glob("*"))
