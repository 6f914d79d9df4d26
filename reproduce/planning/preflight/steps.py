"""One training step and one forward pass of the base model, in the shapes of the study."""

import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from reproduce.config import Params, Training
from reproduce.models.load import checkpoint
from reproduce.planning.preflight.lines import Check, Found, failed, not_applicable, passed
from reproduce.schema import read_sets

WORK = Path(".cache/preflight")
"""Where the steps' rows and model go and are taken away, on the disk that all nodes see."""


def step_checks(params: Params, base: Path, wanted: bool) -> dict[str, Check]:
    """Return a check for each shape in which the study trains, and for its generation.

    Args:
        params: the profile.
        base: folder of what `reproduce base` made; of several models the first is tried.
        wanted: really take the steps; else their lines say how to ask for them.
    """
    if not wanted:
        return {"steps": lambda: not_applicable("give --steps to take a step in each shape")}
    checks: dict[str, Check] = {}
    for settings in shapes(params):
        name = f"step of {settings.micro_batch_size} × {settings.max_length} tokens"
        checks[name] = partial(step_taken, params, settings, base)
    rows = params.generation.batch_size
    name = f"forward of {rows} × {params.training.max_length} tokens"
    checks[name] = partial(forward, params, base)
    checks["room for responses"] = partial(room, params, base)
    return checks


def shapes(params: Params) -> list[Training]:
    """Return one training for each distinct micro batch and length of the study."""
    found: dict[tuple[int, int], Training] = {}
    for each in (params.training, params.base.training):
        if each:
            found.setdefault((each.micro_batch_size, each.max_length), each)
    return list(found.values())


def step_taken(params: Params, settings: Training, base: Path) -> Found:
    """Return that one optimiser step on rows of full length went through the launcher.

    Raises what the run raises; ConfigError where the launcher fails.
    """
    from reproduce.models.tokenization import Row
    from reproduce.training.launch import Job, carried_out

    start = checkpoint(base, params.seeds[0])
    row: Row = {"input_ids": [1] * settings.max_length, "labels": [1] * settings.max_length,
                "length": settings.max_length}  # fmt: skip
    with _folder() as folder:
        job = Job(
            title="preflight", start=str(start), rows=str(folder / "rows.jsonl"),
            target=str(folder), seed=0, order=0, threads=params.hardware.threads, stops=0,
            training=settings.model_copy(update={"epochs": 1.0}),
            hardware=params.hardware.model_copy(update={"save_every": None}), keeper="preflight",
        )  # fmt: skip
        history = carried_out(job, [row] * settings.batch_size)
    return passed(
        f"{len(history)} step of {settings.batch_size} rows, loss {history[-1]['loss']:.3f}"
    )


def forward(params: Params, base: Path) -> Found:
    """Return that the model read a batch of generation of full length."""
    import torch

    from reproduce.models.load import load_model

    start = checkpoint(base, params.seeds[0])
    model = load_model(start, params.hardware, generates=True).eval()
    rows, tokens = params.generation.batch_size, params.training.max_length
    with torch.inference_mode():
        ids = torch.ones((rows, tokens), dtype=torch.long, device=model.device)
        scores = model(input_ids=ids, logits_to_keep=1, use_cache=True).logits
    return passed(f"{rows} rows of {tokens} tokens on {model.device}, scores {tuple(scores.shape)}")


def room(params: Params, base: Path) -> Found:
    """Return that after each evaluation prompt a response has room in the model's positions.

    Of training prompts the profile sees to it (`training.max_length`) where it tells the shape.
    """
    from transformers import AutoConfig

    from reproduce.models.load import load_tokenizer
    from reproduce.models.tokenization import prompt_ids

    start = checkpoint(base, params.seeds[0])
    tokenizer = load_tokenizer(start)
    positions = int(AutoConfig.from_pretrained(start).max_position_embeddings)
    free = positions - params.generation.max_new_tokens
    sets = read_sets(base.parent / "evaluation")
    longest = {
        name: max(len(prompt_ids(tokenizer, each)) for each in found)
        for name, found in sets.items()
    }
    over = ", ".join(f"{name} {tokens}" for name, tokens in longest.items() if tokens > free)
    if over:
        return failed(
            f"prompts of so many tokens: {over}; {positions} positions without "
            f"generation.max_new_tokens leave {free}: lower context_words or prompt_bytes of these "
            "data sets, or max_new_tokens"
        )
    return passed(f"prompts of {max(longest.values())} tokens at most, {free} fit")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        yield Path(folder)
