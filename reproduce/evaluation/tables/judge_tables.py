"""Tables on the judges: their validation, and what metrics other than the deciding ones say."""

from collections import defaultdict

import numpy as np

from reproduce.config import Claims
from reproduce.evaluation.formatting import numbered, over, span
from reproduce.evaluation.results import (
    BASE,
    FAITHFULNESS,
    INSTRUCTION,
    METRICS,
    MTL,
    RESET,
    RESET_S,
    TASK,
    Estimate,
    Results,
)
from reproduce.evaluation.tables.render import Table, TableRow, in_brackets, note_on_intervals
from reproduce.evaluation.tables.verdicts import comparison
from reproduce.intervals import auc_interval
from reproduce.judges.text import SPLITTER_NOTE
from reproduce.validation.auc import (
    SAME_PASSAGE,
    VALID,
    auc,
    faithfulness_auc,
    paired_scores,
    validity,
)

VALIDATED_SCORES = {
    "extractive": ("rating", "entailed", "reader", "coverage", "k_precision", "token_f1",
                   "exact_match"),
    "abstractive": ("rating", "summac", "coverage", "k_precision", "rouge_l"),
    "instruction": ("rating", "instruction_strict", "instruction_loose", "rouge_l"),
}  # fmt: skip
WRONG_VARIANTS = (SAME_PASSAGE, "other passage", "negated")
RESPONSE_SCORES = {"entailed": "By entailment", "reader": "By the span reader",
                   "coverage": "Coverage", "k_precision": "K-precision"}  # fmt: skip
DECIDING = {"entailed": "entailment", "summac": "entailment", "reader": "the span reader",
            "coverage": "words of the passage", "k_precision": "words of the passage"}  # fmt: skip
COMPARED_METRICS = [METRICS[name] for name in (
    "faithfulness", "faithful_answer", "coverage", "k_precision", "states_answer", "token_f1",
    "rouge_l",
)]  # fmt: skip
INSTRUCTION_ARMS = (BASE, "IF", "CD", MTL, RESET, RESET_S)


def judge_validation(results: Results) -> Table:
    """Return one row per data set and score: its AUC against each variant of wrong response."""
    params, trials = results.study.params, results.trials
    areas = faithfulness_auc(trials, params)
    rows: list[TableRow] = []
    for dataset, kind in {trial.dataset: trial.kind for trial in trials}.items():
        for score in VALIDATED_SCORES[kind]:
            intervals = {name: auc(trials, dataset, score, name, params.statistics)
                         for name in WRONG_VARIANTS}  # fmt: skip
            if not any(intervals.values()):
                continue
            used = None
            if score == params.judging.faithfulness_metric.get(kind):
                result = validity(areas[dataset], params)
                used = "faithfulness" if result == VALID else f"no: {result}"
            right, wrong = (
                np.array([value for _, value in group])
                for group in paired_scores(trials, dataset, score, SAME_PASSAGE)
            )
            wins = (right > wrong) + (right == wrong) / 2
            rows.append({
                "dataset": dataset, "measure": score,
                "examples": len(wins) or None,
                **{name: Estimate(i) if i else None for name, i in intervals.items()},
                "ranked": results.mean(wins[np.newaxis]) if len(wins) else None,
                "used_for_claims": used,
            })  # fmt: skip
    headers = {
        "dataset": "Data set", "measure": "Score", "examples": "Examples (same passage)",
        **{wrong: f"AUC, {wrong}" for wrong in WRONG_VARIANTS},
        "ranked": "Right above wrong, same passage",
        "used_for_claims": "Used for claims",
    }  # fmt: skip
    cells = [cell for row in rows for cell in row.values() if isinstance(cell, Estimate)]
    notes = [
        "Wrong: another answer (or name) of the same passage, the answer to another prompt, or a "
        "negation. AUC 0.5 is chance.",
        "Right above wrong: share of the examples whose right response scores above the wrong one; "
        "a tie is half.",
        "Scores that use references compare the right response with the other references, or "
        "with itself where there is no other.",
        SPLITTER_NOTE,
        "A faithfulness metric is used for claims if its AUC on the same passage has a lower end "
        f"of {params.validation.min_auc:g} at least, on {params.validation.min_trials} examples "
        "or more.",
        f"n = {span(cell.interval.prompts for cell in cells)} examples per cell. "
        + in_brackets(results, "over examples"),
    ]
    details = [trial.judgement.details for trial in trials]
    if unrated := [scores["unrated"] for scores in details if "unrated" in scores]:
        notes.append(f"{sum(unrated):.0f} of {len(unrated)} ratings are unreadable and left out.")
    return Table(
        "judge-validation", rows, headers, "Validation of the judges",
        "How well each score tells right responses to held-out examples from wrong ones.", notes,
    )  # fmt: skip


