"""Parameters: what ships is accepted, and each wrong value is refused by name before any work."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from nested import block_of

from reproduce.cli import command
from reproduce.config import (
    ConfigError,
    check_together,
    load_claims,
    load_experiments,
    load_params,
)
from reproduce.data import refuse_unknown
from reproduce.examples import Example
from reproduce.here import settings
from reproduce.mixtures import mix
from reproduce.world.build import TASKS

ROOT = Path(__file__).parent.parent
GONE = object()
"""In place of a value: the key is taken out."""

Patch = tuple[str, Any]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "paper").mkdir()
    for name in ("params.yaml", "experiments.yaml", "paper/claims.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(path: Path, *patches: Patch) -> None:
    whole = yaml.safe_load(path.read_text())
    for place, value in patches:
        block, last = block_of(whole, place)
        if value is GONE:
            del block[last]
        else:
            block[last] = value
    path.write_text(yaml.safe_dump(whole))


def refusal(load: Callable[[], Any]) -> str:
    with pytest.raises(ConfigError) as found:
        load()
    return str(found.value)


def test_what_ships_is_accepted() -> None:
    params = load_params(ROOT / "params.yaml")
    experiments = load_experiments(ROOT / "experiments.yaml")
    check_together(params, experiments)
    assert params.seeds == [0, 1, 2]
    assert set(experiments) == {"two-stage", "methods", "data-size", "drivers", "controls"}


def test_every_other_profile_is_accepted() -> None:
    experiments = load_experiments(ROOT / "experiments.yaml")
    for path in ROOT.glob("profiles/*/params.yaml"):
        check_together(load_params(path), experiments)
        refuse_unknown(load_params(path).data, experiments)


def test_every_arm_can_be_trained_on_the_shipped_world() -> None:
    params = load_params(ROOT / "params.yaml")
    assert params.data.world
    kinds = {"qa-single": "extractive", "qa-pair": "extractive", "describe": "abstractive"}
    size = params.data.world.train
    sets = {
        name: [Example(name, kinds.get(name, "instruction"), f"{i}", "") for i in range(size)]
        for name in TASKS
    }
    experiments = load_experiments(ROOT / "experiments.yaml")
    for arm in (arm for arms in experiments.values() for arm in arms.values()):
        if arm.mixture:
            assert len(mix(sets, arm.mixture, 0)) >= params.training.batch_size
        if arm.select:
            assert arm.select.keep * params.candidates.prompts >= 1
            considered = arm.select.strategies or list(params.candidates.strategies)
            drawn = sum(params.candidates.strategies[name].samples for name in considered)
            whole = sum(each.samples for each in params.candidates.strategies.values())
            assert drawn >= (arm.select.candidates or 0) * whole


def test_arms_of_one_mixture_part_name_the_set_they_take() -> None:
    two_stage = load_experiments(ROOT / "experiments.yaml")["two-stage"]
    for arm in two_stage.values():
        assert ("{sets}" in arm.label) == any("/" in part for part in arm.mixture or {})


def test_the_pipeline_waits_for_every_arm() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    experiments = load_experiments(ROOT / "experiments.yaml")
    arms = {f"artifacts/{e}/{name}" for e, found in experiments.items() for name in found}
    for stage in ("tables", "tracking"):
        waits = {name for name in stages[stage]["deps"] if name.count("/") == 2}
        assert {name for name in waits if name.startswith("artifacts/")} == arms
    assert set(experiments) <= set(stages)


HUB_SET = {"repo": "here", "layout": "alpaca", "train": "train", "counts": {"train": 1}}
PARAMS: list[tuple[str, list[Patch], list[str]]] = [
    # (case, changes, what the message must hold)
    ("unknown", [("colour", "red")], ["colour", "not permitted"]),
    ("unknown within", [("data.world.persons", 3)], ["data.world.persons", "not permitted"]),
    ("unknown strategy key", [("candidates.strategies.cold.topk", 3)], ["cold.topk"]),
    ("missing", [("generation.batch_size", GONE)], ["generation.batch_size", "required"]),
    ("yes for a number", [("candidates.prompts", True)], ["candidates.prompts", "integer"]),
    ("quoted number", [("data.world.train", "600")], ["data.world.train", "integer"]),
    ("text for a number", [("data.world.people", "many")], ["data.world.people", "integer"]),
    ("number for a list", [("seeds", 3)], ["seeds", "list"]),
    ("fraction for a count", [("data.world.train", 0.5)], ["data.world.train", "integer"]),
    ("nothing for a block", [("training", None)], ["training"]),
    ("too many people", [("data.world.people", 97)], ["data.world.people", "96"]),
    ("too few people", [("data.world.people", 5)], ["data.world.people", "6"]),
    ("no epochs", [("training.epochs", 0)], ["training.epochs", "greater than 0"]),
    ("endless epochs", [("training.epochs", float("inf"))], ["training.epochs"]),
    ("learning rate 1", [("training.learning_rate", 1)], ["training.learning_rate", "less than 1"]),
    ("no number", [("training.learning_rate", float("nan"))], ["training.learning_rate"]),
    ("endless decay", [("training.weight_decay", float("inf"))], ["training.weight_decay"]),
    ("unknown schedule", [("training.schedule", "sine")], ["training.schedule", "cosine"]),
    (
        "option of another schedule",
        [("training.schedule_options", {"decay": 0.3})],
        ["training", "decay"],
    ),
    ("top_p 0", [("candidates.strategies.top-p.top_p", 0)], ["top-p.top_p", "greater than 0"]),
    ("hot", [("candidates.strategies.warm.temperature", 6)], ["warm.temperature", "5"]),
    ("confidence", [("statistics.confidence", 1)], ["statistics.confidence", "less than 1"]),
    ("resamples", [("statistics.resamples", 99)], ["statistics.resamples", "100"]),
    ("unknown judge", [("judging.entailment", "nli")], ["judging.entailment", "symbolic"]),
    ("share", [("judging.max_empty_share", 1.1)], ["judging.max_empty_share", "1"]),
    ("no worker", [("hardware.workers", 0)], ["hardware.workers", "1"]),
    (
        "both origins",
        [("data.real", {"sets": {}})],
        ["data", "exactly one of"],
    ),
    ("no origin", [("data.world", GONE)], ["data", "exactly one of"]),
    ("both bases", [("base.imported", "smollm2")], ["base", "exactly one of 'tiny', 'imp"]),
    ("no training of the base", [("base.training", GONE)], ["base", "'training' goes with"]),
    ("part of a batch", [("training.micro_batch_size", 5)], ["training", "16 is no multiple", "5"]),
    ("more than a batch", [("training.micro_batch_size", 32)], ["training", "no multiple"]),
    (
        "greedy twice",
        [("candidates.strategies.cold.temperature", 0)],
        ["candidates.strategies.cold", "one sample only"],
    ),
    (
        "a judge without its server",
        [("judging.rated", {"model": "judge"})],
        ["servers.judge", "judging.rated"],
    ),
    (
        "a server without its judge",
        [("servers", {"judge": {"url": "http://here/v1", "budget": 1}})],
        ["servers.judge", "judging.rated"],
    ),
    (
        "a login in an address",
        [
            ("judging.rated", {"model": "judge"}),
            ("servers", {"judge": {"url": "http://me:secret@here/v1", "budget": 1}}),
        ],
        ["servers.judge", "without a login"],
    ),
    (
        "a key in an address",
        [
            ("judging.rated", {"model": "judge"}),
            ("servers", {"judge": {"url": "http://here/v1?key=secret", "budget": 1}}),
        ],
        ["servers.judge", "no '?'"],
    ),
    ("no strategy", [("candidates.strategies", {})], ["candidates.strategies", "at least 1"]),
    ("a path for a name", [("candidates.strategies", {"a/b": {"temperature": 1.0}})], ["a/b"]),
    ("too few trials", [("validation.trials", 10)], ["validation", "least_trials 20 of 10"]),
    ("two scales", [("judging.abstractive", "coverage")], ["judging", "entailed", "no mean"]),
    (
        "rows beyond the model",
        [("training.max_length", 512)],
        ["training.max_length: 512", "256 positions"],
    ),
    (
        "a set with a name of ours",
        [("data.world", GONE), ("data.hub", {"sets": {"IF": HUB_SET}})],
        ["data.hub.sets.IF", "means something else"],
    ),
    (
        "a path for a set",
        [("data.world", GONE), ("data.hub", {"sets": {"tatsu-lab/alpaca": HUB_SET}})],
        ["data.hub.sets.tatsu-lab/alpaca", "pattern"],
    ),
    ("one seed twice", [("seeds", [1, 2, 1])], ["seeds", "twice"]),
    ("no seed", [("seeds", [])], ["seeds", "at least 1"]),
    ("heads do not divide the width", [("base.tiny.heads", 3)], ["base.tiny", "heads"]),
]


@pytest.mark.parametrize(("patches", "said"), [c[1:] for c in PARAMS], ids=[c[0] for c in PARAMS])
def test_wrong_parameters_are_refused(folder: Path, patches: list[Patch], said: list[str]) -> None:
    change(folder / "params.yaml", *patches)
    message = refusal(load_params)
    for part in ["params.yaml", *said]:
        assert part in message


MTL, RESET = "experiments.methods.MTL", "experiments.methods.ReSet"
ARMS: list[tuple[str, list[Patch], list[str]]] = [
    ("unknown", [(f"{MTL}.colour", "red")], ["methods.MTL.colour", "not permitted"]),
    ("share 0", [(f"{MTL}.mixture", {"IF": 0})], ["methods.MTL.mixture.IF", "greater than 0"]),
    ("share above 1", [(f"{MTL}.mixture", {"IF": 1.5})], ["methods.MTL.mixture.IF", "1"]),
    ("keep 0", [(f"{RESET}.select.keep", 0)], ["methods.ReSet.select.keep", "greater than 0"]),
    ("no keep", [(f"{RESET}.select.keep", GONE)], ["methods.ReSet.select.keep", "required"]),
    ("unknown rule", [(f"{RESET}.select.rule", "worst")], ["ReSet.select.rule", "shuffled"]),
    ("select reads training", [(f"{RESET}.reads", "training")], ["methods.ReSet", "'scores'"]),
    ("scores without select", [(f"{MTL}.reads", "scores")], ["methods.MTL", "'select'"]),
    ("both sources", [(f"{RESET}.mixture", {"IF": 1})], ["methods.ReSet", "not on both"]),
    ("unknown start", [(f"{RESET}.start", "methods/MLT")], ["methods.ReSet.start", "methods/MLT"]),
    (
        "starts from what trains nothing",
        [(f"{MTL}.start", "two-stage/base")],
        ["methods.MTL.start", "'two-stage/base' trains nothing"],
    ),
    ("no mixture", [(f"{MTL}.mixture", {})], ["methods.MTL.mixture", "at least 1"]),
    ("starts from itself", [(f"{MTL}.start", "methods/MTL")], ["methods.MTL.start"]),
    (
        "all weights 0",
        [(f"{RESET}.select.weights", {"task": 0, "faithfulness": 0, "instruction": 0})],
        ["methods.ReSet.select.weights", "all three weights are 0"],
    ),
    ("weight below 0", [(f"{RESET}.select.weights", {"task": -1})], ["weights.task", "0"]),
    ("endless weight", [(f"{RESET}.select.weights", {"task": float("inf")})], ["weights.task"]),
    (
        "no candidate",
        [(f"{RESET}.select.candidates", 0)],
        ["ReSet.select", "greater than 0"],
    ),
    ("no strategy", [(f"{RESET}.select.strategies", [])], ["ReSet.select.strategies"]),
    ("trajectory below 0", [(f"{MTL}.trajectory", -1)], ["methods.MTL.trajectory", "0"]),
]


@pytest.mark.parametrize(("patches", "said"), [c[1:] for c in ARMS], ids=[c[0] for c in ARMS])
def test_wrong_arms_are_refused(folder: Path, patches: list[Patch], said: list[str]) -> None:
    change(folder / "experiments.yaml", *patches)
    message = refusal(load_experiments)
    for part in ["experiments.yaml", *said]:
        assert part in message


def test_an_unknown_strategy_is_refused_with_those_that_exist(folder: Path) -> None:
    change(folder / "experiments.yaml", (f"{RESET}.select.strategies", ["cold", "beam"]))
    message = refusal(lambda: check_together(load_params(), load_experiments()))
    assert "experiments.methods.ReSet.select.strategies: 'beam'" in message
    assert "['cold', 'top-k', 'top-p', 'warm']" in message


@pytest.mark.parametrize(
    ("name", "patches", "said"),
    [
        ("experiments.yaml", [(f"{MTL}.mixture", {"IFF": 0.5})], ["methods.MTL.mixture", "'IFF'"]),
        ("experiments.yaml", [(f"{MTL}.mixture", {"IF/4": 1})], ["methods.MTL.mixture", "IF/4"]),
        ("experiments.yaml", [(f"{RESET}.select.candidates", 1.1)], ["ReSet.select.candidates"]),
        (
            "experiments.yaml",
            [(f"{RESET}.select.strategies", ["cold"]), (f"{RESET}.select.candidates", 0.3)],
            ["ReSet.select.candidates: 0.3 of the 16", "draw 4"],
        ),
        (
            "params.yaml",
            [("data.world", GONE), ("data.real", {"sets": {"squid": {"train": 1}}})],
            ["data.real.sets", "squid", "squad"],
        ),
        (
            "params.yaml",
            [("data.world", GONE), ("data.real", {"sets": {"squad": {"trian": 1}}})],
            ["data.real.sets", "trian", "context_words"],
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(
    folder: Path, name: str, patches: list[Patch], said: list[str]
) -> None:
    change(folder / name, *patches)
    message = refusal(settings)
    for part in said:
        assert part in message


def test_files_of_a_profile_are_looked_for_in_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(folder / "params.yaml", ("hardware.deepspeed", "zero.json"), ("hardware.workers", 1))
    (folder / "zero.json").write_text("{}")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    before = Path.cwd()
    assert load_params(folder / "params.yaml").hardware.deepspeed == "zero.json"
    assert load_params(Path("../params.yaml")).hardware.deepspeed == "zero.json"
    (folder / "zero.json").rename("zero.json")
    assert "there is no file zero.json" in refusal(lambda: load_params(folder / "params.yaml"))
    assert Path.cwd() == before


def test_all_faults_are_named_at_once(folder: Path) -> None:
    change(folder / "params.yaml", ("colour", 1), ("data.world.people", 0), ("seeds", "x"))
    assert len(refusal(load_params).splitlines()) == 4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("measure: both", "measure: bleu", "'instruction', 'faithfulness', 'task' or 'both'"),
        ("arm: methods/ReSet-S", "arm: methods/ReSet-T", "no arm 'methods/ReSet-T'"),
        ("direction: above 0", "direction: up", "'below 0' or 'above 0'"),
        ("smallest_effect: 0.05", "smallest_effect: 0", "greater than 0"),
        ("label: C", "label: X", "'C', 'S' or 'I'"),
        ("against: methods/ReSet, measure: both", "against: methods/ReSet-S, measure: both",
         "'methods/ReSet-S' is compared with itself"),
        ("ReSet-S, against: methods/ReSet, measure: faithfulness",
         "ReSet-S, against: methods/ReSet, measure: both", "names one difference twice"),
        ("claim: ReSet beats MTL", "claim: IF tuning lowers faithfulness", "there twice"),
    ],
)  # fmt: skip
def test_a_claim_that_cannot_be_decided_is_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = (ROOT / "paper" / "claims.yaml").read_text(encoding="utf-8")
    path = tmp_path / "claims.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    message = refusal(lambda: load_claims(path, load_experiments(ROOT / "experiments.yaml")))
    assert "claims.yaml" in message and said in message


@pytest.mark.parametrize("content", ["", "- 1\n", "a: [", "a: 1\na: b: 2\n"])
def test_a_file_of_another_form_is_refused_by_name(folder: Path, content: str) -> None:
    (folder / "params.yaml").write_text(content)
    assert "params.yaml" in refusal(load_params)


def test_check_refuses_a_study_without_an_arm_that_its_tables_need(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = yaml.safe_load((folder / "paper" / "claims.yaml").read_text())["claims"]
    change(folder / "paper" / "claims.yaml", ("claims", claims[2:3]))
    change(folder / "experiments.yaml", ("experiments.methods.ReSet-S", GONE))
    monkeypatch.setattr(sys, "argv", ["reproduce", "check"])
    assert command() == 1
    assert "the tables need an arm 'methods/ReSet-S'" in capsys.readouterr().err


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "experiments.yaml"
    assert f"{path}: missing" in refusal(lambda: load_experiments(path))


@pytest.mark.parametrize("words", [["data"], ["arm", "methods/MTL"], ["tables"], ["check"]])
@pytest.mark.parametrize(
    ("file", "patch", "said"),
    [
        ("params.yaml", ("data.world.people", 1), "data.world.people"),
        ("experiments.yaml", (f"{RESET}.start", "nowhere"), "nowhere"),
        ("experiments.yaml", (f"{RESET}.select.strategies", ["beam"]), "'beam'"),
    ],
)
def test_every_command_refuses_before_any_work(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    file: str,
    patch: Patch,
    said: str,
) -> None:
    change(folder / file, patch)
    monkeypatch.setattr(sys, "argv", ["reproduce", *words])
    assert command() == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("reproduce: ") and said in captured.err
    assert {path.name for path in folder.iterdir()} == {"params.yaml", "experiments.yaml", "paper"}
