"""The README's blocks of results and costs, written from the committed tables."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from reproduce.config import BY_ENTAILMENT, Arm, by_key, load_claims, load_experiments, load_params
from reproduce.utils.files import UnusableFile, read_csv, read_filled, write_text
from reproduce.utils.formatting import interval, over, percent, plural, span
from reproduce.utils.progress import spoken
from reproduce.utils.stage_log import BETWEEN, CALIBRATION, Expected, expected_of
from reproduce.utils.stages import FIRST, SAMPLED, SAMPLING
from reproduce.verify import KEY, read_expectations

MARK = "<!-- {name}: {end} -->"
"""What stands around a block of text that is written by a program."""

Row = Mapping[str, str]

COPYING = "probe:probe-copy"
"""Column of the probe that is plain text."""

LOOK = ("two-stage/base", "methods/MTL")
"""Arms that show in the shortest time what tuning does."""

CLAIM = ("role", "claim", "of", "minus", "measure", "judge", "base", "effect", "verdict", "n",
         "seeds")  # fmt: skip
"""Columns of a table of claims that README and report cannot do without."""


def refresh(readme: Path, folder: Path) -> None:
    """Replace the blocks between a profile's markers by what its tables say.

    `folder` is the profile's. It has a block of results; one of costs, and one of what came out
    on other machines, are filled where they have markers. Raises UnusableFile where the file, the
    markers of the results or a table is missing.
    """
    if not readme.is_file():
        raise UnusableFile(f"{readme}: missing; name the file with the markers by --path")
    profile = load_params(folder / "params.yaml").profile
    text = readme.read_text(encoding="utf-8")
    for what, block in BLOCKS.items():
        name = f"{what} of {profile}"
        if block is results or MARK.format(name=name, end="begin") in text:
            text = filled(text, name, block(folder), readme)
    write_text(readme, text)


def filled(text: str, name: str, block: str, source: Path) -> str:
    """Return the text of `source` with `block` between the markers of `name`.

    Raises UnusableFile where they are missing or the wrong way round.
    """
    begin, end = (MARK.format(name=name, end=end) for end in ("begin", "end"))
    before, first, rest = text.partition(begin)
    _, second, after = rest.partition(end)
    if not first or not second:
        raise UnusableFile(f"{source}: needs a line '{begin}' and then a line '{end}'")
    return f"{before}{begin}\n{block}{end}{after}"


def results(folder: Path) -> str:
    """Return the answer of the profile in `folder` to each claim, and its controls, as Markdown."""
    tables, rows = folder / "paper" / "tables", deciding(folder)
    lines = ["| claim | measured | without tuning | verdict |", "|---|---|---|---|"]
    lines += [
        f"| {row['claim']} | {row['comparison']}, {_lower(row['measure'])}: "
        f"{interval(row, 'effect')} | {interval(row, 'base', sign=False)} | {row['verdict']} |"
        for row in rows
    ]
    experiments = load_experiments(folder / "experiments.yaml")
    params = load_params(folder / "params.yaml")
    smallest = load_claims(folder / params.claims, experiments).smallest_effect
    lines += ["", _scale(tables, rows, smallest), "", *_controls(tables), *_base(tables)]
    return "\n".join(lines) + "\n"


def costs(folder: Path) -> str:
    """Return what the study of a profile takes, and each claim of it alone, as Markdown."""
    arms = by_key(load_experiments(folder / "experiments.yaml"))
    taken = expected_of(folder / "timings.csv")
    lines = ["| claim | in the profile's folder | time, largest process |", "|---|---|---|"]
    lines += [
        f"| {row['claim']}: {row['comparison']} | `{_look(row['of'], row['minus'])}` "
        f"| {_cost((row['of'], row['minus']), arms, taken)} |"
        for row in deciding(folder)
    ]
    lines += [f"| a short look | `{_look(*LOOK)}` | {_cost(LOOK, arms, taken)} |"]
    return "\n".join([*lines, "", *_whole(folder, taken)]) + "\n"


def elsewhere(folder: Path) -> str:
    """Return what came out on machines where the bytes were others, a column each, as Markdown."""
    expected = folder / "paper" / "expected.json"
    known = read_expectations(expected) if expected.is_file() else {}
    machines = known.get("elsewhere", [])
    if not machines:
        return ""
    here = " and ".join(_machine(each) for each in known["environments"])
    names = [_machine(each["environment"]) for each in machines]
    lines = [f"| compared | {here} | {' | '.join(names)} |", f"|---|---{'|---' * len(names)}|"]
    found = [{_name(row): row for row in each["claims"]} for each in machines]
    for row in deciding(folder):
        cells = [
            f"{interval(x, 'effect')} {x['verdict']}" if x else "–"
            for x in (row, *(rows.get(_name(row)) for rows in found))
        ]
        lines.append(f"| {row['comparison']}, {_lower(row['measure'])} | {' | '.join(cells)} |")
    counts = [f"{each['agree']} of {each['compared']}" for each in machines]
    return "\n".join([*lines, "", (
        "Of all comparisons that were made there, those shown beside the claims included, "
        f"{' and '.join(counts)} agree with those here: the same verdict, and an effect inside the "
        "interval."
    ), ""])  # fmt: skip


BLOCKS = {"results": results, "costs": costs, "elsewhere": elsewhere}
"""What a block of a profile is called -> what writes it."""


def needed(names: Iterable[str], arms: Mapping[str, Arm]) -> set[str]:
    """Return the stages that arms ("experiment/arm") cannot do without, themselves included."""
    found = set(FIRST)
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in found or name not in arms:
            continue
        found.add(name)
        pending.append(arms[name].start)
        if arms[name].reads == "scores":
            found |= set(SAMPLING)
            pending.append(SAMPLED)
    return found


def deciding(folder: Path) -> list[Row]:
    """Return the rows of a profile's table of claims that decide."""
    rows = read_filled(folder / "paper" / "tables" / "claims.csv", CLAIM)
    return [row for row in rows if row["role"] == "primary"]


