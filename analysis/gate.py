"""The gate of the study of a real model: does each specialist improve on its own side?

    python analysis/gate.py FOLDER

It copies profiles/smollm2 to FOLDER with a seed that never counts, trains the specialists and both
second stages, and evaluates them on training prompts that it holds out, with all prompts of their
request or passage. What is in FOLDER already is not made again. The four trained arms took 63 min
on two cores with AVX-512 bf16. Its table of scores and differences is FOLDER/gate.csv.
"""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

from reproduce.evaluation.results import FAITHFUL_ANSWER, FAITHFULNESS, INSTRUCTION, load_results
from reproduce.judges.judge import JudgePanel
from reproduce.schema import Example, JudgedTrial, read_sets, write_records
from reproduce.study import load_study
from reproduce.validation.trials import trivial_responses

PROFILE = Path(__file__).parents[1] / "profiles" / "smollm2"
SEED, PROMPTS = 100, {"squad": 150, "alpaca": 180, "self-instruct": 24}
ARMS = ("base", "IF", "CD", "CD-IF", "IF-CD")
COMPARED = {
    INSTRUCTION: [("IF", "base"), ("IF", "CD"), ("IF-CD", "IF")],
    FAITHFULNESS: [("CD", "base"), ("CD", "IF"), ("CD-IF", "CD")],
    FAITHFUL_ANSWER: [("CD", "base"), ("CD", "IF"), ("CD-IF", "CD")],
}


def prepare(folder: Path) -> None:
    """Copy the profile to `folder`, make its data and judges, and put held-out prompts in place."""
    (folder / "inputs").mkdir(parents=True)
    params = yaml.safe_load((PROFILE / "params.yaml").read_text())
    for key in ("package", "lock", "claims", "predictions"):
        params[key] = str((PROFILE / params[key]).resolve())
    (folder / "params.yaml").write_text(yaml.safe_dump(params | {"seeds": [SEED]}))
    shutil.copy(PROFILE / "experiments.yaml", folder)
    for stage in ("data", "judges", "pretrain"):
        subprocess.run([sys.executable, "-m", "reproduce", stage], cwd=folder, check=True)
    data = folder / "artifacts" / "data"
    shutil.rmtree(data / "evaluation")
    training = read_sets(data / "training")
    for name, limit in PROMPTS.items():
        # A request comes with several sets of instructions, a passage with several questions.
        groups: dict[str, list[Example]] = {}
        for example in training[name]:
            groups.setdefault(example.context or example.split_group, []).append(example)
        order = random.Random(SEED).sample(sorted(groups), len(groups))
        held_out: list[Example] = []
        while len(held_out) < limit:
            held_out += groups[order.pop(0)]
        write_records(data / "evaluation" / f"{name}.jsonl", held_out)
        write_records(data / "training" / f"{name}.jsonl", [e for g in order for e in groups[g]])
    # The trivial responses of the validation are to other prompts.
    trials = trivial_responses(*(read_sets(data / part) for part in ("training", "evaluation")))
    panel = JudgePanel(load_study(folder).params, folder / "artifacts" / "judges" / "model")
    judgements = panel.judge([t.example for t in trials], [t.response for t in trials])
    write_records(folder / "artifacts" / "judges" / "validation" / "trivial.jsonl", [
        JudgedTrial(t.example.dataset, t.example.kind, t.example.id, t.variant, t.response, j)
        for t, j in zip(trials, judgements, strict=True)
    ])  # fmt: skip


def main(folder: Path) -> None:
    """Run what is missing, then print and write the table of scores and differences."""
    if not (folder / "artifacts" / "data" / "evaluation").is_dir():
        prepare(folder)
    for arm in ARMS:
        if not (folder / "artifacts" / "results" / arm / f"seed-{SEED}").is_dir():
            subprocess.run([sys.executable, "-m", "reproduce", "arm", arm], cwd=folder, check=True)
    results, rows = load_results(load_study(folder), ARMS), []
    for metric, pairs in COMPARED.items():
        for variant in results.trivial["variant"].unique():
            score = results.trivial_score(metric, variant)
            rows.append((metric.title, variant, "", score, None, None, None))
        for arm, against in [*((name, None) for name in ARMS), *pairs]:
            estimate = results.estimate(metric, arm, against)
            if estimate:
                i = estimate.interval
                rows.append((metric.title, arm, against or "", i.mean, i.low, i.high, i.prompts))
    table = pd.DataFrame(rows, columns=["score", "arm", "minus", "mean", "low", "high", "prompts"])
    table["prompts"] = table["prompts"].astype("Int64")
    table.round(3).to_csv(folder / "gate.csv", index=False)
    print(table.to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
