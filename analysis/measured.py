"""What the documents say of times and speeds, from what the benchmarks beside this file wrote.

`python analysis/measured.py` writes it between their markers.
"""

from pathlib import Path

from reproduce.reporting.readme import filled
from reproduce.utils.files import read_csv, write_text
from reproduce.utils.progress import spoken

HERE = Path(__file__).resolve().parent

BENCHMARKS = {
    # file: (what is measured, its column)
    "benchmark-training.csv": (
        "fine-tuning, default profile, real tokens a second", "tokens_per_second"),
    "benchmark-training-smollm2.csv": (
        "fine-tuning, SmolLM2, real tokens a second", "tokens_per_second"),
    "speed-sampling.csv": ("sampling, SmolLM2, tokens a second", "tokens_per_second"),
    "speed-judging.csv": ("judging, SmolLM2, pairs a second", "pairs_per_second"),
}  # fmt: skip
WALL_TIMES = "wall-times.csv"
INSTEAD = {
    "ours": "this package",
    "trl": "TRL's SFTTrainer as it comes",
    "trl-no-checkpointing": "SFTTrainer without gradient checkpointing",
    "plain": "a bare PyTorch loop over the same batches",
}
"""What the benchmarks call a way, as a reader would; others speak for themselves."""


def takes() -> str:
    """Return how long the two commands and their set-up take, as a sentence."""
    found = {row["what"]: spoken(float(row["seconds"])) for row in read_csv(HERE / WALL_TIMES)}
    study = found["the whole study again, without any cache"]
    return (
        f"Measured: all stages of `make study` {study}, `make test` {found['the tests']}, "
        f"their set-up {found['set-up in a fresh clone']}, once.\n"
    )


def times() -> str:
    """Return what each command takes, as a table."""
    lines = ["| what | command | takes | largest process |", "|---|---|--:|--:|"]
    for row in read_csv(HERE / WALL_TIMES):
        command = row["command"].replace("{scratch}", "FOLDER")
        took = _clock(float(row["seconds"]))
        memory = f"{float(row['memory_mb']) / 1000:.1f} GB" if row["memory_mb"] else "–"
        lines.append(f"| {row['what']} | `{command}` | {took} | {memory} |")
    return "\n".join(lines) + "\n"


def speeds() -> str:
    """Return the speeds as a table; a ratio is how many times as fast the first way is."""
    lines = ["| what | how | speed | ratio | measured by |", "|---|---|--:|--:|---|"]
    for name, (what, column) in BENCHMARKS.items():
        for number, row in enumerate(read_csv(HERE / name)):
            speed, ratio = float(row[column]), float(row["first_is_times"])
            lines.append(
                f"| {what if not number else ''} | {INSTEAD.get(row['method'], row['method'])} "
                f"| {speed:,.0f} | {_ratio(ratio) if number else ''} "
                f"| {'' if number else '`' + row['command'] + '`'} |"
            )
    judged = read_csv(HERE / "speed-judging.csv")[0]
    asked, distinct = (int(judged[f"study_{name}"]) for name in ("pairs", "distinct"))
    return "\n".join(lines) + (
        f"\n\nScores of pairs judged together differ by {float(judged['difference']):.1e} at most "
        f"from those one by one. The whole study asks for {asked:,} pairs, {distinct:,} of them "
        "distinct.\n"
    )


def _ratio(times: float) -> str:
    return f"{times:.2f}" if times >= 0.1 else f"1/{1 / times:,.0f}"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{seconds:.1f} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


DOCUMENTS = {
    HERE.parent / "README.md": {"takes": takes},
    HERE.parent / "docs" / "speed.md": {"times": times, "speeds": speeds},
}
"""Document -> its blocks, and what writes each."""


def measured(document: Path) -> str:
    """Return the text of a document with its blocks; UnusableFile where a marker is missing."""
    text = document.read_text(encoding="utf-8")
    for name, block in DOCUMENTS[document].items():
        text = filled(text, name, block(), document)
    return text


if __name__ == "__main__":
    for each in DOCUMENTS:
        write_text(each, measured(each))
