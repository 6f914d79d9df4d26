"""The README's table of speeds, from what the benchmarks beside this file wrote.

`python analysis/measured.py` writes it between the README's markers.
"""

import csv
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- speeds: begin -->\n", "<!-- speeds: end -->\n"

BENCHMARKS = {
    # file: (what is measured, its column, the command)
    "benchmark-training.csv": (
        "fine-tuning, default profile, real tokens a second", "tokens_per_second",
        "python analysis/benchmark.py training",
    ),
    "speed-sampling.csv": (
        "sampling, SmolLM2, tokens a second", "tokens_per_second",
        "python analysis/speed.py sampling --profile profiles/smollm2 --prompts 2 --samples 16",
    ),
    "speed-judging.csv": (
        "judging, SmolLM2, pairs a second", "pairs_per_second",
        "python analysis/speed.py judging --profile profiles/smollm2 --alone 150 --calls 5",
    ),
}  # fmt: skip
INSTEAD = {
    "ours": "this package",
    "trl": "TRL's SFTTrainer as it comes",
    "trl-no-checkpointing": "SFTTrainer without gradient checkpointing",
    "plain": "a bare PyTorch loop over the same batches",
}
"""What the benchmarks call a way, as a reader would; others speak for themselves."""


def table() -> str:
    """Return the speeds as Markdown; a ratio is how many times as fast the first way is."""
    lines = ["| what | how | speed | ratio | measured by |", "|---|---|--:|--:|---|"]
    for name, (what, column, command) in BENCHMARKS.items():
        with (HERE / name).open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        for number, row in enumerate(rows):
            speed, ratio = float(row[column]), float(row["first_is_times"])
            lines.append(
                f"| {what if not number else ''} | {INSTEAD.get(row['method'], row['method'])} "
                f"| {speed:,.0f} | {f'{ratio:.2f}' if number else ''} "
                f"| {f'`{command}`' if not number else ''} |"
            )
    return "\n".join(lines) + "\n"


def filled(readme: str) -> str:
    """Return the README with the table between its markers; ValueError where one is missing."""
    before, after = readme.index(BEGIN) + len(BEGIN), readme.index(END)
    return readme[:before] + table() + readme[after:]


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
