"""Parameters: what ships is accepted, and each wrong value is refused by name before any work."""

import sys
from pathlib import Path

import pytest
import yaml
from refused import GONE, Patch, change, profile_in, refusal

from reproduce.cli import command
from reproduce.config import (
    check_together,
    load_claims,
    load_experiments,
    load_params,
)
from reproduce.data.mixture import mix
from reproduce.data.prepare import refuse_unknown
from reproduce.schema import Example
from reproduce.world.build import TASKS

ROOT = Path(__file__).parent.parent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return profile_in(tmp_path)


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
    (
        "decay in per cent",
        [
            ("training.schedule", "warmup_stable_decay"),
            ("training.schedule_options", {"decay": 30}),
        ],
        ["training", "schedule_options.decay", "at most 1"],
    ),
    (
        "seed below 0",
        [
            (
                "judging.training",
                {
                    "epochs": 1,
                    "batch_size": 1,
                    "learning_rate": 0.1,
                    "pairs": 1,
                    "seed": -1,
                },
            )
        ],
        ["judging.training.seed", "0"],
    ),
    (
        "precision of a machine that only launches",
        [("hardware.precision", "auto"), ("hardware.launch", "srun"), ("hardware.workers", 1)],
        ["hardware", "'precision' is auto", "fp32 or bf16"],
    ),
    (
        "flash attention in full precision",
        [("hardware.attention", "flash_attention_2")],
        ["hardware", "needs 'precision' bf16"],
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
        "no room for a response",
        [("training.max_length", 217)],
        ["up to 217 tokens and generation.max_new_tokens 40", "256 positions"],
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
        ("soundness: [judges", "soundness: [judgs", "'two-stage', 'trajectory'"),
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
        ("experiments.yaml", ("experiments.methods.ReSet.start", "nowhere"), "nowhere"),
        ("experiments.yaml", ("experiments.methods.ReSet.select.strategies", ["beam"]), "'beam'"),
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
