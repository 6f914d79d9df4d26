"""The base model of the real-text study on all 541 prompts of IFEval, for comparison with others.

    python analysis/ifeval.py MODEL_FOLDER TARGET.csv

MODEL_FOLDER is profiles/smollm2/artifacts/models/pretrained/seed-*. Greedy, at most 640 new tokens.
Shares are IFEval's four: of instructions and of prompts, strict and loose. Two cores need more than
half an hour; it has not been run to its end yet.
"""

import sys
from pathlib import Path

import pandas as pd

from reproduce.data.datasets import pinned_pools
from reproduce.generation.generate import GREEDY
from reproduce.generation.respond import respond
from reproduce.judges.instructions import check_loose, check_strict
from reproduce.models.load import load_tokenizer
from reproduce.study import load_study
from reproduce.utils.seeds import named_seed, set_determinism

PROFILE = Path(__file__).parents[1] / "profiles" / "smollm2"
NEW_TOKENS = 640


def main(model: Path, target: Path) -> None:
    """Write one row per measure: its share, and of how many."""
    params = load_study(PROFILE).params
    generation = params.generation.model_copy(update={"max_new_tokens": NEW_TOKENS})
    # Most of the time goes into single tokens, which are faster in fp32 on a CPU.
    hardware = params.hardware.model_copy(update={"precision": "fp32"})
    params = params.model_copy(update={"generation": generation, "hardware": hardware})
    set_determinism(named_seed("ifeval"), params.hardware.threads)
    examples = pinned_pools({"ifeval": {}})[0]["ifeval"][1]
    drawn = respond(model, load_tokenizer(model), examples,
                    {"greedy": (GREEDY, named_seed("ifeval"))}, params)["greedy"]  # fmt: skip
    rows = []
    for name, check in (("strict", check_strict), ("loose", check_loose)):
        followed = [
            check(samples[0].text, e.instructions)
            for e, samples in zip(examples, drawn, strict=True)
        ]
        single = [one for each in followed for one in each]
        rows.append((f"instructions, {name}", sum(single) / len(single), len(single)))
        rows.append((f"prompts, {name}", sum(map(all, followed)) / len(followed), len(followed)))
    finished = sum(samples[0].finished for samples in drawn)
    rows.append((f"finished within {NEW_TOKENS} tokens", finished / len(drawn), len(drawn)))
    table = pd.DataFrame(rows, columns=["measure", "share", "n"])
    table.round(4).to_csv(target, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
