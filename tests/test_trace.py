"""Every number that decides a claim leads to the runs behind it, and to their code."""

import json
from pathlib import Path
from statistics import fmean

import pytest
import yaml

from reproduce.utils.files import read_csv, read_rows

ROOT = Path(__file__).parent.parent
FOLDERS = [ROOT, *(path.parent.parent for path in ROOT.glob("profiles/*/paper/runs.jsonl"))]


def last(points: list[list], name: str) -> float:
    """Return the value of a metric at its last step."""
    return max(((step, value) for key, value, step in points if key == name))[1]


def score(runs: list[dict], arm: str, measure: str) -> float:
    """Return the mean of an arm's runs in a measure of the table of claims."""
    of_arm = [run for run in runs if f"{run['experiment']}/{run['arm']}" == arm]
    followed = fmean(last(run["points"], "instruction/mean") for run in of_arm)
    faithful = fmean(last(run["points"], "faithfulness/mean") for run in of_arm)
    both = (followed + (faithful + 1) / 2) / 2
    names = {"Faithfulness": faithful, "Mean of IF and faithfulness": both}
    return (names | {"Instruction following": followed})[measure]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_number_leads_to_its_runs_and_their_code(folder: Path) -> None:
    runs = read_rows(folder / "paper" / "runs.jsonl")
    expected = json.loads((folder / "paper" / "expected.json").read_text(encoding="utf-8"))
    stages = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    rows = [row for row in read_csv(folder / "paper" / "tables" / "claims.csv")
            if row["role"] == "primary"]  # fmt: skip
    assert rows
    for row in rows:
        of, minus = (score(runs, row[side], row["measure"]) for side in ("of", "minus"))
        assert float(row["effect"]) == pytest.approx(of - minus, abs=2e-6)
        for arm in (row["of"], row["minus"]):
            records = {run["record"] for run in runs if f"{run['experiment']}/{run['arm']}" == arm}
            assert records == {expected["artifacts"][arm]}
            stage = stages[arm.replace("/", "@")]
            paths = {Path(dep["path"]).name for dep in stage["deps"]}
            assert {"arms.py", "evaluate.py", "judges", "training", "requirements.lock"} <= paths
            assert {out["path"] for out in stage["outs"]} == {f"artifacts/{arm}"}
