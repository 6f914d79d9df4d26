"""How fast sampling and judging are against what a user would write first.

Both need the artifacts of a profile (`dvc repro` makes them) and write a CSV beside this file.
`judging` is for profiles whose entailment model is a cross-encoder.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from aligned import as_text
from reproduce.config import Decoding, load_params
from reproduce.determinism import settle
from reproduce.entailment.cross_encoder import MAX_LENGTH, CrossEncoder
from reproduce.examples import example_of, read_sets
from reproduce.files import UnusableFile, checked, read_rows, write_csv
from reproduce.generate import respond
from reproduce.judges.faithfulness import statements, units
from reproduce.models import load_model, load_tokenizer

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

HERE = Path(__file__).resolve().parent
Row = dict[str, Any]
Profile = Annotated[Path, typer.Option(help="folder of the profile: params.yaml and artifacts/")]


@app.command()
def sampling(
    prompts: Annotated[int, typer.Option(min=1, help="prompts a data set")] = 8,
    samples: Annotated[int, typer.Option(min=1, help="responses a prompt")] = 4,
    profile: Profile = HERE.parent,
    output: Annotated[Path, typer.Option()] = HERE / "speed-sampling.csv",
) -> None:
    """Time the sampling of candidates in batches, and one prompt at a time, one response each."""
    params = load_params(profile / "params.yaml")
    settle(0, params.hardware.base_threads)
    folder = checked(profile / "artifacts" / "base") / "model"
    model, tokenizer = load_model(folder, params.hardware, generates=True), load_tokenizer(folder)
    sets = read_sets(profile / "artifacts" / "evaluation").values()
    examples = [e for found in sets if not found[0].probe for e in found[:prompts]]
    found = []
    for name, batch, count in (
        ("in batches", params.generation.batch_size, samples),
        ("one at a time", 1, 1),
    ):
        bounds = params.generation.model_copy(update={"batch_size": batch})
        decoding = Decoding(temperature=1.0, samples=count)
        began = time.perf_counter()
        texts = respond(model, tokenizer, examples, decoding, bounds, 0)
        seconds = time.perf_counter() - began
        tokens = sum(len(tokenizer(text)["input_ids"]) for few in texts for text in few)
        found.append({"method": name, "responses": len(examples) * count, "tokens": tokens,
                      "seconds": round(seconds, 2),
                      "tokens_per_second": round(tokens / seconds, 1)})  # fmt: skip
    _report(found, "tokens_per_second", output)


@app.command()
def judging(
    trials: Annotated[int, typer.Option(min=1, help="responses to judge")] = 60,
    profile: Profile = HERE.parent,
    output: Annotated[Path, typer.Option()] = HERE / "speed-judging.csv",
) -> None:
    """Time entailment scores in batches with a cache, and one by one without; compare them."""
    params = load_params(profile / "params.yaml")
    settle(0, params.hardware.base_threads)
    artifacts = profile / "artifacts"
    folder = checked(artifacts / "entailment") / "model"
    pairs = _pairs(artifacts / "pairs", trials)
    plain = CrossEncoder(folder)
    began = time.perf_counter()
    alone = np.stack([_alone(plain, *pair) for pair in pairs])
    found = [_judged("one by one", len(pairs), time.perf_counter() - began)]
    with tempfile.TemporaryDirectory() as cache:
        for name in ("in batches, empty cache", "in batches, full cache"):
            model = CrossEncoder(folder, Path(cache))
            began = time.perf_counter()
            together = model(pairs)
            row = _judged(name, len(pairs), time.perf_counter() - began)
            found.insert(0, row | {"difference": float(np.abs(together - alone).max())})
    _report(found, "pairs_per_second", output)


def _alone(model: CrossEncoder, premise: str, text: str) -> Any:
    """Return one pair's probabilities, computed without a batch, padding or a cache."""
    import torch

    encoded = model.tokenizer(
        premise, text, truncation="only_first", max_length=MAX_LENGTH, return_tensors="pt"
    )
    with torch.inference_mode():
        scores = torch.softmax(model.model(**encoded.to(model.model.device)).logits[0], dim=-1)
    return scores.cpu().numpy()[model.columns]


def _pairs(folder: Path, count: int) -> list[tuple[str, str]]:
    """Return what the judges ask about the first trials: premise and hypothesis, with repeats."""
    rows = [r for r in read_rows(checked(folder) / "trials.jsonl") if r["example"]["context"]]
    found = []
    for row in rows[:count]:
        example = example_of(row["example"])
        answer = statements(example.prompt, example.context, row["response"])
        texts = answer if example.kind == "extractive" else units(row["response"])
        found += [(premise, text) for text in texts for premise in units(example.context)]
    return found


def _judged(name: str, pairs: int, seconds: float) -> Row:
    speed = round(pairs / seconds, 1)
    facts = {"pairs": pairs, "seconds": round(seconds, 3), "pairs_per_second": speed}
    return {"method": name, **facts, "difference": 0.0}


def _report(found: Sequence[Row], speed: str, output: Path) -> None:
    rows = [{**row, "first_is_times": round(found[0][speed] / row[speed], 1)} for row in found]
    write_csv(output, rows)
    print(as_text(rows))


if __name__ == "__main__":
    try:
        app(standalone_mode=False)
    except UnusableFile as error:
        sys.exit(f"speed: {error}")