def _lower(measure: str) -> str:
    return measure[:1].lower() + measure[1:]


def _scale(tables: Path, rows: Sequence[Row], smallest: float) -> str:
    seeds = int(rows[0]["seeds"])
    level = percent(float(read_filled(tables / "study.csv", ("confidence",))[0]["confidence"]))
    signed = any(name in row["judge"] for row in rows for name in BY_ENTAILMENT)
    ranges = (
        "faithfulness runs from −1, contradicted, to 1, entailed; all else from 0 to 1; for the "
        "mean of both it is put on 0 to 1" if signed else "all run from 0 to 1"
    )  # fmt: skip
    return (
        f"{plural(seeds, 'seed')}, {span(int(row['n']) for row in rows)} prompts a difference; in "
        f"brackets {level} intervals {over(seeds)}. An effect below {percent(smallest)} of a "
        f"measure's range does not count ({ranges}). Supported: the effect "
        "counts and its whole interval is on the claimed side of 0. Not supported: the interval "
        "rules out an effect on that side that counts. Undecided: neither (bounds have more digits "
        "than are shown). Without tuning: the measure as the base model has it."
    )


def _look(*arms: str) -> str:
    return f"dvc repro {' '.join(arm.replace('/', '@') for arm in arms)}; reproduce summary"


def _cost(names: Iterable[str], arms: Mapping[str, Arm], taken: Mapping[str, Expected]) -> str:
    stages = needed(names, arms)
    if not stages <= set(taken):
        return "–"
    memory = max(taken[stage].memory_mb for stage in stages)
    return spoken(_seconds(stages, taken)) + (f", {memory / 1000:.1f} GB" if memory else "")


def _seconds(stages: Collection[str], taken: Mapping[str, Expected]) -> float:
    """Return the seconds of stages, and of what passes between one and the next."""
    between = taken[BETWEEN].seconds if BETWEEN in taken else 0
    return sum(taken[stage].seconds + between for stage in stages)


def _name(row: Row) -> tuple[str, ...]:
    return tuple(row[part] for part in KEY)


def _machine(environment: Row) -> str:
    # What keeps a processor from its wider instructions is said by several variables alike.
    limits = environment.get("limited by", "").split()[:1]
    return ", ".join([environment.get("processor", "?"), *limits])


def _whole(folder: Path, taken: Mapping[str, Expected]) -> Iterable[str]:
    stages = [name for name in taken if name not in (BETWEEN, CALIBRATION)]
    if not stages or BETWEEN not in taken:
        return
    whole = _seconds(stages, taken)
    share = taken[BETWEEN].seconds * len(stages) / whole
    memory = max(taken[stage].memory_mb for stage in stages) / 1000
    profile = load_params(folder / "params.yaml").profile
    yield (
        f"All {len(stages)} stages of the profile `{profile}` take {spoken(whole)}, of which "
        f"{share:.0%} pass between them; the largest process needs {memory:.1f} GB "
        "(`timings.csv` of the profile has each)."
    )


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
        "Random choice: candidates drawn at random from those that were not cut off, so that "
        "prompts with more of these are there more often. Shuffled rewards: the judges' rewards, "
        "dealt out at random. Gold responses: the data sets' reference responses in place "
        "of the model's. (S): as many examples as ReSet-S. Full tuning: the epochs and the "
        "learning rate of MTL, where ReSet has one epoch at a lower rate. The rows of MTL have all "
        "of MTL's examples again, more than ReSet's; the others have as many as the method."
    )
    yield ""


def _base(tables: Path) -> Iterable[str]:
    """Yield what tuning does to reading plain text, where the study has a probe of that."""
    table = tables / "mechanism.csv"
    found = {row["arm"]: row for row in (read_csv(table) if table.is_file() else [])}
    if not any(row.get(COPYING) for row in found.values()):
        return
    if missing := {"base", "IF"} - set(found):
        raise UnusableFile(f"{table}: has no row of the arm {min(missing)}; run `dvc repro tables`")
    untuned, tuned = (interval(found[arm], COPYING, sign=False) for arm in ("base", "IF"))
    yield (
        "Given a passage and the beginning of one of its statements as plain text, the form of "
        "pretraining and of no training set, the model without tuning goes on with the right "
        f"value in a share of {untuned}, after IF tuning of {tuned} "
        f"(n = {found['IF'][f'{COPYING}_prompts']} prompts; `mechanism.md`)."
    )
