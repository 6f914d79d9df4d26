"""All tables of the study: CSV, Markdown and LaTeX from the artifacts."""

from dataclasses import replace
from pathlib import Path

from reproduce.config import Claims, Params
from reproduce.evaluation.results import MAIN, Arms, load, read_trials, refuse_incomplete
from reproduce.evaluation.tables import arms
from reproduce.evaluation.tables.claims import claims
from reproduce.evaluation.tables.data_sets import data_sets
from reproduce.evaluation.tables.health import health, losses
from reproduce.evaluation.tables.instructions import instructions
from reproduce.evaluation.tables.judges import judges
from reproduce.evaluation.tables.measures import measures
from reproduce.evaluation.tables.mechanism import mechanism
from reproduce.evaluation.tables.outcomes import outcomes
from reproduce.evaluation.tables.own_answers import own_answers
from reproduce.evaluation.tables.render import spread_out, write_table
from reproduce.evaluation.tables.rewards import choices, reward_distribution, rewards
from reproduce.evaluation.tables.samples import generations, prompts, samples
from reproduce.evaluation.tables.seeds import seeds
from reproduce.evaluation.tables.study import study
from reproduce.models.load import checkpoint
from reproduce.utils.files import replacing, write_csv, write_text

__all__ = ["make_tables"]


def make_tables(
    params: Params, experiments: Arms, asked: Claims, artifacts: Path, target: Path
) -> None:
    """Write all tables to the folder `target`, in place of what was there.

    `scores.csv`, `losses.csv`, `reward-distribution.csv`, `generations.csv`, `prompts.csv` and
    `study.csv` are for programs only. A table that the study has no rows for (its prompts hold no
    verifiable instruction, say) is not written. The texts of prompts are written where the project
    made them; those of others are not passed on. The bytes are the same on every run. Raises
    UnusableFile or ConfigError as `results.load` does.
    """
    refuse_incomplete(experiments)
    results = load(artifacts, experiments, params)
    found = choices(results, artifacts)
    base = checkpoint(artifacts / "base", results.seeds[0])
    own = params.data.world is not None  # Texts of others may be fetched, but not passed on.
    tables = [
        arms.two_stage(results),
        arms.trajectory(results),
        arms.methods(results),
        arms.other_measures(results),
        arms.data_size(results),
        arms.drivers(results),
        arms.controls(results),
        mechanism(results),
        outcomes(results),
        measures(results, asked),
        instructions(results),
        rewards(results, found),
        data_sets(artifacts),
        seeds(results),
        health(results),
        judges(read_trials(artifacts), params),
        own_answers(results),
        claims(results, asked),
    ]
    long = {
        "scores": arms.scores(results),
        "losses": losses(results),
        "reward-distribution": reward_distribution(found),
        "generations": generations(results, {*MAIN, *_compared(asked)}, texts=own),
        "study": study(params, results, base),
    }
    if own:
        long["prompts"] = prompts(results)
    with replacing(target) as draft:
        draft.mkdir()
        remarks = {str(name): remark for name, remark in params.captions.items()}
        for table in tables:
            remark = remarks.get(table.name, "")
            if table.rows:
                write_table(replace(table, caption=f"{table.caption} {remark}".rstrip()), draft)
        for name, rows in long.items():
            write_csv(draft / f"{name}.csv", spread_out(rows))
        write_text(draft / "samples.md", samples(results, MAIN, texts=own))


def _compared(asked: Claims) -> set[str]:
    differences = [each for claim in asked.claims for each in claim.differences]
    return {arm for each in differences for arm in (each.arm, each.against)}
