"""params.yaml: what ships is accepted, and each wrong value is rejected by name before any work."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.profiles import GONE, ROOT, Patch, change, config_error, default_profile

from reproduce.cli import main
from reproduce.config import (
    check_ready,
    load_claims,
    load_experiments,
    load_params,
    load_predictions,
)
from reproduce.study import load_study


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return default_profile(tmp_path)


@pytest.mark.parametrize(
    "profile",
    [".", *sorted(f"profiles/{path.parent.name}" for path in ROOT.glob("profiles/*/params.yaml"))],
)
def test_every_profile_is_accepted(profile: str) -> None:
    study = load_study(ROOT / profile)
    assert study.arms and set(study.labels) == set(study.arms)


TEXT_SET = {"repo": "here", "layout": "alpaca", "train": "train", "counts": {"train": 1}}
OWN_SET = {"repo": "here", "kind": "instruction", "train": "train"}
LLM_JUDGE = ("judging.llm_judge", {"model": "judge"})
JUDGE_TRAINING = {"epochs": 1, "batch_size": 1, "learning_rate": 0.1, "pairs": 1, "seed": -1}
WRONG: list[tuple[list[Patch], list[str]]] = [
    # changes, and what the message must hold
    ([("colour", "red")], ["colour"]),
    ([("candidates.strategies.cold.topk", 3)], ["cold.topk"]),
    ([("generation.batch_size", GONE)], ["generation.batch_size"]),
    ([("candidates.prompts", True)], ["candidates.prompts", "integer"]),
    ([("data.world.train", "600")], ["data.world.train", "integer"]),
    ([("training", None)], ["training"]),
    ([("data.world.people", 97)], ["data.world.people", "96"]),
    ([("training.epochs", 0)], ["training.epochs", "greater than 0"]),
    ([("training.epochs", 3)], ["training", "'epochs'", "'steps'"]),
    ([("training.steps", GONE)], ["training", "exactly one of"]),
    ([("continuation.epochs", 3)], ["continuation", "exactly one of"]),
    ([("training.flaws", 1.1)], ["training.flaws", "1"]),
    ([("predictions", "no.yaml")], ["predictions", "no.yaml"]),
    ([("training.learning_rate", 1)], ["training.learning_rate", "less than 1"]),
    ([("training.learning_rate", float("nan"))], ["training.learning_rate"]),
    ([("training.schedule", "sine")], ["training.schedule", "cosine"]),
    ([("training.schedule_options", {"decay": 0.3})], ["training", "decay", "cosine"]),
    (
        [
            ("training.schedule", "warmup_stable_decay"),
            ("training.schedule_options", {"decay": 30}),
        ],
        ["training", "schedule_options.decay", "at most 1"],
    ),
    ([("judging.training", JUDGE_TRAINING)], ["judging.training.seed", "0"]),
    ([("hardware.precision", "auto")], ["hardware.precision", "fp32", "bf16"]),
    ([("hardware.launch", "srun")], ["workers: 3", "hardware.launch"]),
    ([("hardware.devices", 2)], ["hardware", "devices", "launch"]),
    ([("candidates.strategies.warm.temperature", 6)], ["warm.temperature", "5"]),
    ([("candidates.strategies.cold.temperature", 0)], ["candidates.strategies.cold", "one sample"]),
    ([("candidates.strategies", {})], ["candidates.strategies", "at least 1"]),
    ([("candidates.strategies", {"a.b": {"temperature": 1.0}})], ["a.b"]),
    ([("statistics.confidence", 1)], ["statistics.confidence", "less than 1"]),
    ([("judging.entailment", "nli")], ["judging.entailment", "symbolic"]),
    ([("judging.max_empty_share", 1.1)], ["judging.max_empty_share", "1"]),
    ([("data.real", {"sets": {}})], ["data", "exactly one of"]),
    ([("base.imported", "smollm2")], ["base", "exactly one of"]),
    ([("base.training", GONE)], ["base", "'training' goes with 'tiny'"]),
    ([("base.tiny.heads", 3)], ["base.tiny", "heads 3"]),
    ([("training.micro_batch_size", 5)], ["training", "16", "5"]),
    ([LLM_JUDGE], ["judge_server", "judging.llm_judge"]),
    ([("training.max_length", 512)], ["training.max_length: 512", "256 positions"]),
    ([("training.max_length", 217)], ["training.max_length", "217", "40", "256"]),
    ([("data.world", GONE), ("data.sets", {"IF": TEXT_SET})], ["data.sets.IF"]),
    (
        [("data.world", GONE), ("data.sets", {"a": {**TEXT_SET, "kind": "instruction"}})],
        ["data.sets.a", "'kind' for own rows, or 'layout'"],
    ),
    (
        [("data.world", GONE), ("data.sets", {"a": {"repo": "x", "kind": "instruction"}})],
        ["data.sets.a", "name a split"],
    ),
    (
        [("data.world", GONE), ("data.sets", {"a": {**OWN_SET, "columns": {"answer": "x"}}})],
        ["data.sets.a.columns.answer", "'response'"],
    ),
    ([("training.lora", {"rank": 0, "alpha": 1})], ["training.lora.rank"]),
    ([("training.lora", {"rank": 8, "alpha": 8, "dropout": 1})], ["training.lora.dropout"]),
    ([("training.lora", {"rank": 8, "alpha": 8, "target_modules": []})], ["target_modules"]),
    (
        [("training.lora", {"rank": 8, "alpha": 8, "quantised_base": True})],
        ["training.lora.quantised_base", "bf16"],
    ),
    ([("base.training.lora", {"rank": 8, "alpha": 8})], ["base", "pretrained with all"]),
    ([("seeds", [1, 2, 1])], ["seeds", "[1, 2, 1]"]),
    ([("seeds", [])], ["seeds", "at least 1"]),
]


@pytest.mark.parametrize(("patches", "parts"), WRONG)
def test_wrong_parameters_are_rejected(
    folder: Path, patches: list[Patch], parts: list[str]
) -> None:
    change(folder / "params.yaml", *patches)
    message = config_error(load_params)
    for part in ["params.yaml", *parts]:
        assert part in message


def test_all_problems_are_named_at_once(folder: Path) -> None:
    change(folder / "params.yaml", ("colour", 1), ("data.world.people", 0), ("seeds", "x"))
    message = config_error(load_params)
    assert all(name in message for name in ("colour", "data.world.people", "seeds"))


@pytest.mark.parametrize("content", ["", "- 1\n", "a: [", "a: 1\na: b: 2\n", "a: 1\na: 2\n"])
def test_a_file_of_another_form_is_rejected_by_name(folder: Path, content: str) -> None:
    (folder / "params.yaml").write_text(content)
    assert "params.yaml" in config_error(load_params)


def test_own_folders_must_be_where_dvc_sees_them(folder: Path) -> None:
    (folder / "models" / "mine").mkdir(parents=True)
    (folder / "inputs").mkdir()
    (folder / "inputs" / "link").symlink_to(folder / "models" / "mine")
    for name in ("models/mine", "inputs/mine", "inputs/../models/mine", "inputs/link"):
        change(folder / "params.yaml", ("base", {"published": {"model": name}}))
        assert f"base.published: {name} must be a folder in inputs/" in config_error(load_params)
    (folder / "inputs" / "mine").mkdir()
    change(folder / "params.yaml", ("base", {"published": {"model": "inputs/mine"}}))
    assert load_params().base.published


def test_a_missing_file_is_rejected_by_name(tmp_path: Path) -> None:
    path = tmp_path / "experiments.yaml"
    assert str(path) in config_error(lambda: load_experiments(path))


def test_deepspeed_files_are_looked_for_in_the_profile(folder: Path) -> None:
    change(folder / "params.yaml", ("hardware.deepspeed", "zero.json"), ("workers", 1))
    (folder / "zero.json").write_text("{}")
    (folder / "other").mkdir()
    assert load_params(folder / "params.yaml").hardware.deepspeed == "zero.json"


@pytest.mark.parametrize(
    ("patch", "part"),
    [
        (("claims.C4.primary", [{"arm": "ReSet", "against": "MTL", "metric": "bleu",
                                 "direction": "above 0"}]), "metric"),
        (("claims.C4.primary", [{"arm": "ReSet-T", "against": "MTL", "metric": "both",
                                 "direction": "above 0"}]), "ReSet-T"),
        (("claims.C4.label", "X"), "label"),
        (("minimum_effect", 0), "minimum_effect"),
        (("context", []), "context"),
    ],
)  # fmt: skip
def test_a_claim_that_cannot_be_decided_is_rejected(folder: Path, patch: Patch, part: str) -> None:
    change(folder / "paper" / "claims.yaml", patch)
    arms = load_experiments().arms
    message = config_error(lambda: load_claims(folder / "paper" / "claims.yaml", arms))
    assert "claims.yaml" in message and part in message


def test_differences_that_are_not_primary_may_name_arms_of_other_profiles(folder: Path) -> None:
    elsewhere, here = (
        {"arm": arm, "against": "MTL", "metric": "both", "direction": "above 0"}
        for arm in ("elsewhere", "ReSet-S")
    )
    path = folder / "paper" / "claims.yaml"
    for part in ("secondary", "requires"):
        change(path, (f"claims.C4.{part}", [elsewhere, here]))
    claim = load_claims(path, load_experiments().arms).claims["C4"]
    assert [d.arm for d in claim.secondary] == [d.arm for d in claim.requires] == ["ReSet-S"]


PREDICTION = {"statement": "s", "profiles": ["tiny"], "arm": "ReSet", "against": "MTL",
              "metric": "both", "expected": [0, 0.1], "refuted_above": 0.2}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"refuted_above": None}, "refutes"),
        ({"refuted_below": -0.1}, "refutes"),
        ({"expected": [0]}, "expected"),
        ({"metric": "bleu"}, "metric"),
    ],
)
def test_a_prediction_that_cannot_be_refuted_is_rejected(
    folder: Path, changes: dict[str, Any], part: str
) -> None:
    path = folder / "paper" / "predictions.yaml"
    change(path, ("predictions", {"P1": PREDICTION, "P2": {**PREDICTION, "profiles": ["core"]}}))
    assert list(load_study().predictions) == ["P1"]
    change(path, ("predictions.P2", {**PREDICTION, **changes}))
    message = config_error(lambda: load_predictions(path, "tiny"))
    assert "predictions.P2" in message and part in message


def test_profiles_with_predictions_have_the_registered_seeds() -> None:
    path = ROOT / "paper" / "predictions.yaml"
    registered = yaml.safe_load(path.read_text(encoding="utf-8"))["seeds"]
    shares = []
    for folder in (ROOT, *ROOT.glob("profiles/*/")):
        params = load_params(folder / "params.yaml")
        if load_predictions(path, params.profile):
            assert params.seeds == registered[: len(params.seeds)]
            shares.append(len(params.seeds) / len(registered))
    assert max(shares) == 1


@pytest.mark.parametrize("command", [["data"], ["arm", "MTL"], ["tables"], ["check"]])
@pytest.mark.parametrize(
    ("file", "patch", "part"),
    [
        ("params.yaml", ("data.world.people", 1), "data.world.people"),
        ("experiments.yaml", ("arms.ReSet.start", "nowhere"), "nowhere"),
        ("experiments.yaml", ("arms.ReSet.select.candidates", 17), "17"),
    ],
)
def test_every_command_rejects_before_any_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    command: list[str], file: str, patch: Patch, part: str,
) -> None:  # fmt: skip
    change(folder / file, patch)
    monkeypatch.setattr(sys, "argv", ["reproduce", *command])
    with pytest.raises(SystemExit) as stopped:
        main()
    captured = capsys.readouterr()
    assert stopped.value.code == 1 and captured.out == ""
    assert part in captured.err and "Traceback" not in captured.err
    assert {path.name for path in folder.iterdir()} == {"params.yaml", "experiments.yaml", "paper"}


def test_a_mistyped_arm_gets_a_suggestion(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["reproduce", "arm", "ReSte"])
    with pytest.raises(SystemExit):
        main()
    assert "ReSet" in capsys.readouterr().err


def test_a_missing_key_is_one_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = {"url": "http://localhost:1/v1", "key": "NO_SUCH_KEY", "budget": 1}
    change(folder / "params.yaml", LLM_JUDGE, ("judge_server", server))
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    monkeypatch.setattr(sys, "argv", ["reproduce", "check"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1 and "NO_SUCH_KEY is not set" in capsys.readouterr().err


def test_an_unpinned_model_is_rejected_with_the_command_that_pins_it(folder: Path) -> None:
    text_set = {**TEXT_SET, "repo": "owner/name"}
    change(folder / "params.yaml", ("data.world", GONE), ("data.sets", {"a": text_set}))
    message = config_error(lambda: check_ready(load_params()))
    assert "data.sets.a" in message and "reproduce pin --dataset owner/name" in message


def test_a_base_in_four_bits_needs_a_gpu_before_any_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = {"rank": 8, "alpha": 16, "quantised_base": True}
    change(folder / "params.yaml", ("training.lora", lora), ("hardware.precision", "bf16"))
    monkeypatch.setenv("PATH", "/nowhere")
    message = config_error(lambda: check_ready(load_params()))
    assert "training.lora.quantised_base" in message and "CUDA GPU" in message
