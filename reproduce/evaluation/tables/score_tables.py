"""Tables with one row per arm: scores by objective, and paired differences to another arm."""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from reproduce.config import Arms
from reproduce.evaluation.results import (
    BASE,
    BOTH,
    FAITHFUL_ANSWER,
    FAITHFULNESS,
    INSTRUCTION,
    JOINT_SUCCESS,
    MAIN_ARMS,
    METRICS,
    MTL,
    MTL_AGAIN,
    OBJECTIVES,
    RESET,
    RESET_S,
    TASK,
    TRAINING_CURVE_ARMS,
    Estimate,
    Results,
)
from reproduce.evaluation.tables.render import Table, TableRow, note_on_intervals
from reproduce.judges.text import SPLITTER_NOTE

TITLES = {metric.name: metric.title for metric in OBJECTIVES}
COMPARED = (INSTRUCTION, FAITHFULNESS, TASK, JOINT_SUCCESS, BOTH)
"""What an arm is compared with another in."""
DIFFERENCES = {f"{metric.name}_difference": f"Δ {metric.title}" for metric in COMPARED}
GAIN, NOTE_ON_GAIN = "Gain", "Gain: mean of both, minus MTL again at equal steps, paired."
LISTED_METRICS = [metric for name, metric in METRICS.items() if name != "states_answer"]
"""What scores.csv has of the end of training."""
SECONDARY = [METRICS[name] for name in (
    "faithful_answer", "prompt_strict", "prompt_loose", "coverage", "k_precision", "exact_match",
    "token_f1", "rouge_l",
)]  # fmt: skip


def two_stage(results: Results) -> Table:
    """Return the arms of two-stage fine-tuning by data set, and their change from their start."""
    headers = {"label": "Arm", "from": "Starts from"}
    for metric in (INSTRUCTION, FAITHFULNESS):
        for name in results.datasets(metric):
            headers[f"{metric.name}:{name}"] = f"{metric.title}: {name}"
        headers[metric.name] = f"{metric.title}, mean"
    headers[TASK.name] = f"{TASK.title}, mean"
    headers |= {f"{metric.name}_change": f"Δ {metric.title}" for metric in OBJECTIVES}
    rows: list[TableRow] = []
    for arm in results.arms_of("two-stage"):
        start = results.start_arm(arm)
        row: TableRow = {**results.names(arm), "from": results.labels[start] if start else None}
        for metric in (INSTRUCTION, FAITHFULNESS):
            for name in results.datasets(metric):
                estimate = results.estimate(metric, arm, datasets=[name])
                row[f"{metric.name}:{name}"] = estimate.interval.mean if estimate else None
            row[metric.name] = results.estimate(metric, arm)
        row[TASK.name] = results.estimate(TASK, arm)
        for metric in OBJECTIVES:
            change = results.estimate(metric, arm, against=start) if start else None
            row[f"{metric.name}_change"] = change
        rows.append(row)
    return Table(
        "two-stage", rows, headers, "Two-stage fine-tuning",
        "Instruction following (IF), faithfulness and task performance after every stage.",
        ("Δ: paired change from the arm that it starts from.", note_on_intervals(results, rows)),
    )  # fmt: skip


def training_curve(results: Results) -> Table:
    """Return scores during training; at train_fraction 0 those of the arm that it starts from."""
    rows: list[TableRow] = []
    for arm in TRAINING_CURVE_ARMS:
        points = [(fraction, arm, fraction) for fraction in results.train_fractions(arm)]
        for shown, source, fraction in [(0.0, results.start_arm(arm) or BASE, 1.0), *points]:
            scores = {m.name: results.estimate(m, source, None, fraction) for m in OBJECTIVES}
            rows.append({**results.names(arm), "train_fraction": shown, **scores})
    return Table(
        "training-curve", rows, {"label": "Arm", "train_fraction": "Share of training", **TITLES},
        "Training curve",
        "Scores during each stage of fine-tuning; at 0 those of the model that it starts from.",
        (note_on_intervals(results, rows),),
    )  # fmt: skip


