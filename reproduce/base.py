"""The base model: pretrained on the profile's texts, or imported."""

import shutil
from pathlib import Path

from reproduce.config import Params, TinyModel, Training
from reproduce.determinism import named_seed, settle
from reproduce.examples import read_sets
from reproduce.files import checked, read_rows, sealed_folder


def make_base(params: Params, training: Path, pretraining: Path, target: Path) -> None:
    """Write `target/model`: model and tokenizer in safetensors, with the history of its loss."""
    with sealed_folder(target) as folder:
        if params.base.imported:
            from reproduce.sources.fetch import given_mirror
            from reproduce.sources.smollm2 import import_smollm2

            import_smollm2(folder / "model", given_mirror())
        elif params.base.published:
            from reproduce.sources.published import import_published

            import_published(params.base.published, folder / "model")
        else:
            assert params.base.tiny and params.base.training
            _pretrain(params, params.base.tiny, params.base.training, training, pretraining, folder)
    if params.base.tiny:
        from reproduce.training.jobs import forget

        forget("base")


def _pretrain(
    params: Params,
    shape: TinyModel,
    settings: Training,
    training: Path,
    pretraining: Path,
    folder: Path,
) -> None:
    from reproduce.models import new_llama
    from reproduce.training.encoding import encode_text
    from reproduce.training.jobs import Job, carried_out
    from reproduce.world.tokenizer import build_tokenizer

    texts = [row["text"] for row in read_rows(checked(pretraining) / "texts.jsonl")]
    tasks = [t for s in read_sets(training).values() for e in s for t in (e.prompt, e.response)]
    seed, start = named_seed("base", params.base.seed), folder / "start"
    settle(seed, params.hardware.base_threads)
    tokenizer = build_tokenizer([*texts, *tasks])
    new_llama(shape, tokenizer).save_pretrained(start)
    tokenizer.save_pretrained(start)
    job = Job(
        title="pretraining", start=str(start), rows=str(folder / "rows.jsonl"), target=str(folder),
        seed=seed, order=named_seed("base order", params.base.seed),
        threads=params.hardware.base_threads, stops=0, training=settings, hardware=params.hardware,
        keeper="base",
    )  # fmt: skip
    carried_out(job, [encode_text(tokenizer, text, settings.max_length) for text in texts])
    (folder / "rows.jsonl").unlink()
    shutil.rmtree(start)
