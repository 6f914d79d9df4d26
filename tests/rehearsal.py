"""A rehearsal of the 7B profile: tiny model, tiny data, two processes, everything else the same.

`python tests/rehearsal.py FOLDER > docs/rehearsal.md` makes the profile below FOLDER, runs the
whole of it and says how it went.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nano_study
import unruly
import yaml
from classifiers import write_classifier
from reproduce.records import flat
from reproduce.utils.progress import spoken

from reproduce.utils.files import read_csv, read_rows

ROOT = Path(__file__).resolve().parent.parent
PROFILE = ROOT / "profiles" / "llama-7b"
SMALL = {"epochs": 1, "batch_size": 8, "micro_batch_size": 2, "max_length": 128,
         "learning_rate": 2e-2}  # fmt: skip
"""Steps so large that responses learn to end: ReSet keeps no other."""
TORCHRUN = "torchrun --standalone --nproc_per_node 2 --no-python"

Row = dict[str, Any]


SERVER = "transformers serve {model} --port {port} --device cpu --log-level error"


def rehearsal(folder: Path, judge: str) -> Path:
    """Make the folder of a repository with the small profile in it; return the profile's.

    `judge` is the address of the judge of instruction following; `judged` gives one.
    """
    profile = repository(folder, "rehearsal")
    params = yaml.safe_load((PROFILE / "params.yaml").read_text(encoding="utf-8"))
    params = scaled_down(params, folder / "hub", judge)
    (profile / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return profile


def repository(folder: Path, name: str) -> Path:
    """Make the folder of a repository with a profile that lacks its params.yaml; return that."""
    nano_study.copy_repository(folder)
    shutil.copytree(ROOT / "deepspeed", folder / "deepspeed")
    profile = folder / "profiles" / name
    profile.mkdir(parents=True)
    for link in ("dvc.yaml", "experiments.yaml"):
        (profile / link).symlink_to(f"../../{link}")
    return profile


def scaled_down(params: Row, hub: Path, judge: str) -> Row:
    """Return the parameters of the 7B profile with everything in them small; write what they read.

    What is not named here stays as it is.
    """
    texts = _write_data(params["data"]["hub"]["sets"], hub)
    shape = {"hidden_size": 16, "intermediate_size": 24, "layers": 2, "heads": 2,
             "max_positions": 256}  # fmt: skip
    words = _write_model(hub / "llama", shape, texts)
    known = {word for text in texts for word in text.lower().split() if word.isalpha()}
    write_classifier(hub / "nli", sorted(known))
    params["profile"] = "rehearsal"
    params["base"]["published"] |= {
        "model": str(hub / "llama"), "revision": None, "shape": {**shape, "vocabulary": words}
    }  # fmt: skip
    params["training"] |= SMALL
    params["generation"] = {"max_new_tokens": 32, "batch_size": 64}
    params["candidates"]["prompts"] = 2
    params["candidates"]["served"] |= {
        "command": SERVER,
        "speaks": "transformers",
    }
    # Nothing is learnt here, so a judge that asks for learnt answers would find none sound.
    params["judging"] |= {
        "published": {"model": str(hub / "nli")}, "max_empty_share": 1.0,
        "extractive": "k_precision", "abstractive": "k_precision",
    }  # fmt: skip
    params["servers"]["judge"] |= {"url": judge, "key": ""}
    params["servers"]["sampler"]["concurrency"] = 1
    params["validation"] |= {"trials": 8, "least_trials": 1, "least_auc": 0.5}
    params["statistics"]["resamples"] = 100
    params["hardware"] |= {
        "threads": 1, "threads_alone": 1, "launch": TORCHRUN, "devices": 2, "save_every": 2
    }  # fmt: skip
    return dict(params)


def judged() -> Any:
    """Return a context with a judge that speaks OpenAI's protocol, whose ratings mean nothing."""

    def rating(text: str) -> str:
        return f"Rating: [[{1 + len(text) % 10}]]"

    return unruly.running(unruly.say(rating))


def run(profile: Path, *stages: str) -> str:
    """Carry out stages of the profile (all without a name) with DVC; return what it says."""
    return nano_study.dvc(profile.parent.parent, "repro", *stages, below=f"profiles/{profile.name}")