def methods(results: Results) -> Table:
    """Return the main arms by objective, and their paired difference to MTL."""
    rows = [_row(results, arm, (arm, MTL)) for arm in MAIN_ARMS]
    headers = {"label": "Arm", **TITLES, JOINT_SUCCESS.name: JOINT_SUCCESS.title, **DIFFERENCES}
    meaning = "the share of a prompt's instructions that is followed"
    if results.has_ratings:
        headers[INSTRUCTION.name] = "IF, rated"
        meaning = "the rating of the LLM judge, scaled to 0 to 1"
    return Table(
        "methods", rows, headers, "Main results",
        "Specialists, two-stage fine-tuning, multi-task learning (MTL), ReSet and ReSet-S.",
        (f"Scores are means over data sets. IF: {meaning}. Both at once: share of the prompts with "
         "a passage and instructions whose response is faithful and follows all instructions. "
         "Δ: paired difference to MTL.",
         f"Fine-tuning: {results.study.params.training.tuned}.", SPLITTER_NOTE,
         note_on_intervals(results, rows)),
    )  # fmt: skip


def secondary_metrics(results: Results) -> Table:
    """Return the main arms by metrics that decide no claim.

    The levels of instruction following are those of IFEval (Zhou et al., 2023).
    """
    rows: list[TableRow] = [
        {
            **results.names(arm),
            "instruction_level": share_followed(results, arm, "instruction_strict"),
            "instruction_level_loose": share_followed(results, arm, "instruction_loose"),
            **{metric.name: results.estimate(metric, arm) for metric in SECONDARY},
        }
        for arm in MAIN_ARMS
    ]
    headers = {"label": "Arm", "instruction_level": "IF, instruction level",
               "instruction_level_loose": "IF, instruction level, loose"}  # fmt: skip
    headers |= {metric.name: metric.title for metric in SECONDARY}
    return Table(
        "secondary-metrics", rows, headers, "Secondary metrics",
        "The main arms by metrics that decide no claim.",
        ("Instruction level: share of all instructions; prompt level: prompts with all their "
         "instructions followed, a mean over data sets. Loose: also without the first or last "
         "line or any '*'.",
         "Coverage, K-precision: share of the response's words that are from the passage. EM, F1, "
         "ROUGE-L: agreement with the references.", note_on_intervals(results, rows)),
    )  # fmt: skip


def share_followed(results: Results, arm: str, score: str) -> Estimate | None:
    """Return the share of all instructions that an arm follows; None where there are none."""
    hits, cases = [], []
    for name in results.datasets(INSTRUCTION):
        grid = results.grid(arm, name, score)
        counts = np.array([len(example.instructions) for example in results.sets[name]], float)
        complete = ~np.isnan(grid).any(axis=0)
        if complete.any():
            hits.append((grid * counts)[:, complete])
            cases.append(np.broadcast_to(counts, grid.shape)[:, complete])
    return results.ratio(hits, cases)


def data_size(results: Results) -> Table:
    """Return the arms that train on less data, next to those on all the data of their method."""
    arms = [MTL, RESET, RESET_S, *results.arms_of("data-size")]
    sizes = {arm: results.mean_of(arm, "examples") for arm in (BASE, *arms)}
    arms.sort(key=lambda arm: (MAIN_ARMS.index(method_of(results, arm)), -(sizes[arm] or 0)))
    rows: list[TableRow] = []
    for arm in (BASE, *arms):
        method = BASE if arm == BASE else method_of(results, arm)
        row = _row(results, arm, None, {"examples": sizes[arm]})
        gain = _gain(results, arm)
        rows.append({"method": results.labels[method], **row, "gain": gain})
    headers = {"method": "Method", "label": "Arm", "examples": "Training examples", **TITLES,
               "gain": GAIN}  # fmt: skip
    return Table(
        "data-size", rows, headers, "Data size", "Scores by the number of training examples.",
        ("ReSet's examples come on top of MTL's.", NOTE_ON_GAIN, note_on_intervals(results, rows)),
    )  # fmt: skip


