"""All tables of a study, its metrics, and a summary of the arms that are finished."""

from collections.abc import Sequence
from dataclasses import replace

from reproduce.config import Claims, ConfigError
from reproduce.evaluation.results import (
    MAIN_ARMS,
    OBJECTIVES,
    Results,
    load_results,
    seed_folders,
)
from reproduce.evaluation.tables import diagnostics, error_tables, judge_tables, score_tables
from reproduce.evaluation.tables.render import (
    Table,
    TableRow,
    markdown,
    note_on_intervals,
    write_table,
)
from reproduce.evaluation.tables.reward_tables import (
    best_of,
    read_selections,
    reset_example,
    rewards,
)
from reproduce.evaluation.tables.samples import generations, prompts, samples
from reproduce.evaluation.tables.verdicts import CLAIM_METRICS, claims, predictions
from reproduce.judges.text import SPLITTER_NOTE
from reproduce.study import Study
from reproduce.utils.files import atomic_dir, write_json, write_text


def make_tables(study: Study) -> None:
    """Write artifacts/tables and artifacts/metrics.json from the results of all arms.

    A table without rows is not written: where no prompt has a verifiable instruction, say.
    Prompts and references are written only where the project made them. Without all arms of the
    paper's study there are scores, and no comparison of its arms. The bytes are the same on every
    run. Raises UnusableFile as `load_results` does.
    """
    results = load_results(study)
    tested = study.claims
    compared = {arm for claim in tested.claims.values() for difference in claim.differences
                for arm in (difference.arm, difference.against)}  # fmt: skip
    tables = [
        score_tables.scores(results),
        judge_tables.judge_validation(results),
        judge_tables.judges_on_responses(results),
        rewards(read_selections(results)),
        best_of(results),
        diagnostics.datasets(study.artifacts),
        diagnostics.seeds(results),
        diagnostics.diagnostics(results),
        diagnostics.losses(results),
        diagnostics.study(results),
        score_tables.trivial(results),
        claims(results, tested),
        predictions(results),
        generations(results, {*results.main_arms, *compared}, study.own_texts),
    ]
    if len(results.main_arms) == len(MAIN_ARMS):
        tables += [
            score_tables.two_stage(results),
            score_tables.training_curve(results),
            score_tables.methods(results),
            score_tables.secondary_metrics(results),
            score_tables.data_size(results),
            score_tables.ablations(results),
            score_tables.interpolation(results),
            score_tables.controls(results),
            score_tables.levels(results),
            error_tables.memorised_errors(results),
            error_tables.outcomes(results),
            judge_tables.faithfulness_metrics(results, tested),
            judge_tables.instructions(results),
        ]
    else:
        tables.append(summary(results))
    if study.own_texts:
        tables += [prompts(results), reset_example(results)]
    remarks = study.params.captions
    with atomic_dir(study.artifacts / "tables") as draft:
        for table in tables:
            if table.name in remarks:
                table = replace(table, notes=[*table.notes, remarks[table.name]])
            if table.rows:
                write_table(table, draft)
        write_text(draft / "samples.md", samples(results, results.main_arms, study.own_texts))
    write_json(study.artifacts / "metrics.json", metrics(results, tested))


def metrics(results: Results, tested: Claims) -> dict[str, dict[str, dict[str, float]]]:
    """Return the effects that decide the claims and the scores of the main arms, by name.

    A claim with several primary differences has one entry for each, named after what they differ
    in: "C3-instruction", "C4-MTL-again".
    """
    effects, scores = {}, {}
    for claim_id, claim in tested.claims.items():
        several = {difference.metric for difference in claim.primary}
        for difference in claim.primary:
            part = difference.metric if len(several) > 1 else difference.against
            name = claim_id if len(claim.primary) == 1 else f"{claim_id}-{part}"
            metric = CLAIM_METRICS[difference.metric]
            if not {difference.arm, difference.against} <= results.arms.keys():
                continue
            if effect := results.estimate(metric, difference.arm, difference.against):
                interval = effect.interval
                effects[name] = {"effect": round(interval.mean, 6), "low": round(interval.low, 6),
                                 "high": round(interval.high, 6)}  # fmt: skip
    for arm in results.main_arms:
        estimates = {metric.name: results.estimate(metric, arm) for metric in OBJECTIVES}
        scores[arm] = {
            "instruction_following" if name == "instruction" else name:
                round(estimate.interval.mean, 6)
            for name, estimate in estimates.items() if estimate
        }  # fmt: skip
    return {"claims": effects, "scores": scores}


def summary(results: Results) -> Table:
    """Return the scores of all arms, by every metric that applies."""
    shown = [metric for metric in score_tables.LISTED_METRICS if results.datasets(metric)]
    rows: list[TableRow] = [
        {"label": label, **{metric.name: results.estimate(metric, arm) for metric in shown}}
        for arm, label in results.labels.items()
    ]
    headers = {"label": "Arm", **{metric.name: metric.title for metric in shown}}
    notes = (f"Fine-tuning: {results.study.params.training.tuned}.", SPLITTER_NOTE,
             note_on_intervals(results, rows))  # fmt: skip
    return Table("summary", rows, headers, "Summary", "Scores of the finished arms.", notes)


def write_summary(study: Study, names: Sequence[str] | None = None, per_dataset: int = 2) -> str:
    """Write artifacts/summary on some arms, by default all finished ones; return its Markdown.

    It has the verdicts that these arms allow, their scores (scores.csv: per data set), and
    `per_dataset` responses per data set (generations.csv: more of them). Raises ConfigError where
    an arm is not finished.
    """
    finished = [arm for arm in study.arms if seed_folders(study, arm)]
    if missing := sorted(set(names or finished) - set(finished)):
        raise ConfigError(f"not finished: {', '.join(missing)}; finished: {finished}")
    if not finished:
        raise ConfigError(f"{study.artifacts}: no arm is finished; run `dvc repro`")
    results = load_results(study, names or finished)
    tables = [summary(results)]
    verdicts = claims(results, study.claims)
    tables = [verdicts, *tables] if verdicts.rows else tables
    files = [score_tables.scores(results), generations(results, results.arms, True)]
    with atomic_dir(study.artifacts / "summary") as draft:
        for table in [*tables, *files, prompts(results)]:
            write_table(table, draft)
        text = samples(results, list(results.arms), texts=True, per_dataset=per_dataset)
        write_text(draft / "samples.md", text)
    return "\n".join(markdown(table) for table in tables)
