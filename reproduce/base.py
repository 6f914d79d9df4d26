"""The base models: pretrained on the profile's texts, one a seed, or one that was imported."""

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reproduce.config import Params, TinyModel, Training
from reproduce.schema import read_sets
from reproduce.utils.determinism import named_seed, settle
from reproduce.utils.files import checked, read_rows, sealed_folder
from reproduce.utils.parallel import over_seeds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from reproduce.models.tokenization import Row


def make_base(params: Params, training: Path, pretraining: Path, target: Path) -> None:
    """Write model and tokenizer in safetensors, as `models.checkpoint` finds them.

    What is imported is one for all seeds. What is pretrained is another for each, with the history
    of its loss, so that intervals over seeds are intervals over base models, too.
    """
    with sealed_folder(target) as folder:
        if params.base.imported:
            from reproduce.download import given_mirror
            from reproduce.models.smollm2 import import_smollm2

            import_smollm2(folder / "model", given_mirror())
        elif params.base.published:
            from reproduce.models.published import import_published

            import_published(params.base.published, folder / "model")
        else:
            assert params.base.tiny and params.base.training
            _pretrain(params, params.base.tiny, params.base.training, training, pretraining, folder)
    if params.base.tiny:
        from reproduce.training.launch import forget

        forget("base")


def _pretrain(
    params: Params,
    shape: TinyModel,
    settings: Training,
    training: Path,
    pretraining: Path,
    folder: Path,
) -> None:
    from reproduce.models.tokenization import encode_text
    from reproduce.world.tokenizer import build_tokenizer

    texts = [row["text"] for row in read_rows(checked(pretraining) / "texts.jsonl")]
    tasks = [t for s in read_sets(training).values() for e in s for t in (e.prompt, e.response)]
    tokenizer = build_tokenizer([*texts, *tasks])
    rows = [encode_text(tokenizer, text, settings.max_length) for text in texts]
    work = partial(_pretrain_seed, params, shape, settings, tokenizer, rows, folder)
    over_seeds(work, params.seeds, params.hardware)


def _pretrain_seed(
    params: Params,
    shape: TinyModel,
    settings: Training,
    tokenizer: "PreTrainedTokenizerBase",
    rows: "list[Row]",
    target: Path,
    seed: int,
) -> None:
    from reproduce.models.load import new_llama
    from reproduce.training.launch import Job, carried_out

    own, folder = named_seed("base", seed), target / f"seed-{seed}"
    settle(own, params.hardware.threads)
    start = folder / "start"
    new_llama(shape, tokenizer).save_pretrained(start)
    tokenizer.save_pretrained(start)
    job = Job(
        title=f"pretraining, seed {seed}", start=str(start), rows=str(folder / "rows.jsonl"),
        target=str(folder), seed=own, order=named_seed("base order", seed),
        threads=params.hardware.threads, stops=0, training=settings, hardware=params.hardware,
        keeper="base",
    )  # fmt: skip
    carried_out(job, rows)
    (folder / "rows.jsonl").unlink()
    shutil.rmtree(start)
