"""The README's block of results, written from the committed tables."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reproduce.config import Arm, by_key, load_claims, load_experiments, load_params
from reproduce.files import UnusableFile, read_csv, read_filled, write_text
from reproduce.progress import spoken
from reproduce.timings import BETWEEN, CALIBRATION
from reproduce.verify import KEY, read_expectations
from reproduce.wording import interval, over, percent, plural, span

BEGIN, END = "<!-- results of {name}: begin -->", "<!-- results of {name}: end -->"

Row = Mapping[str, str]

LOOK = ("two-stage/base", "methods/MTL")
"""Arms that show in the shortest time what tuning does."""

CLAIM = ("role", "claim", "of", "minus", "measure", "base", "effect", "verdict", "n", "seeds")
"""Columns of a table of claims that README and report cannot do without."""


def refresh(readme: Path, folder: Path) -> None:
    """Replace the text between the markers of a profile's results by what its tables say.

    `folder` is the profile's. Raises UnusableFile where the file, a marker or a table is missing.
    """
    name = load_params(folder / "params.yaml").profile
    begin, end = (mark.format(name=name) for mark in (BEGIN, END))
    if not readme.is_file():
        raise UnusableFile(f"{readme}: missing; name the file with the markers by --path")
    before, first, rest = readme.read_text(encoding="utf-8").partition(begin)
    _, second, after = rest.partition(end)
    if not first or not second:
        raise UnusableFile(f"{readme}: needs a line '{begin}' and then a line '{end}'")
    write_text(readme, f"{before}{begin}\n{results(folder)}{end}{after}")


def results(folder: Path) -> str:
    """Return the answer of the profile in `folder` to each claim, and its controls, as Markdown."""
    tables = folder / "paper" / "tables"
    rows = [row for row in read_filled(tables / "claims.csv", CLAIM) if row["role"] == "primary"]
    params = load_params(folder / "params.yaml")
    experiments = load_experiments(folder / "experiments.yaml")
    arms = by_key(experiments)
    timings = folder / "timings.csv"
    costs = {row["stage"]: row for row in read_csv(timings)} if timings.is_file() else {}
    lines = [
        "| claim | measured | without tuning | verdict "
        "| to repeat it alone, in the profile's folder | time, largest process |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['claim']} | {row['comparison']}, {row['measure']}: {interval(row, 'effect')} "
        f"| {interval(row, 'base', sign=False)} | {row['verdict']} "
        f"| `{_command(row)}` | {_cost(row, arms, costs)} |"
        for row in rows
    ]
    smallest = load_claims(folder / params.claims, experiments).smallest_effect
    lines += ["", _scale(tables, rows, smallest), ""]
    lines += [*_elsewhere(folder / "paper" / "expected.json", rows), *_whole(arms, costs)]
    lines += [*_controls(tables), *_base(tables)]
    return "\n".join(lines) + "\n"


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


def _scale(tables: Path, rows: Sequence[Row], smallest: float) -> str:
    seeds = int(rows[0]["seeds"])
    level = percent(float(read_filled(tables / "scores.csv", ("confidence",))[0]["confidence"]))
    return (
        f"{plural(seeds, 'seed')}, {span(int(row['n']) for row in rows)} prompts a difference; in "
        f"brackets {level} intervals {over(seeds)}. An effect below {percent(smallest)} of a "
        "measure's range does not count (faithfulness runs from −1, contradicted, to 1, entailed; "
        "all else from 0 to 1; for the mean of both it is put on 0 to 1). Supported: the effect "
        "counts and its whole interval is on the claimed side of 0. Not supported: the interval "
        "rules out an effect that counts. Undecided: neither. Without tuning: the measure as the "
        "base model has it."
    )


def _command(row: Row) -> str:
    return _look(row["of"], row["minus"])


def _look(*arms: str) -> str:
    return f"dvc repro {' '.join(arm.replace('/', '@') for arm in arms)}; reproduce summary"


def _cost(row: Row, arms: Mapping[str, Arm], costs: Mapping[str, Row]) -> str:
    stages = needed((row["of"], row["minus"]), arms)
    if not stages <= set(costs):
        return "–"
    between = float(costs.get(BETWEEN, {}).get("seconds", 0))
    seconds = sum(float(costs[stage]["seconds"]) + between for stage in stages)
    memory = [float(costs[stage].get("memory_mb") or 0) for stage in stages]
    return spoken(seconds) + (f", {max(memory) / 1000:.1f} GB" if max(memory) else "")


def _elsewhere(expected: Path, rows: Sequence[Row]) -> Iterable[str]:
    """Yield what came out on machines where the bytes were others, a column each."""
    known = read_expectations(expected) if expected.is_file() else {}
    machines = known.get("elsewhere", [])
    if not machines:
        return
    here = " and ".join(_machine(each) for each in known["environments"])
    yield (
        f"This came out on {here}. Other processors round otherwise, and other base models come "
        "out of the same pretraining. The same claims there:"
    )
    names = [_machine(each["environment"]) for each in machines]
    yield f"\n| compared | {' | '.join(names)} |\n|---{'|---' * len(names)}|"
    found = [{_name(row): row for row in each["claims"]} for each in machines]
    for name, row in ((_name(row), row) for row in rows):
        cells = [f"{interval(x[name], 'effect')} {x[name]['verdict']}" if name in x else "–"
                 for x in found]  # fmt: skip
        yield f"| {row['comparison']}, {row['measure']} | {' | '.join(cells)} |"
    counts = [f"{each['agree']} of {each['compared']}" for each in machines]
    yield (
        "\nOf all comparisons that were made there, those shown beside the claims included, "
        f"{' and '.join(counts)} agree with those here: the same verdict, and an effect inside the "
        "interval.\n"
    )


def _name(row: Row) -> tuple[str, ...]:
    return tuple(row[part] for part in KEY)


def _machine(environment: Row) -> str:
    # What keeps a processor from its wider instructions is said by several variables alike.
    limits = environment.get("limited by", "").split()[:1]
    return ", ".join([environment.get("processor", "?"), *limits])


def _whole(arms: Mapping[str, Arm], costs: Mapping[str, Row]) -> Iterable[str]:
    stages = {name: row for name, row in costs.items() if name not in (BETWEEN, CALIBRATION)}
    if not stages or BETWEEN not in costs:
        return
    between = float(costs[BETWEEN]["seconds"])
    whole = sum(float(row["seconds"]) + between for row in stages.values())
    memory = max(float(row["memory_mb"] or 0) for row in stages.values()) / 1000
    short = sum(float(costs[stage]["seconds"]) + between for stage in needed(LOOK, arms))
    share = between * len(stages) / whole
    yield (
        f"Its {len(stages)} stages take {spoken(whole)}, of which {share:.0%} "
        f"pass between them; the largest process needs {memory:.1f} GB (`timings.csv` of the "
        f"profile has each). A short look, `{_look(*LOOK)}`, takes {spoken(short)}."
    )
    yield ""


def compared_controls(tables: Path) -> list[dict[str, str]]:
    """Return the controls that a method is compared with: the table's rows but the base model."""
    found = read_filled(tables / "controls.csv", ("method", "label"))
    return [row for row in found if row["method"]]


