"""The profile in the working directory: where its files lie, and its settings, checked together."""

from pathlib import Path

from reproduce.config import (
    Arm,
    Params,
    check_together,
    load_claims,
    load_experiments,
    load_params,
)

ARTIFACTS = Path("artifacts")
PAPER = Path("paper")
DATABASE = Path("mlflow.db")
LOG = Path("logs/timings.jsonl")
RESULTS = PAPER / "expected.json"

Settings = tuple[Params, dict[str, dict[str, Arm]]]


def settings() -> Settings:
    """Return the parameters and arms of the profile; raise ConfigError naming what is wrong."""
    from reproduce.data.prepare import refuse_unknown

    params, experiments = load_params(), load_experiments()
    check_together(params, experiments)
    load_claims(Path(params.claims), experiments)
    refuse_unknown(params.data, experiments)
    return params, experiments