def ablations(results: Results) -> Table:
    """Return the variants of ReSet at its level of flaws, and ReSet minus each at equal steps."""
    steps, rows = results.total_steps(RESET), []
    for arm in results.arms_of("ablations"):
        if results.arms[arm].trains and results.flaws(arm) == results.flaws(RESET):
            is_comparable = results.total_steps(arm) == steps
            rows.append(_row(results, arm, (RESET if is_comparable else arm, arm)))
    return Table(
        "ablations", rows, {"label": "Arm", **TITLES, **DIFFERENCES}, "Ablations",
        "Variants of ReSet, and other ways to train on its candidates.",
        ("Δ: ReSet minus the arm, paired, if both have as many steps from the pretrained model on.",
         note_on_intervals(results, rows)),
    )  # fmt: skip


def interpolation(results: Results) -> Table:
    """Return the arms with weights between those of two others, from the one to the other."""
    shares = {name: arm.interpolation for name, arm in results.arms.items() if arm.interpolation}
    if shares:
        first = next(iter(shares))
        shares |= {results.start_arm(first) or BASE: 0.0, results.arms[first].made_from: 1.0}
    rows = [
        _row(results, arm, None, {"share": share})
        for arm, share in sorted(shares.items(), key=lambda item: item[1])
    ]
    return Table(
        "interpolation", rows, {"label": "Arm", "share": "Share", **TITLES}, "Interpolation",
        "Models with weights between two others, without any training.",
        ("Share: of the weights of the last one.", note_on_intervals(results, rows)),
    )  # fmt: skip


def controls(results: Results) -> Table:
    """Return MTL trained further with other responses than ReSet's, and ReSet minus each."""
    names = [MTL_AGAIN, *results.arms_of("controls")]
    rows = [
        _row(results, arm, (RESET, arm), {
            "examples": results.mean_of(arm, "examples"), "steps": results.mean_of(arm, "steps"),
            "rate": results.mean_of(arm, "summed_learning_rate"),
            "distance": results.mean_of(arm, "distance"), "gain": _gain(results, arm),
        })
        for arm in (*names, RESET, RESET_S)
    ]  # fmt: skip
    headers = {"label": "Arm", "examples": "Examples", "steps": "Steps", "rate": "Summed rate",
               "distance": "Distance", "gain": GAIN, **TITLES, **DIFFERENCES}  # fmt: skip
    return Table(
        "controls", rows, headers, "Controls", "MTL trained further, with equal steps.",
        ("Summed rate: of learning, over all steps. Distance: |weights − MTL's| / |MTL's|.",
         f"{NOTE_ON_GAIN} Δ: ReSet minus the arm, paired.", note_on_intervals(results, rows)),
    )  # fmt: skip


def levels(results: Results) -> Table:
    """Return the methods that are there at several shares of flawed training responses.

    Two arms are one method at two levels if nothing else of their settings differs.
    """
    methods: dict[str, dict[float, str]] = defaultdict(dict)
    for arm in results.arms:
        methods[_recipe(results.arms, arm)][results.flaws(arm)] = arm
    again = methods[_recipe(results.arms, MTL_AGAIN)]
    rows: list[TableRow] = []
    for by_level in methods.values():
        method = results.labels[next(iter(by_level.values()))]
        for level, arm in sorted(by_level.items()) if len(by_level) > 1 else ():
            against = again.get(level, arm) if results.arms[arm].use_continuation else arm
            facts: TableRow = {"method": method, "flaws": level}
            rows.append(_row(results, arm, (arm, against), facts))
    if not any(row[f"{BOTH.name}_difference"] for row in rows):
        rows = []
    headers = {"method": "Method", "flaws": "Flawed", **TITLES, JOINT_SUCCESS.name:
               JOINT_SUCCESS.title, **DIFFERENCES}  # fmt: skip
    return Table(
        "levels", rows, headers, "Levels of flaws",
        "The same methods at other shares of flawed training responses.",
        ("Δ: minus MTL again at the same level, paired.", note_on_intervals(results, rows)),
    )  # fmt: skip


def _recipe(arms: Arms, name: str) -> str:
    """Return the settings of an arm and of those that it is made from, without levels of flaws."""
    if name not in arms:
        return name
    named = {"experiment", "flaws", "start", "source", "num_intermediate_evals"}
    parts = (_recipe(arms, other) for other in (arms[name].start, arms[name].made_from))
    return " ".join([arms[name].model_dump_json(exclude=named), *parts])


