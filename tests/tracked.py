"""A small study with its artifacts, and a client of its MLflow database, for tests of its runs."""

from pathlib import Path
from typing import Any

import pytest

from reproduce.config import Arm, Params, load_params, training_of
from reproduce.records import (
    SAMPLES_A_SET,
    runs_here,
)
from reproduce.schema import Example, write_examples
from reproduce.tracking import track, tracking_uri
from reproduce.utils.files import sealed_folder, write_json, write_rows

ROOT = Path(__file__).parent.parent
SETS = {"answers": "extractive", "orders": "instruction", "probe": "extractive"}
ARMS = {
    "two-stage": {
        "base": Arm(label="Base", start="base", reads="training"),
        "CD": Arm(label="CD → x", start="base", reads="training", mixture={"CD": 1}, trajectory=1),
    },
    "methods": {
        "MTL": Arm(
            label="MTL", start="base", reads="training", mixture={"IF/1": 0.5}, continues=True
        )
    },
}
CELL = "two-stage/CD/seed-1"


def examples() -> list[Example]:
    return [
        Example(name, kind, f"{name} {n}?", "gold", "a context", ("gold",), probe=name == "probe")  # type: ignore[arg-type]
        for name, kind in SETS.items()
        for n in range(SAMPLES_A_SET + 2)
    ]


def judged(progress: float, seed: int) -> list[dict[str, Any]]:
    scores = {
        "answers": (0.5 * progress, 0.75, None),
        "orders": (0.1, None, 0.25),
        "probe": (0.0, 1.0, None),
    }
    return [
        {"dataset": e.dataset, "example": e.id, "response": f"r {e.id}", "ended": True,
         "details": {},
         "task": task, "faithfulness": faithfulness, "instruction": instruction,
         "progress": progress, "seed": seed}
        for e in examples()
        for task, faithfulness, instruction in [scores[e.dataset]]
    ]  # fmt: skip


def trials() -> list[dict[str, Any]]:
    """Return judged trials by which the measure of "answers" is sound."""
    return [
        {"dataset": "answers", "kind": "extractive", "example": f"{n}", "variant": variant,
         "details": {"entailed": score}}
        for n in range(30)
        for variant, score in (("right", 1.0), ("same passage", 0.0))
    ]  # fmt: skip


def write_arm(artifacts: Path, params: Params, name: str, arm: Arm, loss: float = 1.0) -> None:
    with sealed_folder(artifacts / name) as draft:
        for seed in params.seeds:
            folder = draft / f"seed-{seed}"
            points = [0.5, 1.0] if arm.trajectory else [1.0]
            write_rows(folder / "evaluation.jsonl", [r for p in points for r in judged(p, seed)])
            if arm.mixture:
                write_examples(folder / "train.jsonl", examples() * 10)
                losses = [{"step": n, "loss": loss / n, "learning_rate": 0.1} for n in (1, 2, 3)]
                write_json(folder / "history.json", {"losses": losses, "too_long": 2})
        inputs = {"base": "b" * 64, "evaluation": "e" * 64}
        record = {"arm": name, "settings": arm.model_dump(mode="json"), "inputs": inputs}
        record["training"] = training_of(params, arm).model_dump(mode="json")
        write_json(draft / "record.json", record)


class Study:
    """A profile folder with its artifacts, and a client of its MLflow database."""

    def __init__(self, folder: Path) -> None:
        self.params = load_params(ROOT / "params.yaml").model_copy(update={"seeds": [0, 1]})
        self.artifacts = folder / "artifacts"
        with sealed_folder(self.artifacts / "evaluation") as draft:
            for name in SETS:
                chosen = [e for e in examples() if e.dataset == name]
                write_examples(draft / f"{name}.jsonl", chosen)
        with sealed_folder(self.artifacts / "validation") as draft:
            write_rows(draft / "judged.jsonl", trials())
        for experiment, arms in ARMS.items():
            for name, arm in arms.items():
                write_arm(self.artifacts, self.params, f"{experiment}/{name}", arm)

    def track(self, tables: Path | None = None) -> Any:
        runs = runs_here(self.params, ARMS, self.artifacts)
        return track(self.params.profile, runs, self.artifacts, tables)

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri(self.artifacts)[0])

    def runs(self, where: str = "", name: str = "dancing-in-chains/tiny") -> list[Any]:
        experiment = self.client.get_experiment_by_name(name)
        return list(self.client.search_runs([experiment.experiment_id], where))

    def run(self, cell: str) -> Any:
        (run,) = self.runs(f"tags.cell = '{cell}'")
        return run


def study_here(folder: Path, database: bytes, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Return a study in `folder`, which is gone to, with a database that is empty."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(folder)
    (folder / "mlflow.db").write_bytes(database)
    return Study(folder)
