"""Tables with a row an arm: its scores by objective and its change against another arm."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from reproduce.evaluation.results import (
    BASE,
    COVERAGE,
    EXACT_MATCH,
    FAITHFULNESS,
    INSTRUCTION,
    INSTRUCTION_LOOSE,
    INSTRUCTION_STRICT,
    K_PRECISION,
    MAIN,
    MEASURES,
    MTL,
    OBJECTIVES,
    PROMPT_LOOSE,
    PROMPT_STRICT,
    RESET,
    RESET_FULL,
    RESET_S,
    ROUGE_L,
    TASK,
    TOKEN_F1,
    Estimate,
    Measure,
    Results,
    most_dropped,
)
from reproduce.evaluation.tables.render import Table
from reproduce.utils.formatting import numbered, over, percent, span

Row = dict[str, Any]


def note(results: Results, rows: Iterable[Row]) -> str:
    """Return the end of a caption: prompts, seeds, interval, prompts dropped."""
    cells = [(key, c) for row in rows for key, c in row.items() if isinstance(c, Estimate)]
    settings, dropped = results.statistics, most_dropped(cell for _, cell in cells)
    left_out = f" Prompts that lack a score for some seed are left out: at most {dropped} a cell."
    return (
        f"n = {_prompts(cells)}, {numbered(results.seeds)}; in brackets the "
        f"{percent(settings.confidence)} percentile interval of {settings.resamples} bootstrap "
        f"resamples {over(len(results.seeds))}.{left_out if dropped else ''}"
    )


def _prompts(cells: Sequence[tuple[str, Estimate]]) -> str:
    """Return how many prompts are behind a cell, objective by objective where they differ."""
    counts = {
        measure.title: span(c.interval.prompts for key, c in cells if key in _columns(measure))
        for measure in OBJECTIVES
    }
    if len(set(counts.values())) == 1 or "0" in counts.values():
        return f"{span(c.interval.prompts for _, c in cells)} prompts a cell"
    return ", ".join(f"{count} ({title})" for title, count in counts.items()) + " prompts a cell"


def _columns(measure: Measure) -> tuple[str, ...]:
    return tuple(f"{measure.name}{end}" for end in ("", "_change", "_difference"))


def two_stage(results: Results) -> Table:
    """Return the arms of the two pipelines, by data set, and their change against their start."""
    headers = {"label": "Arm", "from": "Starts from"}
    for measure in (INSTRUCTION, FAITHFULNESS):
        names = results.datasets(measure)
        headers |= {f"{measure.name}:{name}": f"{measure.title}: {name}" for name in names}
        headers[measure.name] = f"{measure.title}, mean"
    headers[TASK.name] = f"{TASK.title}, mean"
    headers |= {f"{m.name}_change": f"Δ {m.title}" for m in OBJECTIVES}
    rows = [_two_stage_row(results, key) for key in _of(results, "two-stage")]
    what = "Instruction following (IF), faithfulness and task performance of every stage"
    return Table(
        "two-stage",
        f"{what}; Δ is the paired change against the arm it starts from. {note(results, rows)}",
        headers,
        rows,
    )


def trajectory(results: Results) -> Table:
    """Return scores during training; progress 0 is the final score of the arm it starts from."""
    rows = []
    for key in results.arms:
        start = results.origin(key)
        if results.arms[key].trajectory and start:
            points = [(0.0, start, 1.0), *((p, key, p) for p in results.points(key))]
            for shown, source, progress in points:
                found = {m.name: results.estimate(m, source, progress=progress) for m in OBJECTIVES}
                rows.append({**_names(results, key), "progress": shown, **found})
    headers = {"label": "Arm", "progress": "Share of training"}
    headers |= {m.name: m.title for m in OBJECTIVES}
    what = "Scores on the way through each stage; at 0 the model that it starts from"
    return Table("trajectory", f"{what}. {note(results, rows)}", headers, rows)


def methods(results: Results) -> Table:
    """Return the main arms by objective, and their paired difference to MTL."""
    rows = [
        {
            **_names(results, key),
            **_means(results, key, OBJECTIVES),
            **_minus(results, key, MTL),
        }
        for key in MAIN
    ]
    headers = {"label": "Arm"} | {m.name: m.title for m in OBJECTIVES}
    headers[INSTRUCTION.name] = "IF, rated" if results.rated else "IF"
    headers |= {f"{m.name}_difference": f"Δ {m.title}" for m in OBJECTIVES}
    what = "Specialists, two-stage pipelines, multi-task learning (MTL), ReSet and ReSet-S"
    rated = "the rating of a served judge, from 0 to 1"
    share = "the share of a prompt's instructions that is followed"
    means = f"IF is the mean over data sets of {rated if results.rated else share}"
    caption = f"{what}; Δ is the paired difference to MTL. {means}. {note(results, rows)}"
    return Table("methods", caption, headers, rows)


def other_measures(results: Results) -> Table:
    """Return the main arms by the measures that decide no claim.

    The levels of instruction following are those of IFEval (Zhou et al., 2023): the share of
    prompts whose instructions are all followed, and that of instructions, prompts and data sets
    together; strict, or loose.
    """
    levels = {"instruction_level": INSTRUCTION_STRICT, "instruction_level_loose": INSTRUCTION_LOOSE}
    shown = (PROMPT_STRICT, PROMPT_LOOSE, COVERAGE, K_PRECISION, EXACT_MATCH, TOKEN_F1, ROUGE_L)
    rows = [
        {
            **_names(results, key),
            **{name: followed(results, key, measure) for name, measure in levels.items()},
            **_means(results, key, shown),
        }
        for key in MAIN
    ]
    headers = {"label": "Arm", "instruction_level": "IF, instruction level",
               "instruction_level_loose": "IF, instruction level, loose"}  # fmt: skip
    headers |= {m.name: m.title for m in shown}
    caption = (
        "The main arms by measures that decide no claim. At instruction level all instructions "
        "count alike, at prompt level all of a prompt's are followed (the mean over data sets); "
        "loose: of a response without its first or last line or its marks, too. Coverage and "
        "K-precision: share of a response's words that are the passage's; EM, F1 and ROUGE-L "
        f"compare it with references. {note(results, rows)}"
    )
    return Table("other-measures", caption, headers, rows)


def followed(results: Results, key: str, measure: Measure) -> Estimate | None:
    """Return the share of all instructions that an arm follows; None where there are none."""
    hits, cases = [], []
    for name in results.datasets(measure):
        grid = results.grid(key, name, measure.column)
        count = np.array([len(example.instructions) for example in results.sets[name]], float)
        kept = ~np.isnan(grid).any(axis=0)
        if kept.any():
            hits.append((grid * count)[:, kept])
            cases.append(np.broadcast_to(count, grid.shape)[:, kept])
    return results.ratio(hits, cases)


def data_size(results: Results) -> Table:
    """Return the arms that train on less data, beside the full-size ones of their method."""
    keys = [MTL, RESET, RESET_S, *_of(results, "data-size")]
    keys.sort(key=lambda key: (MAIN.index(method_of(results, key)), -results.examples(key)))
    rows = [
        {
            "method": results.labels[BASE if key == BASE else method_of(results, key)],
            **_names(results, key),
            "examples": results.examples(key) or None,
            **_means(results, key, OBJECTIVES),
        }
        for key in (BASE, *keys)
    ]
    headers = {"method": "Method", "label": "Arm", "examples": "Training examples"}
    headers |= {m.name: m.title for m in OBJECTIVES}
    what = "Scores by the number of training examples (ReSet's come on top of MTL's)"
    caption = f"{what}. {note(results, rows)}"
    return Table("data-size", caption, headers, rows)


def drivers(results: Results) -> Table:
    """Return the variants of ReSet, a part left out or added, and ReSet minus each.

    The rows of the base model and of ReSet have no difference.
    """
    rows = [
        {
            **_names(results, key),
            **_means(results, key, OBJECTIVES),
            **_minus(results, BASE if key == BASE else RESET, key),
        }
        for key in [BASE, RESET, *_of(results, "drivers")]
    ]
    headers = {"label": "Arm", **{m.name: m.title for m in OBJECTIVES}}
    headers |= {f"{m.name}_difference": f"Δ {m.title}" for m in OBJECTIVES}
    what = (
        "What drives ReSet: one strategy alone, one judge left out, one of the two things that "
        "ReSet-S adds, or the epochs and the learning rate of MTL (full tuning) in place of the "
        "short continuation (ReSet-S in full tuning differs in all three); Δ is ReSet minus the "
        "arm, paired"
    )
    return Table("drivers", f"{what}. {note(results, rows)}", headers, rows)


def controls(results: Results) -> Table:
    """Return the controls, and the paired difference of ReSet (or ReSet-S) minus each.

    The first row is the base model, without a difference.
    """
    rows = [
        {
            **_names(results, BASE),
            "method": None,
            **_means(results, BASE, OBJECTIVES),
            **_minus(results, BASE, BASE),
        }
    ]
    for key in _of(results, "controls"):
        method = _controlled(results, key)
        differences = _minus(results, method, key)
        names = {**_names(results, key), "method": results.labels[method]}
        rows.append({**names, **_means(results, key, OBJECTIVES), **differences})
    headers = {"label": "Control", "method": "Method"} | {m.name: m.title for m in OBJECTIVES}
    headers |= {f"{m.name}_difference": f"Δ {m.title}" for m in OBJECTIVES}
    what = (
        "MTL trained further without the judges' choice, on as many examples as the method, those "
        "that go on with MTL's data on all of it; Δ is the method minus the control, paired"
    )
    return Table("controls", f"{what}. {note(results, rows)}", headers, rows)


def scores(results: Results) -> list[Row]:
    """Return the long table of all scores, a row a measure and data set; "mean" is the macro."""
    rows = []
    for key in results.arms:
        for progress in results.points(key):
            for measure in MEASURES if progress == 1.0 else OBJECTIVES:
                for name in [*results.datasets(measure), "mean"]:
                    wanted = None if name == "mean" else [name]
                    found = results.estimate(measure, key, progress=progress, datasets=wanted)
                    rows += [_long(results, key, progress, name, measure, found)] if found else []
    return rows


def method_of(results: Results, key: str) -> str:
    """Return which of ReSet and ReSet-S selects from as many candidates as an arm; else MTL.

    `refuse_incomplete` has seen to it that there is no third share.
    """
    selection = results.arms[key].select
    if selection is None:
        return MTL
    full = results.arms[RESET].select
    return RESET if full and selection.candidates == full.candidates else RESET_S


def _controlled(results: Results, key: str) -> str:
    """Return the method that a control is for: with as many candidates, and tuned as long."""
    if not results.arms[key].continues:
        return RESET_FULL
    method = method_of(results, key)
    return RESET if method == MTL else method


def _two_stage_row(results: Results, key: str) -> Row:
    start = results.origin(key)
    row = {**_names(results, key), "from": results.labels[start] if start else None}
    for measure in (INSTRUCTION, FAITHFULNESS):
        for name in results.datasets(measure):
            found = results.estimate(measure, key, datasets=[name])
            row[f"{measure.name}:{name}"] = found.interval.mean if found else None
        row[measure.name] = results.estimate(measure, key)
    row[TASK.name] = results.estimate(TASK, key)
    for measure in OBJECTIVES:
        change = results.estimate(measure, key, against=start) if start else None
        row[f"{measure.name}_change"] = change
    return row


def _names(results: Results, key: str) -> Row:
    experiment, arm = key.split("/")
    return {"experiment": experiment, "arm": arm, "label": results.labels[key]}


def _means(results: Results, key: str, measures: Sequence[Measure]) -> Row:
    return {measure.name: results.estimate(measure, key) for measure in measures}


def _minus(results: Results, key: str, other: str) -> Row:
    """Return the paired differences of one arm minus another; None of an arm to itself."""
    return {
        f"{m.name}_difference": None if key == other else results.estimate(m, key, against=other)
        for m in OBJECTIVES
    }


def _of(results: Results, experiment: str) -> list[str]:
    return [key for key in results.arms if key.startswith(f"{experiment}/")]


def _long(
    results: Results, key: str, progress: float, dataset: str, measure: Measure, found: Estimate
) -> Row:
    names = {**_names(results, key), "progress": progress, "dataset": dataset}
    facts = {"dropped": found.dropped, "confidence": results.statistics.confidence}
    return {**names, "measure": measure.name, **vars(found.interval), **facts}