def trivial(results: Results) -> Table:
    """Return the scores of responses that need no model, and of the main arms relative to these."""
    metrics = (INSTRUCTION, FAITHFULNESS, FAITHFUL_ANSWER, JOINT_SUCCESS)
    variants = results.trivial["variant"].unique()
    scores = {m.name: {v: results.trivial_score(m, v) for v in variants} for m in metrics}
    best = {name: max((s for s in known.values() if s is not None), default=1.0)
            for name, known in scores.items()}  # fmt: skip
    rows: list[TableRow] = [
        {"response": variant, **{name: known[variant] for name, known in scores.items()}}
        for variant in variants
    ]
    rows += [
        {"response": f"{results.labels[arm]}, relative",
         **{m.name: _relative(results.estimate(m, arm), best[m.name]) for m in metrics}}
        for arm in results.main_arms
    ]  # fmt: skip
    headers = {"response": "Response", **{metric.name: metric.title for metric in metrics}}
    return Table(
        "trivial", rows, headers, "Trivial responses",
        "What responses reach that need no model: a score below these says nothing of an arm.",
        ("Best constant: the one response to all prompts that follows most instructions. Tried: "
         "\"yes\", texts that fit every prompt, and references of the first training prompts. "
         "Prompt: the prompt itself. First sentence: of the passage. Memorised value: of "
         "pretraining.",
         "Relative: (score − best) / (1 − best), where best is the highest trivial score. 0 is no "
         "better than a trivial response, 1 is perfect.",
         note_on_intervals(results, rows)),
    )  # fmt: skip


def _relative(estimate: Estimate | None, best: float) -> Estimate | None:
    """Return a score as a share of the way from the best trivial score to 1; None if that is 1."""
    if estimate is None or best >= 1:
        return None
    found = estimate.interval
    mean, low, high = ((x - best) / (1 - best) for x in (found.mean, found.low, found.high))
    return replace(estimate, interval=replace(found, mean=mean, low=low, high=high))


def scores(results: Results) -> Table:
    """Return the long table of all scores; data set "mean" is the macro average."""
    rows: list[TableRow] = []
    for arm in results.arms:
        for fraction in results.train_fractions(arm):
            for metric in LISTED_METRICS if fraction == 1.0 else OBJECTIVES:
                for dataset in [*results.datasets(metric), "mean"]:
                    datasets = None if dataset == "mean" else [dataset]
                    if estimate := results.estimate(metric, arm, None, fraction, datasets):
                        rows.append({
                            **results.names(arm), "train_fraction": fraction, "dataset": dataset,
                            "measure": metric.name, "mean": estimate.interval.mean,
                            "low": estimate.interval.low, "high": estimate.interval.high,
                            "prompts": estimate.interval.prompts, "seeds": estimate.interval.seeds,
                            "dropped": estimate.dropped, "confidence": results.confidence,
                        })  # fmt: skip
    return Table("scores", rows)


def method_of(results: Results, arm: str) -> str:
    """Return ReSet or ReSet-S, whichever has the candidate pool of an arm; else MTL."""
    selection, reset = results.arms[arm].select, results.arms[RESET].select
    if selection is None:
        return MTL
    return RESET if reset and selection.candidates == reset.candidates else RESET_S


def _gain(results: Results, arm: str) -> Estimate | None:
    """Return an arm minus MTL again in the mean of both; None if steps or flaws differ."""
    same_steps = results.total_steps(arm) == results.total_steps(MTL_AGAIN)
    if arm != MTL_AGAIN and same_steps and results.flaws(arm) == results.flaws(MTL_AGAIN):
        return results.estimate(BOTH, arm, MTL_AGAIN)
    return None


def _row(
    results: Results, arm: str, pair: tuple[str, str] | None, facts: TableRow | None = None
) -> TableRow:
    """Return an arm's names, `facts`, objectives, and the paired differences of two arms."""
    row: TableRow = {**results.names(arm), **(facts or {})}
    row |= {metric.name: results.estimate(metric, arm) for metric in (*OBJECTIVES, JOINT_SUCCESS)}
    if pair:
        for metric in COMPARED:
            difference = results.estimate(metric, *pair) if pair[0] != pair[1] else None
            row[f"{metric.name}_difference"] = difference
    return row