def judges_on_responses(results: Results) -> Table:
    """Return one row per data set of questions: the AUC of each score on the arms' responses.

    Right is a response that states a reference answer, wrong any other. A set whose responses
    are all right, or all wrong, has no row.
    """
    scores = results.scores
    final = scores[
        (scores["kind"] == "extractive")
        & ~scores["is_probe"]
        & (scores["train_fraction"] == 1.0)
        & (scores["empty"] == 0)
    ]
    measured = {name: title for name, title in RESPONSE_SCORES.items() if name in final}
    # By scores, too: published responses may have lost the words in which they differed.
    distinct = final.drop_duplicates(["example", "response", "states_answer", *measured])
    rows: list[TableRow] = []
    for dataset, responses in distinct.groupby("dataset", sort=True):
        is_right = responses["states_answer"] == 1
        if not 0 < is_right.sum() < len(responses):
            continue
        row: TableRow = {
            "dataset": str(dataset), "answers": len(responses), "right": int(is_right.sum())
        }  # fmt: skip
        for score in measured:
            right, wrong = (
                list(zip(group["example"], group[score], strict=True))
                for group in (responses[is_right], responses[~is_right])
            )
            row[score] = Estimate(auc_interval(right, wrong, results.confidence))
        rows.append(row)
    headers = {"dataset": "Data set", "answers": "Responses", "right": "Right", **measured}
    return Table(
        "judges-on-responses", rows, headers, "Faithfulness scores on the arms' own responses",
        "AUC of responses that state a reference answer (right) against all others.",
        ("Table judge-validation has the same for constructed responses, which are short.",
         "A wrong response may be faithful: it may state another fact of the passage, or the "
         "answer in other words. So even a perfect score does not reach 1.",
         f"All arms, {numbered(results.seeds)}; a response that several of them gave counts once. "
         + in_brackets(results, "over questions")),
    )  # fmt: skip


def instructions(results: Results) -> Table:
    """Return per kind of instruction the share that some arms follow, the commonest kind first.

    A kind is the name of the checker with its relation, if it has one: "at most" can be followed
    by saying little, "at least" cannot.
    """
    instances: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
    for name in results.datasets(INSTRUCTION):
        for prompt, example in enumerate(results.sets[name]):
            for number, instruction in enumerate(example.instructions):
                kind = f"{instruction['id']} {instruction.get('relation') or ''}"
                instances[kind.strip().replace("_", " ")].append((name, prompt, number))
    rows: list[TableRow] = []
    for kind, places in sorted(instances.items(), key=lambda item: (-len(item[1]), item[0])):
        row: TableRow = {"kind": kind, "asked": len(places)}
        for arm in INSTRUCTION_ARMS:
            columns = [
                results.grid(arm, name, f"followed_{number}")[:, prompt]
                for name, prompt, number in places
            ]
            row[arm] = results.mean(np.stack(columns, axis=1))
        rows.append(row)
    headers = {"kind": "Instruction", "asked": "Instructions",
               **{arm: results.labels[arm] for arm in INSTRUCTION_ARMS}}  # fmt: skip
    return Table(
        "instructions", rows, headers, "Instruction following by kind of instruction",
        "Share of the verifiable instructions of a kind that responses follow strictly.",
        ("A prompt may have several instructions.", SPLITTER_NOTE,
         in_brackets(results, over(len(results.seeds))),),
    )  # fmt: skip


def faithfulness_metrics(results: Results, tested: Claims) -> Table:
    """Return the differences in faithfulness of all claims by every metric, per data set.

    Data sets that are not used for claims are included. A metric that does not apply to a kind
    of prompt has no cell.
    """
    differences = {
        (difference.arm, difference.against): difference
        for claim in tested.claims.values()
        for difference in claim.differences
        if difference.metric == FAITHFULNESS.name
    }
    rows: list[TableRow] = [
        {
            "comparison": comparison(results, difference),
            "of": difference.arm, "minus": difference.against, "dataset": name,
            "used_for_claims": "yes" if name in results.faithfulness_metrics else "no",
            **{m.name: results.estimate(m, *arms, datasets=[name]) for m in COMPARED_METRICS},
        }
        for arms, difference in differences.items()
        for name in results.datasets(TASK)
    ]  # fmt: skip
    metrics = results.faithfulness_metrics.values()
    deciding = " and ".join(dict.fromkeys(DECIDING[metric] for metric in metrics))
    headers = {"comparison": "Difference", "dataset": "Data set",
               "used_for_claims": "Used for claims",
               **{metric.name: metric.title for metric in COMPARED_METRICS},
               FAITHFULNESS.name: f"By {deciding}"}  # fmt: skip
    return Table(
        "faithfulness-metrics", rows, headers, "Differences in faithfulness by every metric",
        f"The claims' differences in faithfulness by {deciding}, which decides, and by others.",
        ("Coverage and K-precision count words that are from the passage, whatever the response "
         "says with them; the last three metrics use references. Table judge-validation says how "
         "well each tells right from wrong.", SPLITTER_NOTE, note_on_intervals(results, rows)),
    )  # fmt: skip
