"""ReSet's second step: a judgement of every candidate."""

from functools import partial
from pathlib import Path

from reproduce.config import Params
from reproduce.judges.panel import judged, judges_of, refuse_lost
from reproduce.schema import read_examples, write_examples
from reproduce.utils.files import checked, read_rows, sealed_folder, write_rows
from reproduce.utils.parallel import over_seeds


def score_candidates(params: Params, candidates: Path, entailment: Path, target: Path) -> None:
    """Write the candidates of every seed with their judgements, beside their prompts."""
    checked(candidates)
    with sealed_folder(target) as folder:
        work = partial(_score_seed, params, candidates, checked(entailment), folder)
        over_seeds(work, params.seeds, params.hardware)


def _score_seed(
    params: Params, candidates: Path, entailment: Path, folder: Path, seed: int
) -> None:
    prompts = read_examples(candidates / f"prompts-{seed}.jsonl")
    rows = read_rows(candidates / f"candidates-{seed}.jsonl")
    examples = {example.id: example for example in prompts}
    judges = judges_of(params.judging, params.servers.judge, entailment)
    scored = judged(rows, examples, judges)
    refuse_lost(scored, params.judging, f"candidates, seed {seed}")
    write_examples(folder / f"prompts-{seed}.jsonl", prompts)
    write_rows(folder / f"scores-{seed}.jsonl", scored)
