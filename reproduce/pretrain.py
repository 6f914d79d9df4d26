"""The stage `pretrain`: the models that arms start from, pretrained per seed or imported."""

import shutil
from functools import partial
from typing import TYPE_CHECKING

from reproduce.check_model import check_model
from reproduce.models.load import count_parameters, new_llama
from reproduce.models.pretrained import import_published, import_smollm2
from reproduce.models.tokenization import encode_text
from reproduce.schema import read_sets
from reproduce.study import Study
from reproduce.training.launch import Job, remove_checkpoints, run_training
from reproduce.training.sampler import num_steps
from reproduce.utils.files import atomic_dir, read_rows, write_json
from reproduce.utils.seeds import for_each_seed, named_seed, set_determinism
from reproduce.utils.stage_log import log_run
from reproduce.world.tokenizer import build_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from reproduce.models.tokenization import TokenRow

NAME = "pretrained"


def pretrain(study: Study) -> None:
    """Write artifacts/models/pretrained and the history of pretraining next to other results.

    A pretrained model is a different one per seed, so that intervals over seeds include the
    base model. An imported one is the same for all seeds.
    """
    params, artifacts = study.params, study.artifacts
    for kind in ("models", "results"):
        shutil.rmtree(artifacts / kind / NAME, ignore_errors=True)
    if params.base.tiny:
        texts = [row["text"] for row in read_rows(artifacts / "data/pretraining/texts.jsonl")]
        sets = read_sets(artifacts / "data/training")
        tasks = [text for s in sets.values() for e in s for text in (e.prompt, e.response)]
        tokenizer = build_tokenizer([*texts, *tasks])
        assert params.base.training is not None
        rows = [encode_text(tokenizer, text, params.base.training.max_length) for text in texts]
        work = partial(pretrain_seed, study, tokenizer, rows)
        for_each_seed(work, params.seeds, params.workers)
        remove_checkpoints(NAME)
        return
    model_dir = artifacts / "models" / NAME / "all-seeds"
    published = params.base.published
    with atomic_dir(model_dir) as draft:
        if published:
            import_published(published, draft)
        else:
            import_smollm2(draft)
        check_model(draft, params, published.model if published else str(params.base.imported))
    results_dir = artifacts / "results" / NAME / "all-seeds"
    write_json(results_dir / "record.json", {"parameters": count_parameters(model_dir)})


def pretrain_seed(
    study: Study, tokenizer: "PreTrainedTokenizerBase", rows: "list[TokenRow]", seed: int
) -> None:
    """Pretrain the tiny model of one seed on encoded texts."""
    params = study.params
    assert params.base.tiny and params.base.training
    model_seed = named_seed("base", seed)
    set_determinism(model_seed, params.hardware.threads)
    with (
        log_run("pretrain", seed, study.folder),
        atomic_dir(study.model_dir(NAME, seed)) as model_dir,
        atomic_dir(study.results_dir(NAME, seed)) as results_dir,
    ):
        start = model_dir / "start"
        new_llama(params.base.tiny, tokenizer).save_pretrained(start)
        tokenizer.save_pretrained(start)
        job = Job(
            title=f"pretraining, seed {seed}", stage=NAME, start=str(start),
                output_dir=str(model_dir), seed=model_seed,
            data_seed=named_seed("base order", seed),
            training=params.base.training, hardware=params.hardware, num_intermediate_evals=0,
        )  # fmt: skip
        losses, _ = run_training(job, rows)
        shutil.rmtree(start)
        record = {
            "seed": seed, "examples": len(rows), "steps": num_steps(len(rows), job.training),
            "training": job.training.model_dump(mode="json"),
            "parameters": count_parameters(model_dir),
        }  # fmt: skip
        write_json(results_dir / "history.json", losses)
        write_json(results_dir / "record.json", record)
