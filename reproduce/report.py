"""The README's block of results, written from the committed tables."""

from collections.abc import Iterable
from pathlib import Path

from reproduce.files import UnusableFile, read_csv, write_text

BEGIN, END = "<!-- results of {name}: begin -->", "<!-- results of {name}: end -->"

Row = dict[str, str]


def refresh(readme: Path, name: str, tables: Path) -> None:
    """Replace the text between the markers of a profile's results by what its tables say.

    Raises UnusableFile where a marker or a table is missing.
    """
    text = readme.read_text(encoding="utf-8")
    begin, end = (mark.format(name=name) for mark in (BEGIN, END))
    if text.count(begin) != 1 or text.count(end) != 1:
        raise UnusableFile(f"{readme}: needs the lines '{begin}' and '{end}' once each")
    before, after = text.split(begin)[0], text.split(end)[1]
    write_text(readme, f"{before}{begin}\n{results(tables)}{end}{after}")


def results(tables: Path) -> str:
    """Return a profile's answer to each claim, its controls and its base model, as Markdown."""
    claims = [row for row in read_csv(tables / "claims.csv") if row["role"] == "primary"]
    lines = ["| claim of the abstract | measured | judged by | verdict |", "|---|---|---|---|"]
    lines += [
        f"| {row['claim']} | {row['comparison']}, {row['measure']}: {_interval(row, 'effect')} "
        f"| {row['judge']} | {row['verdict']} |"
        for row in claims
    ]
    counts = sorted({int(row["n"]) for row in claims})
    seeds = _plural(int(claims[0]["seeds"]), "seed")
    share = float(read_csv(tables / "scores.csv")[0]["confidence"])
    lines += ["", f"{seeds}, {counts[0]} to {counts[-1]} prompts a difference; in brackets "
              f"{share:.0%} intervals."]  # fmt: skip
    return "\n".join([*lines, "", *_controls(tables), *_base(tables)]) + "\n"


def _controls(tables: Path) -> Iterable[str]:
    yield "| ReSet minus a control | instruction following | faithfulness |"
    yield "|---|---|---|"
    for row in read_csv(tables / "controls.csv"):
        differences = (_interval(row, f"{m}_difference") for m in ("instruction", "faithfulness"))
        yield f"| {row['method']} − {row['label']} | {' | '.join(differences)} |"
    yield ""


def _base(tables: Path) -> Iterable[str]:
    found = {row["label"]: row for row in read_csv(tables / "mechanism.csv")}
    shares = {label: row.get("probe:probe-copy", "") for label, row in found.items()}
    if shares.get("Base") and shares.get("IF"):
        yield (
            f"The base model restates the right value of a passage in {float(shares['Base']):.0%} "
            f"of the probes, and after IF tuning in {float(shares['IF']):.0%}."
        )


def _interval(row: Row, name: str) -> str:
    if not row[name]:
        return "–"
    mean, low, high = (float(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]".replace("-", "−")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
