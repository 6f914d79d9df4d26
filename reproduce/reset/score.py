"""The stage `score`: a judgement of every candidate."""

import shutil
from dataclasses import replace
from functools import partial

from reproduce.judges.judge import JudgePanel, check_empty_share
from reproduce.schema import read_candidates, read_examples, write_records
from reproduce.study import Study
from reproduce.utils.files import atomic_dir
from reproduce.utils.seeds import for_each_seed
from reproduce.utils.stage_log import log_run


def score_candidates(study: Study) -> None:
    """Write the candidates of every seed with their judgements, next to their prompts."""
    shutil.rmtree(study.artifacts / "scores", ignore_errors=True)
    for_each_seed(partial(_score_seed, study), study.params.seeds, study.params.hardware)


def _score_seed(study: Study, seed: int) -> None:
    source = study.artifacts / "candidates" / f"seed-{seed}"
    prompts = read_examples(source / "prompts.jsonl")
    candidates = read_candidates(source / "candidates.jsonl")
    by_id = {example.id: example for example in prompts}
    panel = JudgePanel(study.params, study.artifacts / "judges" / "model")
    with log_run("score", seed, study.folder):
        judgements = panel.judge(
            [by_id[candidate.example] for candidate in candidates],
            [candidate.response for candidate in candidates],
        )
    scored = [replace(c, judgement=j) for c, j in zip(candidates, judgements, strict=True)]
    check_empty_share(judgements, study.params.judging, f"candidates, seed {seed}")
    with atomic_dir(study.artifacts / "scores" / f"seed-{seed}") as folder:
        write_records(folder / "prompts.jsonl", prompts)
        write_records(folder / "candidates.jsonl", scored)
