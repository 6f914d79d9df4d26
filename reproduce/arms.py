"""The stage `arm`: one arm's training examples, training and evaluation, for every seed."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reproduce.config import Arm, Params, training_for
from reproduce.data.mixture import mix, with_flaws
from reproduce.generation.generate import GREEDY
from reproduce.generation.respond import check_lengths, respond
from reproduce.judges.judge import JudgePanel, check_empty_share
from reproduce.judges.text import sentences
from reproduce.models.load import (
    count_parameters,
    find_checkpoint,
    interpolate,
    load_tokenizer,
    weight_distance,
)
from reproduce.models.tokenization import encode_example
from reproduce.reset.select import preferences_from, training_examples_from
from reproduce.schema import (
    Candidate,
    Example,
    JudgedResponse,
    read_records,
    read_sets,
    write_records,
)
from reproduce.study import Study
from reproduce.training.launch import Job, remove_checkpoints, run_training
from reproduce.training.preference import train_on_preferences
from reproduce.utils.files import UnusableFile, atomic_dir, write_json
from reproduce.utils.seeds import for_each_seed, named_seed, set_determinism
from reproduce.utils.stage_log import log_run

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def run_arm(study: Study, name: str) -> None:
    """Write an arm's models and results, a folder per seed (`Study.model_dir`, `.results_dir`)."""
    for kind in ("models", "results"):
        shutil.rmtree(study.artifacts / kind / name, ignore_errors=True)
    for_each_seed(partial(run_seed, study, name), study.params.seeds, study.params.workers)
    remove_checkpoints(name)


def run_seed(study: Study, name: str, seed: int) -> None:
    """Train and evaluate an arm for one seed.

    The model's folder also gets `train.jsonl`, the examples that it was trained on. The results
    are `evaluation.jsonl` (judged responses to the evaluation sets, at every intermediate
    evaluation and at the end), `history.json` (losses) and `record.json` (settings and counts).
    """
    params, arm, artifacts = study.params, study.arms[name], study.artifacts
    stream = f"{arm.experiment}/{name}"
    set_determinism(named_seed(stream, seed), params.hardware.threads)
    start = find_checkpoint(artifacts / "models" / arm.start, seed)
    tokenizer = load_tokenizer(start)
    panel = JudgePanel(params, artifacts / "judges" / "model")
    prompts = [
        e for examples in read_sets(artifacts / "data/evaluation").values() for e in examples
    ]
    # Before the training, not after it.
    check_lengths(start, tokenizer, prompts, params.generation.max_new_tokens)
    training = training_for(params, arm)
    record: dict[str, Any] = {
        "arm": name, "seed": seed, "settings": arm.model_dump(mode="json"),
        "training": training.model_dump(mode="json"), "examples": 0, "too_long": 0, "steps": 0,
        "datasets": [], "parameters": count_parameters(start),
    }  # fmt: skip
    with (
        log_run(name, seed, study.folder),
        atomic_dir(study.model_dir(name, seed)) as model_dir,
        atomic_dir(study.results_dir(name, seed)) as results_dir,
    ):
        checkpoints = {1.0: start}
        losses: list[dict[str, float]] = []
        if arm.interpolation is not None:
            other = find_checkpoint(artifacts / arm.source, seed)
            interpolate(start, other, arm.interpolation, model_dir)
            checkpoints = {1.0: model_dir}
        if arm.trains:
            examples, rejected = training_examples(
                arm, artifacts / arm.source, training.flaws, seed
            )
            job = Job(
                title=f"{name}, seed {seed}", stage=name, start=str(start),
                output_dir=str(model_dir),
                seed=named_seed(stream, seed), data_seed=named_seed(stream, "order", seed),
                training=training, hardware=params.hardware,
                num_intermediate_evals=arm.num_intermediate_evals,
            )  # fmt: skip
            if arm.dpo:
                trained_on = examples
                losses, folders = train_on_preferences(job, examples, rejected, arm.dpo)
            else:
                encoded = [encode_example(tokenizer, e, training.max_length) for e in examples]
                rows = [row for row in encoded if row is not None]
                if not rows:
                    raise UnusableFile(
                        f"{name}, seed {seed}: none of {len(examples)} training examples fits in "
                        f"training.max_length {training.max_length}"
                    )
                trained_on = [e for e, row in zip(examples, encoded, strict=True) if row]
                losses, folders = run_training(job, rows)
            write_records(model_dir / "train.jsonl", trained_on)
            record |= {
                "examples": len(trained_on), "too_long": len(examples) - len(trained_on),
                "steps": (steps := max(folders)),
                "datasets": sorted({example.dataset for example in trained_on}),
                "summed_learning_rate":
                    steps * sum(log["learning_rate"] for log in losses) / len(losses),
                "distance": weight_distance(model_dir, start),
            }  # fmt: skip
            checkpoints = {step / steps: folder for step, folder in folders.items()}
        judged: list[JudgedResponse] = []
        for train_fraction, checkpoint in checkpoints.items():
            judged += evaluate(checkpoint, tokenizer, prompts, params, panel, seed, train_fraction)
            if train_fraction < 1.0:
                shutil.rmtree(checkpoint)
        final = [response for response in judged if response.train_fraction == 1.0]
        check_empty_share([r.judgement for r in final], params.judging, f"{name}, seed {seed}")
        shutil.rmtree(model_dir / "intermediate", ignore_errors=True)
        write_records(results_dir / "evaluation.jsonl", judged)
        write_json(results_dir / "history.json", losses)
        write_json(results_dir / "record.json", record)


