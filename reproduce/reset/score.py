"""The stage `score`: a judgement of every candidate."""

import shutil
from dataclasses import replace
from functools import partial

from reproduce.judges.judge import JudgePanel, check_empty_share
from reproduce.schema import Candidate, Example, read_records, write_records
from reproduce.study import Study
from reproduce.utils.files import atomic_dir
from reproduce.utils.seeds import for_each_seed
from reproduce.utils.stage_log import log_run


def score_candidates(study: Study, arm: str) -> None:
    """Write, per seed, an arm's candidates with judgements, and the same of their references."""
    shutil.rmtree(study.artifacts / "scores" / arm, ignore_errors=True)
    for_each_seed(partial(_score_seed, study, arm), study.params.seeds, study.params.workers)


def _score_seed(study: Study, arm: str, seed: int) -> None:
    source = study.artifacts / "candidates" / arm / f"seed-{seed}"
    prompts = read_records(source / "prompts.jsonl", Example)
    references = [
        Candidate(e.dataset, e.id, "reference", 0, e.response, finished=True) for e in prompts
    ]
    candidates = [*references, *read_records(source / "candidates.jsonl", Candidate)]
    by_id = {example.id: example for example in prompts}
    panel = JudgePanel(study.params, study.artifacts / "judges" / "model", selects=True)
    with log_run(f"score@{arm}", seed, study.folder):
        judgements = panel.judge(
            [by_id[candidate.example] for candidate in candidates],
            [candidate.response for candidate in candidates],
        )
    scored = [replace(c, judgement=j) for c, j in zip(candidates, judgements, strict=True)]
    check_empty_share(judgements, study.params.judging, f"candidates of {arm}, seed {seed}")
    with atomic_dir(study.artifacts / "scores" / arm / f"seed-{seed}") as folder:
        write_records(folder / "prompts.jsonl", prompts)
        write_records(folder / "references.jsonl", scored[: len(references)])
        write_records(folder / "candidates.jsonl", scored[len(references) :])
