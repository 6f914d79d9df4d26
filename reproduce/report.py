"""The README's block of results, written from the committed tables."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reproduce.config import Arm, Claims, Difference, load_claims, load_experiments, load_params
from reproduce.files import UnusableFile, read_csv, write_text
from reproduce.progress import spoken

BEGIN, END = "<!-- results of {name}: begin -->", "<!-- results of {name}: end -->"

Row = dict[str, str]
Arms = dict[str, Arm]


def refresh(readme: Path, folder: Path) -> None:
    """Replace the text between the markers of a profile's results by what its tables say.

    `folder` is the profile's. Raises UnusableFile where a marker or a table is missing.
    """
    name = load_params(folder / "params.yaml").profile
    text = readme.read_text(encoding="utf-8")
    begin, end = (mark.format(name=name) for mark in (BEGIN, END))
    if text.count(begin) != 1 or text.count(end) != 1:
        raise UnusableFile(f"{readme}: needs the lines '{begin}' and '{end}' once each")
    before, after = text.split(begin)[0], text.split(end)[1]
    write_text(readme, f"{before}{begin}\n{results(folder)}{end}{after}")


def results(folder: Path) -> str:
    """Return the answer of the profile in `folder` to each claim, and its controls, as Markdown."""
    tables = folder / "paper" / "tables"
    rows = [row for row in read_csv(tables / "claims.csv") if row["role"] == "primary"]
    experiments = load_experiments(folder / "experiments.yaml")
    asked = load_claims(folder / load_params(folder / "params.yaml").claims, experiments)
    arms = {f"{e}/{a}": arm for e, found in experiments.items() for a, arm in found.items()}
    costs = {row["stage"]: row for row in read_csv(folder / "timings.csv")}
    lines = [
        "| claim of the abstract | measured | verdict | to repeat it alone | takes |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['claim']} | {row['comparison']}, {row['measure']}: {interval(row, 'effect')} "
        f"| {row['verdict']} | `{_command(asked, place)}` | {_cost(asked, place, arms, costs)} |"
        for place, row in enumerate(rows)
    ]
    lines += ["", _scale(tables, rows, asked), "", *_controls(tables), *_base(tables)]
    return "\n".join(lines) + "\n"


def _scale(tables: Path, rows: Sequence[Mapping[str, str]], asked: Claims) -> str:
    counts = sorted({int(row["n"]) for row in rows})
    seeds = plural(int(rows[0]["seeds"]), "seed")
    share = float(read_csv(tables / "scores.csv")[0]["confidence"])
    return (
        f"{seeds}, {counts[0]} to {counts[-1]} prompts a difference; in brackets {share:.0%} "
        f"intervals; an effect below {asked.smallest_effect:.0%} of a measure's range does not "
        "count (faithfulness runs from −1, contradicted, to 1, entailed; all else from 0 to 1)."
    )


def needed(names: Iterable[str], arms: Mapping[str, Arm]) -> set[str]:
    """Return the stages that arms ("experiment/arm") cannot do without, themselves included."""
    found: set[str] = {"data", "entailment", "base"}
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in found or name not in arms:
            continue
        found.add(name)
        pending.append(arms[name].start)
        if arms[name].reads == "scores":
            found |= {"candidates", "score"}
            pending.append("methods/MTL")
    return found


def _difference(asked: Claims, place: int) -> Difference:
    return [each for claim in asked.claims for each in claim.decided_by][place]


def _command(asked: Claims, place: int) -> str:
    found = _difference(asked, place)
    targets = " ".join(key.replace("/", "@") for key in (found.arm, found.against))
    return f"dvc repro {targets}; reproduce summary"


def _cost(asked: Claims, place: int, arms: Arms, costs: Mapping[str, Row]) -> str:
    found = _difference(asked, place)
    stages = needed((found.arm, found.against), arms)
    if not stages <= set(costs):
        return "–"
    seconds = sum(float(costs[stage]["seconds"]) for stage in stages)
    memory = [float(costs[stage].get("memory_mb") or 0) for stage in stages]
    return spoken(seconds) + (f", {max(memory) / 1000:.1f} GB" if max(memory) else "")


def _controls(tables: Path) -> Iterable[str]:
    yield "| ReSet minus a control | instruction following | faithfulness |"
    yield "|---|---|---|"
    for row in read_csv(tables / "controls.csv"):
        differences = (interval(row, f"{m}_difference") for m in ("instruction", "faithfulness"))
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


def interval(row: Mapping[str, str], name: str, signed: bool = True) -> str:
    """Return a mean with its interval as text, "–" where the row has none."""
    if not row[name]:
        return "–"
    mean, low, high = (float(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    form = "+.3f" if signed else ".3f"
    return f"{mean:{form}} [{low:{form}}, {high:{form}}]".replace("-", "−")


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: "1 seed", "3 seeds"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