def _write_data(sets: dict[str, Row], hub: Path) -> list[str]:
    """Write rows in every layout, point the sets at them, and return their texts."""
    from reproduce.world.build import evaluation_sets, training_sets

    from reproduce.world.people import make_world

    world = make_world(24, 0)
    found = training_sets(world, 240, 0, evaluation_sets(world, 8, 0))
    examples = {
        kind: [e for name in sorted(found) for e in found[name] if e.kind == kind]
        for kind in ("extractive", "abstractive", "instruction")
    }
    texts = [t for few in examples.values() for e in few for t in (e.prompt, e.response)]
    for number, (name, settings) in enumerate(sets.items()):
        kind = KINDS[settings["layout"]]
        rows = [_row(settings["layout"], e) for e in examples[kind][number % 4 :: 4]]
        (hub / name).mkdir(parents=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (hub / name / "train.jsonl").write_text(lines, encoding="utf-8")
        settings |= {
            "repo": str(hub / name), "revision": None, "config": None, "files": None,
            "train": "train", "evaluation": "train", "counts": {"train": 8, "evaluation": 8},
        }  # fmt: skip
    return texts


KINDS = {
    "alpaca": "instruction", "dolly": "instruction", "sharegpt": "instruction",
    "self-instruct": "instruction", "mrqa-nq": "extractive", "ms-marco": "extractive",
    "cnn-dailymail": "abstractive",
}  # fmt: skip


def _row(layout: str, e: Any) -> Row:
    question = e.prompt.removeprefix(e.context).strip()
    rows: dict[str, Row] = {
        "alpaca": {"instruction": e.prompt, "input": "", "output": e.response},
        "dolly": {"instruction": e.prompt, "context": "", "response": e.response},
        "sharegpt": {"conversations": [{"from": "human", "value": e.prompt},
                                       {"from": "gpt", "value": e.response}]},
        "mrqa-nq": {"subset": "NaturalQuestionsShort", "context": e.context,
                    "question": question, "answers": list(e.references)},
        "ms-marco": {"query": question, "answers": list(e.references), "passages": {
            "passage_text": [e.context], "is_selected": [1]}},
        "cnn-dailymail": {"article": e.context, "highlights": e.response},
    }  # fmt: skip
    return rows["alpaca" if layout == "self-instruct" else layout]


def _write_model(folder: Path, shape: Row, texts: Sequence[str]) -> int:
    """Write a LLaMA of random weights as pickles, as Vicuna's are; return its vocabulary."""
    import torch

    from reproduce.config import TinyModel
    from reproduce.models.load import new_llama
    from reproduce.world.tokenizer import build_tokenizer

    torch.manual_seed(0)
    tokenizer = build_tokenizer(texts)
    model = new_llama(TinyModel(**shape), tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return len(tokenizer)


REPORT = """# The rehearsal: the 7B profile with a tiny model

{stages} stages of {took} together on {cores} cores, {runs} runs in their record, {claims}
comparisons in the table of claims. Training ran in two processes under torchrun with ZeRO-3,
candidates came from `transformers serve`, ratings from a server that speaks OpenAI's protocol and
means nothing by them. Nothing is learnt here: that it runs from data to tables is all it shows.
Written by `python tests/rehearsal.py FOLDER`.

| stage | seconds | MB |
|---|--:|--:|
{times}

What differs from `profiles/llama-7b/params.yaml`:

| parameter | the profile | the rehearsal |
|---|---|---|
{differences}
"""


def report(profile: Path) -> str:
    """Return what was run, and what was small in it, as Markdown."""
    made = read_rows(profile / "logs" / "timings.jsonl")
    paper = profile / "paper"
    return REPORT.format(
        stages=len(made),
        took=spoken(sum(row["seconds"] for row in made)),
        cores=os.cpu_count(),
        runs=len(read_rows(paper / "runs.jsonl")),
        claims=len(read_csv(paper / "tables" / "claims.csv")),
        times="\n".join(
            f"| {r['stage']} | {r['seconds']:.0f} | {r['memory_mb']:.0f} |" for r in made
        ),
        differences="\n".join(differences(profile)),
    )


def differences(profile: Path) -> list[str]:
    """Return a line of a table for each parameter that is not the 7B profile's."""
    one, other = (
        flat(yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8")), "")
        for folder in (PROFILE, profile)
    )
    pairs = [(name, one.get(name, "–"), other.get(name, "–")) for name in sorted({*one, *other})]
    lines = [f"| {name[1:]} | {old} | {new} |" for name, old, new in pairs if old != new]
    folder = str(profile.parent.parent)
    return [re.sub(r":[0-9]+", ":PORT", line.replace(folder, "FOLDER")) for line in lines]


if __name__ == "__main__":
    os.environ["DS_ACCELERATOR"] = "cpu"
    with judged() as judge:
        folder = Path(sys.argv[1]).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        made = rehearsal(folder, judge.url)
        print(run(made), file=sys.stderr)
    print(report(made), end="")
