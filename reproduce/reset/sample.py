"""The stage `candidates`: responses to training prompts, by every decoding strategy."""

import random
import shutil
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from reproduce.generation.respond import respond
from reproduce.models.load import find_checkpoint, load_tokenizer
from reproduce.schema import Candidate, Example, read_records, write_records
from reproduce.study import Study
from reproduce.utils.files import atomic_dir
from reproduce.utils.seeds import for_each_seed, named_seed, set_determinism
from reproduce.utils.stage_log import log_run


def sample_candidates(study: Study, arm: str) -> None:
    """Write, per seed, prompts that the arm was trained on and the candidates of its model."""
    shutil.rmtree(study.artifacts / "candidates" / arm, ignore_errors=True)
    for_each_seed(partial(_sample_seed, study, arm), study.params.seeds, study.params.workers)


def _sample_seed(study: Study, arm: str, seed: int) -> None:
    params = study.params
    stream = f"candidates/{arm}"
    set_determinism(named_seed(stream, seed), params.hardware.threads)
    checkpoint = find_checkpoint(study.artifacts / "models" / arm, seed)
    seen = read_records(study.model_dir(arm, seed) / "train.jsonl", Example)
    prompts = sample_prompts(seen, params.candidates.prompts, seed)
    tokenizer = load_tokenizer(checkpoint)
    strategies = {
        name: (decoding, named_seed(stream, seed, name))
        for name, decoding in params.candidates.strategies.items()
    }
    with log_run(f"candidates@{arm}", seed, study.folder):
        drawn = respond(checkpoint, tokenizer, prompts, strategies, params)
    candidates = [
        Candidate(e.dataset, e.id, name, number, response.text, response.finished)
        for name, samples in drawn.items()
        for e, responses in zip(prompts, samples, strict=True)
        for number, response in enumerate(responses)
    ]
    with atomic_dir(study.artifacts / "candidates" / arm / f"seed-{seed}") as folder:
        write_records(folder / "prompts.jsonl", prompts)
        write_records(folder / "candidates.jsonl", candidates)


def sample_prompts(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """Return at most `count` random examples per data set, by name of the set."""
    sets: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        sets[example.dataset].append(example)
    rng = random.Random(f"prompts-{seed}")
    return [e for name in sorted(sets) for e in rng.sample(sets[name], min(count, len(sets[name])))]
