"""How fast sampling and judging are against what a user would write first.

Both need the artifacts of a profile (`dvc repro` makes them) and write a CSV beside this file.
`judging` is for profiles whose entailment model is a cross-encoder.
"""

import random
import sys
import tempfile
import time
import timeit
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from aligned import as_called, as_text
from reproduce.config import Decoding, Generation, load_params
from reproduce.generation.generate import pad_left, respond
from reproduce.judges.judge import judge
from reproduce.judges.nli import MAX_LENGTH, CrossEncoder
from reproduce.judges.panel import judged
from reproduce.models.load import checkpoint, load_model, load_tokenizer
from reproduce.models.tokenization import prompt_ids
from reproduce.schema import Example, example_of, read_examples, read_sets
from reproduce.utils.determinism import settle
from reproduce.utils.files import UnusableFile, checked, read_rows, write_csv
from reproduce.utils.hardware import resolved

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

HERE = Path(__file__).resolve().parent
Row = dict[str, Any]
Pair = tuple[str, str]
Profile = Annotated[Path, typer.Option(help="folder of the profile: params.yaml and artifacts/")]


@app.command()
def sampling(
    prompts: Annotated[int, typer.Option(min=1, help="prompts a data set")] = 8,
    samples: Annotated[int, typer.Option(min=1, help="responses a prompt")] = 4,
    profile: Profile = HERE.parent,
    output: Annotated[Path, typer.Option()] = HERE / "speed-sampling.csv",
) -> None:
    """Time the sampling of candidates: ours, plain `generate`, and one prompt at a time."""
    params = resolved(load_params(profile / "params.yaml"))
    settle(0, params.hardware.threads_alone)
    folder = checkpoint(profile / "artifacts" / "base", params.seeds[0])
    model, tokenizer = load_model(folder, params.hardware, generates=True), load_tokenizer(folder)
    sets = read_sets(profile / "artifacts" / "evaluation").values()
    examples = [e for found in sets if not found[0].probe for e in found[:prompts]]
    found = []
    for name, way, batch, count in (
        ("in batches", _ours, params.generation.batch_size, samples),
        ("plain `generate` in the same batches", _plain, params.generation.batch_size, samples),
        ("one at a time", _ours, 1, 1),
    ):
        bounds = params.generation.model_copy(update={"batch_size": batch})
        decoding = Decoding(temperature=1.0, samples=count)
        began = time.perf_counter()
        texts = way(model, tokenizer, examples, decoding, bounds, 0)
        seconds = time.perf_counter() - began
        tokens = sum(len(tokenizer(text)["input_ids"]) for few in texts for text in few)
        found.append({"method": name, "responses": len(examples) * count, "tokens": tokens,
                      "seconds": round(seconds, 2),
                      "tokens_per_second": round(tokens / seconds, 1)})  # fmt: skip
    _report(found, "tokens_per_second", output)


def _ours(*arguments: Any) -> list[list[str]]:
    return [[one.text for one in drawn] for drawn in respond(*arguments)]


