"""The profile in the working directory: its settings, checked together, and where its files are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reproduce.config import (
    Arm,
    Claims,
    Params,
    Prediction,
    check_candidates,
    check_steps,
    load_claims,
    load_experiments,
    load_params,
    load_predictions,
)
from reproduce.data.prepare import check_data_sets


@dataclass(frozen=True)
class Study:
    """A profile.

    Attributes:
        arms: name -> arm, in the order of experiments.yaml.
        labels: name -> what a reader calls the arm.
        folder: of the profile; a run writes only to `artifacts` and `logs` below it.
    """

    params: Params
    arms: Mapping[str, Arm]
    labels: Mapping[str, str]
    claims: Claims
    predictions: Mapping[str, Prediction]
    folder: Path = Path()

    @property
    def artifacts(self) -> Path:
        """Return the folder of what a run makes."""
        return self.folder / "artifacts"

    @property
    def paper(self) -> Path:
        """Return the folder of what is published."""
        return self.folder / "paper"

    @property
    def own_texts(self) -> bool:
        """Return whether the project made all texts, so that it may publish them."""
        return self.params.data.world is not None

    def model_dir(self, arm: str, seed: int) -> Path:
        """Return where an arm's model of a seed is."""
        return self.artifacts / "models" / arm / f"seed-{seed}"

    def results_dir(self, arm: str, seed: int) -> Path:
        """Return where an arm's results of a seed are."""
        return self.artifacts / "results" / arm / f"seed-{seed}"


def load_study(folder: Path = Path()) -> Study:
    """Return the checked settings of the profile in `folder`; raise ConfigError otherwise."""
    params = load_params(folder / "params.yaml")
    experiments = load_experiments(folder / "experiments.yaml")
    check_candidates(params, experiments.arms)
    check_data_sets(params.data, experiments.arms)
    claims = load_claims(folder / params.claims, experiments.arms)
    check_steps(params, experiments.arms, claims)
    predictions = load_predictions(folder / params.predictions, params.profile)
    return Study(params, experiments.arms, experiments.labels, claims, predictions, folder)