def _controls(tables: Path) -> Iterable[str]:
    yield "| ReSet minus a control | instruction following | faithfulness |"
    yield "|---|---|---|"
    for row in compared_controls(tables):
        differences = (interval(row, f"{m}_difference") for m in ("instruction", "faithfulness"))
        yield f"| {row['method']} − {row['label']} | {' | '.join(differences)} |"
    yield ""
    yield (
        "Random choice: any candidate of a prompt. Shuffled rewards: the judges' rewards, dealt "
        "out at random. Gold responses: the data sets' reference responses to the same prompts. "
        "(S): as many examples as ReSet-S. Full tuning: the epochs and the learning rate of MTL in "
        "place of the short continuation. The rows of MTL have all of MTL's examples again, more "
        "than ReSet's; the others have as many as the method."
    )
    yield ""


def _base(tables: Path) -> Iterable[str]:
    found = {row["label"]: row for row in read_csv(tables / "mechanism.csv")}
    shares = {label: row.get("probe:probe-copy", "") for label, row in found.items()}
    if shares.get("Base") and shares.get("IF"):
        said = {label: interval(found[label], "probe:probe-copy", sign=False) for label in shares}
        yield (
            "Given a passage and the beginning of one of its statements as plain text, the form of "
            "pretraining and of no training set, the model without tuning goes on with the right "
            f"value in a share of {said['Base']}, after IF tuning of {said['IF']} "
            f"(n = {found['IF']['probe:probe-copy_prompts']} prompts; `mechanism.md`)."
        )