def _plain(
    model: Any, tokenizer: Any, examples: Sequence[Example], decoding: Decoding,
    bounds: Generation, seed: int,
) -> list[list[str]]:  # fmt: skip
    """Return responses by nothing but `generate` on the batches of `respond`, a list a sample."""
    import torch

    torch.manual_seed(seed)
    known = [(e.dataset, prompt_ids(tokenizer, e)) for e in examples]
    prompts = [ids for _, ids in sorted(known, key=lambda each: (each[0], len(each[1])))]
    found: list[list[str]] = []
    size = max(1, bounds.batch_size // decoding.samples)
    for begin in range(0, len(prompts), size):
        padded = pad_left(prompts[begin : begin + size], int(tokenizer.pad_token_id or 0))
        ids, mask = (tensor.to(model.device) for tensor in padded)
        output = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=bounds.max_new_tokens,
            do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
            num_return_sequences=decoding.samples,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        texts = tokenizer.batch_decode(output[:, ids.shape[1] :], skip_special_tokens=True)
        found += [[text.strip()] for text in texts]
    return found


@app.command()
def judging(
    alone: Annotated[int, typer.Option(min=1, help="pairs to score one by one")] = 200,
    calls: Annotated[
        int | None, typer.Option(min=1, help="of the study's; all if left out")
    ] = None,
    profile: Profile = HERE.parent,
    output: Annotated[Path, typer.Option()] = HERE / "speed-judging.csv",
) -> None:
    """Time the entailment scores that the study asked for, and some one by one, uncached."""
    params = resolved(load_params(profile / "params.yaml"))
    settle(0, params.hardware.threads_alone)
    artifacts = profile / "artifacts"
    folder = checked(artifacts / "entailment") / "model"
    all_calls = _calls(artifacts, params.judging.carriers)
    asked_for = all_calls[:calls]
    distinct = sorted({pair for call in asked_for for pair in call})
    sample = random.Random(0).sample(distinct, min(alone, len(distinct)))
    plain = CrossEncoder(folder)
    began = time.perf_counter()
    scores = np.stack([_alone(plain, *pair) for pair in sample])
    single = _judged("one by one", len(sample), len(sample), time.perf_counter() - began)
    found: list[Row] = []
    asked = sum(map(len, asked_for))
    with tempfile.TemporaryDirectory() as cache:
        for name in ("as the study asks, empty cache", "the same again, full cache"):
            model = CrossEncoder(folder, Path(cache))
            began = time.perf_counter()
            for call in asked_for:
                model(call)
            row = _judged(name, asked, len(distinct), time.perf_counter() - began)
            difference = float(np.abs(model(sample) - scores).max())
            found.append(row | {"difference": difference})
    found.insert(1, single)
    bound = _products(plain, distinct)
    found.append(_judged("the encoder's products alone", asked, len(distinct), bound))
    whole = [pair for call in all_calls for pair in call]
    for row in found:
        row |= {"study_pairs": len(whole), "study_distinct": len(set(whole))}
    _report(found, "pairs_per_second", output)


def _products(model: CrossEncoder, pairs: Sequence[Pair]) -> float:
    """Return the seconds of the encoder's matrix products for `pairs` at the best speed seen here.

    In fp32, as many tokens as the pairs have and none of padding: no batching can be faster.
    """
    import torch

    config, many = model.model.config, 4096
    width, inner = config.hidden_size, config.intermediate_size
    left = torch.randn(many, width, device=model.model.device)
    right = torch.randn(width, inner, device=model.model.device)
    taken = min(timeit.repeat(lambda: (left @ right)[0, 0].item(), number=1, repeat=50))
    texts = model.tokenizer(
        *zip(*pairs, strict=True), truncation="only_first", max_length=MAX_LENGTH
    )
    operations = sum(
        config.num_hidden_layers * (n * (8 * width**2 + 4 * width * inner) + 4 * n**2 * width)
        for n in map(len, texts["input_ids"])
    )
    return float(operations / (2 * many * width * inner / taken))


def _alone(model: CrossEncoder, premise: str, text: str) -> Any:
    """Return one pair's probabilities, computed without a batch, padding or a cache."""
    import torch

    encoded = model.tokenizer(
        premise, text, truncation="only_first", max_length=MAX_LENGTH, return_tensors="pt"
    )
    with torch.inference_mode():
        scores = torch.softmax(model.model(**encoded.to(model.model.device)).logits[0], dim=-1)
    return scores.cpu().numpy()[model.columns]


def _calls(artifacts: Path, carriers: Mapping[str, str]) -> list[list[Pair]]:
    """Return what each judging asks the entailment model: of trials, arms by name, candidates."""
    calls: list[list[Pair]] = []

    def asked(pairs: Sequence[Pair]) -> Any:
        calls.append(list(pairs))
        return np.full((len(pairs), 3), 1 / 3, np.float32)

    judges = partial(judge, entailment=asked, carriers=carriers)
    trials = read_rows(checked(artifacts / "pairs") / "trials.jsonl")
    judges([example_of(row["example"]) for row in trials], [row["response"] for row in trials])
    held_out = {e.id: e for s in read_sets(artifacts / "evaluation").values() for e in s}
    for path in sorted(artifacts.glob("*/*/seed-*/evaluation.jsonl")):
        rows = read_rows(path)
        for progress in sorted({row["progress"] for row in rows}):
            judged([row for row in rows if row["progress"] == progress], held_out, judges)
    for path in sorted(artifacts.glob("scores/scores-*.jsonl")):
        prompts = read_examples(path.with_name(path.name.replace("scores", "prompts")))
        judged(read_rows(path), {example.id: example for example in prompts}, judges)
    return calls


def _judged(name: str, asked: int, distinct: int, seconds: float) -> Row:
    speed = round(asked / seconds, 1)
    return {
        "method": name, "pairs": asked, "distinct": distinct, "seconds": round(seconds, 3),
        "pairs_per_second": speed, "difference": 0.0,
    }  # fmt: skip


def _report(found: Sequence[Row], speed: str, output: Path) -> None:
    first = found[0][speed]
    rows = [
        {**row, "first_is_times": float(f"{first / row[speed]:.3g}"), "command": as_called()}
        for row in found
    ]
    write_csv(output, rows)
    print(as_text(rows))


if __name__ == "__main__":
    try:
        app(standalone_mode=False)
    except UnusableFile as error:
        sys.exit(f"speed: {error}")