def training_examples(
    arm: Arm, source: Path, flaws: float, seed: int
) -> tuple[list[Example], list[str]]:
    """Return what an arm trains on: a mixture of data sets, or a selection of candidates.

    With DPO the second list has the response that each example's is preferred to. A share `flaws`
    of a mixture has flawed reference responses, where the data have such. Raises UnusableFile
    where nothing is left.
    """
    rejected: list[str] = []
    if arm.mixture is not None:
        examples = with_flaws(mix(read_sets(source), arm.mixture, seed), flaws, seed)
        if arm.plain_text:
            examples = [replace(e, prompt="", is_completion=True) for e in examples]
    else:
        assert arm.select is not None
        folder = source / f"seed-{seed}"
        prompts = read_records(folder / "prompts.jsonl", Example)
        references, candidates = (
            read_records(folder / f"{name}.jsonl", Candidate)
            for name in ("references", "candidates")
        )
        if arm.dpo:
            examples, rejected = preferences_from(prompts, candidates, arm.select, seed)
        else:
            examples = training_examples_from(prompts, references, candidates, arm.select, seed)
    if not examples:
        raise UnusableFile(f"{source}, seed {seed}: no training examples are left to the arm")
    return examples, rejected


def evaluate(
    checkpoint: Path,
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[Example],
    params: Params,
    panel: JudgePanel,
    seed: int,
    train_fraction: float,
) -> list[JudgedResponse]:
    """Return the judged greedy response to each prompt, in their order."""
    greedy = {"greedy": (GREEDY, named_seed("evaluation", seed))}
    drawn = respond(checkpoint, tokenizer, prompts, greedy, params)["greedy"]
    responses = [samples[0] for samples in drawn]
    texts = []
    for example, response in zip(prompts, responses, strict=True):
        # Plain text is continued without end; the answer to a probe is the sentence begun.
        parts = sentences(response.text) if example.is_completion else []
        texts.append(parts[0] if parts else response.text)
    judgements = panel.judge(prompts, texts)
    return [
        JudgedResponse(e.dataset, e.id, text, response.finished, judgement, train_fraction)
        for e, text, response, judgement in zip(prompts, texts, responses, judgements, strict=True)
    ]
