"""One arm by the settings of profiles/llama-7b: ZeRO-3 in two processes, an LLM judge's server."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import misbehaving_server
from support.classifiers import write_classifier
from support.profiles import ROOT

from reproduce.arms import run_arm
from reproduce.config import Params, TinyModel, load_experiments
from reproduce.models.load import load_tokenizer, new_llama
from reproduce.pretrain import pretrain
from reproduce.schema import JudgedResponse, Sets, read_records, write_records
from reproduce.study import Study
from reproduce.training.launch import CHECKPOINTS

PROFILE = ROOT / "profiles" / "llama-7b"
SHAPE = {"hidden_size": 16, "intermediate_size": 24, "layers": 2, "heads": 2, "max_positions": 256}
TORCHRUN = f"{Path(sys.executable).parent}/torchrun --standalone --nproc_per_node 2 --no-python"


def small_params(hub: Path, vocabulary: int, judge: str) -> Params:
    """Return the profile's parameters with everything large made small."""
    params = yaml.safe_load((PROFILE / "params.yaml").read_text(encoding="utf-8"))
    params["base"]["published"] |= {
        "model": str(hub), "revision": None, "shape": {**SHAPE, "vocabulary": vocabulary}
    }  # fmt: skip
    params["training"] |= {"batch_size": 8, "micro_batch_size": 2, "max_length": 160, "steps": 6}
    params["generation"] = {"max_new_tokens": 8, "batch_size": 64}
    params["judging"]["max_empty_share"] = 1.0  # Nothing is learnt here.
    params["judge_server"]["url"] = judge
    hardware = params["hardware"]
    params["hardware"] |= {
        "threads": 1, "launch": TORCHRUN, "devices": 2, "save_every": 2, "vllm": None,
        "deepspeed": str((PROFILE / hardware["deepspeed"]).resolve()),
    }  # fmt: skip
    return Params.model_validate(params)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="DeepSpeed compiles its CPU transport")
def test_an_arm_goes_from_the_published_model_to_judged_responses(
    tokenizer: Any, training: Sets, held_out: Sets, distributed: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    hub = tmp_path / "hub"
    new_llama(TinyModel(**SHAPE), tokenizer).save_pretrained(hub)
    tokenizer.save_pretrained(hub)
    write_classifier(tmp_path / "artifacts" / "judges" / "model")
    for name, sets, count in (("training", training, 16), ("evaluation", held_out, 2)):
        for dataset, examples in sets.items():
            path = tmp_path / "artifacts" / "data" / name / f"{dataset}.jsonl"
            write_records(path, examples[:count])
    arms = load_experiments(PROFILE / "experiments.yaml").arms
    arms["CD"] = arms["CD"].model_copy(update={"num_intermediate_evals": 2})
    with misbehaving_server.running(misbehaving_server.say("Rating: [[7]]")) as server:
        params = small_params(hub, len(tokenizer), server.url)
        study = Study(params, arms, {}, None, {}, tmp_path)  # type: ignore[arg-type]
        pretrain(study)
        run_arm(study, "CD")
    model, results = study.model_dir("CD", 0), study.results_dir("CD", 0)
    assert "USER:" in str(load_tokenizer(model).chat_template)
    history = json.loads((results / "history.json").read_text())
    record = json.loads((results / "record.json").read_text())
    assert history[-1]["step"] == record["steps"] > 4
    responses = read_records(results / "evaluation.jsonl", JudgedResponse)
    fractions = {response.train_fraction for response in responses}
    assert len(fractions) == 3 and max(fractions) == 1.0
    ratings = {
        r.judgement.instruction: r.judgement.details["empty"]
        for r in responses if r.dataset == "lists"
    }  # fmt: skip
    assert set(ratings) <= {0.0, 6 / 9} and all((ratings[n] == 1) == (n == 0) for n in ratings)
    # What a stopped run needs to go on is gone once the arm is done.
    assert not list((tmp_path / CHECKPOINTS).glob("*"))


def test_the_two_7b_profiles_differ_only_in_the_model() -> None:
    llama, vicuna = (
        yaml.safe_load((ROOT / "profiles" / name / "params.yaml").read_text(encoding="utf-8"))
        for name in ("llama-7b", "vicuna-7b")
    )
    for params in (llama, vicuna):
        params.pop("profile")
        for key in ("model", "revision"):
            params["base"]["published"].pop(key)
    assert llama == vicuna
