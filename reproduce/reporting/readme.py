"""The README's blocks of claims, scores and costs, written from the published tables."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from reproduce.config import PRETRAINED, Arms
from reproduce.evaluation.claims import primary_claims, verdict_meanings
from reproduce.evaluation.formatting import interval, over, percent, plural, short, span
from reproduce.study import Study, load_study
from reproduce.utils.files import UnusableFile, read_csv, write_text
from reproduce.utils.stage_log import (
    PREPARING,
    Expected,
    format_duration,
    read_timings,
    sampling_stages,
)

BLOCK = re.compile(
    r"(<!-- (claims|scores|costs) of ([\w-]+): begin -->\n).*?(<!-- \2 of \3: end -->)", re.DOTALL
)
"""A block of generated text: its markers, what it shows, and of which profile."""


def update_readme(root: Path) -> None:
    """Rewrite the blocks between the markers of the README of the repository `root`."""
    readme = root / "README.md"
    write_text(readme, updated(readme.read_text(encoding="utf-8"), published_studies(root)))


def updated(text: str, studies: Iterable[Study]) -> str:
    """Return `text` with its blocks rewritten; UnusableFile where a profile is not published."""
    profiles = {study.params.profile: study for study in studies}

    def block(match: re.Match[str]) -> str:
        begin, kind, profile, end = match.groups()
        if profile not in profiles:
            raise UnusableFile(f"README.md: '{kind} of {profile}', but {profile} has no tables")
        write = {"claims": claims, "scores": scores, "costs": costs}[kind]
        return f"{begin}{write(profiles[profile])}{end}"

    return BLOCK.sub(block, text)


def published_studies(root: Path) -> list[Study]:
    """Return the profiles of the repository `root` with published tables, the root's own first."""
    folders = [root, *sorted((root / "profiles").glob("*"))]
    return [load_study(folder) for folder in folders if (folder / "paper" / "tables").is_dir()]


def claims(study: Study) -> str:
    """Return a row per claim of the paper: what was compared, the effects and verdicts."""
    tables = study.paper / "tables"
    lines = ["| claim of the paper | compared | in | effect | verdict |", "|---|---|---|---|---|"]
    by_claim: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in primary_claims(tables):
        row |= {"effect": interval(row, "effect"), "measure": row["measure"].partition(" of ")[0]}
        by_claim[row["claim"]].append(row)
    for claim, rows in by_claim.items():
        # A cell has a line per comparison; lines that do not wrap stay next to each other.
        cells = ["<br>".join(row[name].replace(" ", "\u00a0") for row in rows)
                 for name in ("comparison", "measure", "effect", "verdict")]  # fmt: skip
        lines.append(f"| {claim} | {' | '.join(cells)} |")
    note = (
        f"Mean: of instruction following and faithfulness. In brackets: {intervals(tables)}. "
        f"{verdict_key(study)}"
    )
    return "\n".join([*lines, "", note, ""])


def verdict_key(study: Study) -> str:
    """Return what each verdict means."""
    return verdict_meanings(study.claims.minimum_effect, study.params.statistics.confidence)


def scores(study: Study) -> str:
    """Return the mean scores of each main arm."""
    names = {"instruction": "instruction following", "faithfulness": "faithfulness",
             "task": "task", "joint_success": "both at once"}  # fmt: skip
    lines = [f"| model | {' | '.join(names.values())} |", f"|---|{'--:|' * len(names)}"]
    for row in read_csv(study.paper / "tables" / "methods.csv"):
        cells = [short(float(row[name])) if row[name] else "–" for name in names]
        lines.append(f"| {row['label']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def costs(study: Study) -> str:
    """Return what the whole study takes, and each claim by itself, as Markdown."""
    timings = read_timings(study.folder)
    lines = ["| claim | command | time, largest process |", "|---|---|---|"]
    for claim in study.claims.claims.values():
        names = list(dict.fromkeys(a for d in claim.primary for a in (d.arm, d.against)))
        stages = needed_stages(names, study.arms)
        command = f"dvc repro {' '.join(f'arm@{name}' for name in names)} && reproduce summary"
        cost = _cost([timings[stage] for stage in stages]) if stages <= set(timings) else "–"
        lines.append(f"| {claim.claim} | `{command}` | {cost} |")
    if timings:
        whole = f"All {len(timings)} stages | `dvc repro` | {_cost(timings.values())}"
        lines.append(f"| {whole} |")
    return "\n".join(lines) + "\n"


def needed_stages(names: Iterable[str], arms: Arms) -> set[str]:
    """Return the stages that arms need, those of the arms themselves included."""
    stages, pending = set(PREPARING), list(names)
    while pending:
        name = pending.pop()
        if name != PRETRAINED and name not in stages:
            stages |= {name, *sampling_stages(arms[name])}
            pending += [arms[name].start, *filter(None, [arms[name].made_from])]
    return stages


def intervals(tables: Path) -> str:
    """Return the kind of the claims' intervals, and the seeds and prompts behind them."""
    claims = primary_claims(tables)
    level = float(read_csv(tables / "study.csv")[0]["confidence"])
    seeds, prompts = int(claims[0]["seeds"]), span(int(row["n"]) for row in claims)
    return (
        f"{percent(level)} intervals {over(seeds)}; {plural(seeds, 'seed')}, {prompts} "
        "prompts per difference"
    )


def _cost(stages: Iterable[Expected]) -> str:
    expected = list(stages)
    seconds = sum(stage.seconds for stage in expected)
    memory = max(stage.memory_mb for stage in expected)
    return format_duration(seconds) + (f", {memory / 1000:.1f} GB" if memory else "")
