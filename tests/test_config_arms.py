"""What experiments.yaml may say, alone and beside params.yaml."""

from pathlib import Path

import pytest
from refused import GONE, Patch, change, profile_in, refusal

from reproduce.config import check_together, load_experiments, load_params
from reproduce.study import settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return profile_in(tmp_path)


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
