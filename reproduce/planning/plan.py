"""What a study takes, before it runs: steps, tokens, judgements, memory, disk and hours per stage.

Counts come from the functions that the pipeline itself uses. They are upper bounds: data sets as
large as params.yaml asks for, examples, prompts and responses of maximum length, and no rating
from a cache. Hours rest on assumed throughputs.
"""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from reproduce.config import Arms, Base, ConfigError, Hardware, LoRA, Params, training_for
from reproduce.data.mixture import mix
from reproduce.data.prepare import ALL, declared_sets
from reproduce.evaluation.formatting import plural
from reproduce.reset.select import select
from reproduce.schema import Candidate, Example, Judgement, Kind, Side
from reproduce.study import load_study
from reproduce.training.sampler import num_steps
from reproduce.utils.files import read_json
from reproduce.utils.stage_log import REPORTING, read_timings, sampling_stages, stage_order

if TYPE_CHECKING:
    from pandas import DataFrame

GB = 10**9
TRIALS: Mapping[Side, int] = {"CD": 4, "both": 4, "IF": 2}
"""Responses per example in the validation of judges, at most: right, and wrong in each way."""
FOUR_BITS = (4 + 0.127) / 8
"""Bytes per weight in four bits with doubly quantised constants (QLoRA, Dettmers et al., 2023)."""
COPIES = 2
"""Of each model on disk: DVC's cache has one more where the file system cannot share blocks."""
MINUTES_PER_SEED = 4.0
"""Of each stage, to load, distribute and save models; an assumption."""
TRAINING_FLOPS, GENERATION_BANDWIDTH = 0.4 * 312e12, 0.3 * 2039e9
"""Operations and bytes per second. The second factors are the peaks of an A100 SXM 80 GB (NVIDIA's
data sheet, dense bf16), the first the assumed shares of them."""
JUDGEMENTS_PER_SECOND, SECONDS_PER_RATING = 10, 3
"""Of the entailment model per GPU, and of the LLM judge; assumptions."""
SMOLLM2 = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True,
}  # fmt: skip
"""From the config.json that HuggingFaceTB publishes with SmolLM2-135M-Instruct."""


# ---- counts


def count_stages(params: Params, arms: Arms) -> "DataFrame":
    """Return one row per stage, in the order in which they run.

    Columns are "stage", "seeds", and per seed "examples" and, in all epochs and with padding,
    "tokens" trained on, optimiser "steps", "responses" generated, "judgements" of faithfulness,
    "ratings" of the LLM judge, and "intermediate" models, which are evaluated and deleted.
    """
    import pandas as pd

    from reproduce.reset.sample import sample_prompts
    from reproduce.training.trainer import intermediate_steps

    sets = declared_sets(params.data)
    if unknown := [name for name, declared in sets.items() if ALL in declared]:
        raise ConfigError(f"data.sets.{unknown[0]}.counts: a plan needs one per split")
    kinds: dict[Side, Kind] = {"CD": "extractive", "both": "extractive", "IF": "instruction"}
    training = {
        name: [
            Example(name, kinds[dataset.side], str(n), "", is_joint=dataset.side == "both")
            for n in range(dataset.train)
        ]
        for name, dataset in sets.items()
        if dataset.train
    }
    # The arms that candidates are sampled from have seen the same prompts.
    mixtures = [arms[arm.made_from].mixture for arm in arms.values() if arm.select]
    seen = mix(training, next(filter(None, mixtures), {}), 0)
    prompts = sample_prompts(seen, params.candidates.prompts, 0)
    # How many candidates a prompt has does not change how many prompts are selected.
    unscored = Judgement(None, None, None)
    pool = [Candidate(e.dataset, e.id, "", 0, "", True, unscored) for e in prompts]

    def judged(responses: Mapping[str, int]) -> dict[str, int]:
        by_side: Counter[Side] = Counter()
        for name, count in responses.items():
            by_side[sets[name].side] += count
        rated = by_side["IF"] + by_side["both"] if params.judging.llm_judge else 0
        return {"judgements": by_side["CD"] + by_side["both"], "ratings": rated}

    samples = sum(decoding.samples for decoding in params.candidates.strategies.values())
    sampled, scored = (
        {n: of_each * count for n, count in Counter(e.dataset for e in prompts).items()}
        for of_each in (samples, samples + 1)  # References are scored, too.
    )
    # Next to the trials: up to three trivial responses to each evaluation prompt.
    trials = {
        n: TRIALS[dataset.side] * params.validation.trials + 3 * dataset.evaluation
        for n, dataset in sets.items()
    }
    seeds = len(params.seeds)
    stages: dict[str, dict[str, int]] = {
        "judges": judged(trials),
    }
    pretraining = params.base.training
    if pretraining and params.data.world:
        texts = params.data.world.pretraining_texts
        steps = num_steps(texts, pretraining)
        tokens = steps * pretraining.batch_size * pretraining.max_length
        stages["pretrain"] = {"seeds": seeds, "examples": texts, "steps": steps, "tokens": tokens}
    for name, arm in arms.items():
        examples = len(mix(training, arm.mixture, 0)) if arm.mixture else 0
        if arm.select:
            examples = len(select(pool, arm.select, 0))
            candidates, score = sampling_stages(arm)
            stages[candidates] = {"seeds": seeds, "responses": sum(sampled.values())}
            stages[score] = {"seeds": seeds, **judged(scored)}
        settings = training_for(params, arm)
        steps = num_steps(examples, settings) if examples else 0
        tokens = steps * settings.batch_size * settings.max_length
        intermediate = len(intermediate_steps(steps, arm.num_intermediate_evals))
        responses = {n: (1 + intermediate) * dataset.evaluation for n, dataset in sets.items()}
        stages[name] = {
            "seeds": seeds, "examples": examples, "steps": steps, "tokens": tokens,
            "responses": sum(responses.values()), "intermediate": intermediate, **judged(responses),
        }  # fmt: skip
    columns = "seeds examples steps tokens responses judgements ratings intermediate".split()
    frame = pd.DataFrame(stages, index=columns).T.reindex(stage_order(arms)).fillna(0).astype(int)
    frame["seeds"] = frame["seeds"].clip(lower=1)
    return frame.reset_index(names="stage")


# ---- memory and disk


class ModelSize(NamedTuple):
    """Parameters of a model, those of its largest module, and values cached per token.

    With LoRA also the parameters of the adapter, and the bytes of the frozen weights.
    """

    parameters: int
    largest_module: int
    cached_values: int
    adapter: int = 0
    frozen_bytes: int = 0


def model_size(base: Base, lora: LoRA | None = None) -> ModelSize:
    """Return the size of a profile's model, built on torch's meta device.

    Raises ConfigError for a published model whose shape the profile does not state.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from reproduce.models.adapter import add_adapter

    shape = base.tiny or (base.published and base.published.shape)
    if not shape and not base.imported:
        raise ConfigError("base.published.shape: missing; copy it from the model's config.json")
    config = LlamaConfig(**SMOLLM2) if not shape else LlamaConfig(
        vocab_size=getattr(shape, "vocabulary", 289),  # 289: of the synthetic task's tokenizer.
        hidden_size=shape.hidden_size, intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        num_key_value_heads=getattr(shape, "kv_heads", None) or shape.heads,
        tie_word_embeddings=base.tiny is not None,
    )  # fmt: skip
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    width = config.hidden_size // config.num_attention_heads * config.num_key_value_heads
    size = ModelSize(
        sum(p.numel() for p in model.parameters()),
        max(sum(p.numel() for p in m.parameters(recurse=False)) for m in model.modules()),
        2 * config.num_hidden_layers * width,
    )
    if lora is None:
        return size
    matrices = sum(p.numel() for name, p in model.named_parameters() if "_proj" in name)
    with torch.device("meta"):
        adapted = add_adapter(model, lora.model_copy(update={"quantised_base": False}))
    adapter = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    frozen = 2 * size.parameters
    if lora.quantised_base:
        frozen -= round((2 - FOUR_BITS) * matrices)
    return size._replace(adapter=adapter, frozen_bytes=frozen)


def training_memory(size: ModelSize, hardware: Hardware, nodes: int) -> tuple[int, int]:
    """Return bytes of weights, gradients and Adam's state: per GPU, and RAM per node.

    ZeRO-2 and ZeRO-3 by DeepSpeed's estimators, which assume bf16 training; otherwise 16 bytes
    per trained parameter, all of it in fp32, and the frozen weights of LoRA in bf16 or four bits.
    Activations come on top. Raises ConfigError where the nodes cannot share hardware.devices.
    """
    gpus, rest = divmod(hardware.devices, nodes)
    if rest:
        raise ConfigError(f"--nodes {nodes}: does not divide hardware.devices {hardware.devices}")
    if size.adapter:
        return 16 * size.adapter + size.frozen_bytes, 4 * size.parameters
    config = read_json(Path(hardware.deepspeed)) if hardware.deepspeed else {}
    zero: Mapping[str, Any] = config.get("zero_optimization", {})
    if zero.get("stage") not in (2, 3):
        return 16 * size.parameters, 0
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # Otherwise DeepSpeed looks for one and warns.
    from deepspeed.runtime.zero import stage3, stage_1_and_2

    optimizer, weights = (
        (zero.get(name) or {}).get("device", "none") != "none"
        for name in ("offload_optimizer", "offload_param")
    )
    if zero["stage"] == 3:
        host, gpu, _ = stage3.estimate_zero3_model_states_mem_needs(
            size.parameters, size.largest_module, gpus, nodes, optimizer, weights
        )
    else:
        host, gpu = stage_1_and_2.estimate_zero2_model_states_mem_needs(
            size.parameters, gpus, nodes, optimizer
        )
    return int(gpu), int(host)


def generation_memory(size: ModelSize, params: Params) -> int:
    """Return bytes of the weights, and of the keys and values of a full batch."""
    tokens = params.training.max_length + params.generation.max_new_tokens
    cached = size.cached_values * tokens * params.generation.batch_size
    return (4 if params.hardware.precision == "fp32" else 2) * (size.parameters + cached)


def plan_stages(params: Params, arms: Arms, size: ModelSize, nodes: int) -> "DataFrame":
    """Return one row per stage: its counts, and bytes as "memory", "disk" and "temporary".

    Memory is of a device, without activations. Disk is what stays there, of all seeds.
    """
    hardware = params.hardware
    frame = count_stages(params, arms)
    trains = frame["steps"] > 0
    training, _ = training_memory(size, hardware, nodes)
    generation = generation_memory(size, params) * (frame["responses"] > 0)
    side_by_side = frame["seeds"].clip(upper=params.workers)
    frame["memory"] = side_by_side * (training * trains).combine(generation, max)
    # DeepSpeed saves bf16 weights; a checkpoint has them twice, next to Adam's three in fp32.
    half = hardware.deepspeed is not None and hardware.precision == "bf16"
    model, checkpoint = (n * size.parameters for n in ((2, 16) if half else (4, 12)))
    if size.adapter:
        # Merged models are kept in the precision of the profile; a checkpoint is of the adapter.
        model = (2 if hardware.precision == "bf16" else 4) * size.parameters
        checkpoint = 12 * size.adapter
    if not hardware.save_every:
        checkpoint = model
    has_model = trains | frame["stage"].isin({name for name, arm in arms.items() if arm.has_model})
    frame["disk"] = COPIES * model * has_model * frame["seeds"]
    if not params.base.tiny:
        download = size.parameters * (2 if params.base.published else 4)
        frame.loc[frame["stage"] == "pretrain", "disk"] = (1 + COPIES) * download
    # Until all seeds are done, each has its last checkpoint, and models that are evaluated twice.
    saves = frame["seeds"] + (frame["steps"] > (hardware.save_every or float("inf")))
    frame["temporary"] = (
        checkpoint * saves * trains + model * frame["seeds"] * frame["intermediate"]
    )
    return frame


def peak_disk(frame: "DataFrame") -> int:
    """Return the most bytes on the disk at once: of finished stages, and of the one that runs."""
    return int((frame["disk"].cumsum() + frame["temporary"]).max())


# ---- the command


def plan(
    nodes: Annotated[int, typer.Option(min=1, help="machines of hardware.devices")] = 1,
) -> None:
    """Print what the study takes, stage by stage: counts, memory, disk and hours."""
    import pandas as pd

    study = load_study()
    params, hardware = study.params, study.params.hardware
    size = model_size(params.base, params.training.lora)
    frame = plan_stages(params, study.arms, size, nodes)
    gpu, host = training_memory(size, hardware, nodes)
    generation = generation_memory(size, params)
    # 6 operations per parameter and token (Kaplan et al., 2020), 8 with activations computed
    # twice. A new token of a batch takes as long as reading all that generation holds.
    operations = (8 if hardware.gradient_checkpointing else 6) * size.parameters
    training_speed = TRAINING_FLOPS / operations
    generation_speed = GENERATION_BANDWIDTH / generation * params.generation.batch_size
    generators = hardware.devices if hardware.vllm else 1
    judge = params.judge_server
    ratings_at_once = judge.concurrency if judge else 0
    new_tokens = frame["responses"] * params.generation.max_new_tokens
    # Judging without an entailment model takes no time to speak of.
    judgements = frame["judgements"] * (params.judging.entailment in ("trained", "published"))
    seconds = pd.DataFrame({
        "training": frame["tokens"] / (training_speed * hardware.devices),
        "generation": new_tokens / (generation_speed * generators),
        "judging": judgements / (JUDGEMENTS_PER_SECOND * hardware.devices)
        + frame["ratings"] * SECONDS_PER_RATING / max(1, ratings_at_once),
        "loading": 60 * MINUTES_PER_SEED * ~frame["stage"].isin(REPORTING),
    })  # fmt: skip
    hours = seconds.mul(frame["seeds"], axis=0) / 3600
    listed = ", ".join(f"{name} {value:.1f}" for name, value in hours.sum().items())
    basis = (
        f"{listed}; stages one after the other, by these assumptions (an A100, not measured):\n"
        f"  - training: {training_speed:,.0f} tokens/s per GPU, all GPUs\n"
        f"  - generation: {generation_speed:,.0f} new tokens/s per GPU, "
        f"{plural(generators, 'GPU')}{'' if hardware.vllm else ' (all with `hardware.vllm`)'}\n"
        f"  - judging: {JUDGEMENTS_PER_SECOND} entailment judgements/s per GPU, all GPUs; "
        f"{SECONDS_PER_RATING} s per rating of the LLM judge, {ratings_at_once} at a time "
        "(judge_server.concurrency)\n"
        f"  - loading and saving: {MINUTES_PER_SEED:g} minutes per stage and seed"
    )
    timings = {} if params.for_gpus else read_timings(study.folder)
    if timings:
        hours = frame[["stage"]].map(lambda s: timings[s].seconds / 3600 if s in timings else None)
        basis = "measured on the reference machine (timings.csv)"
    gigabytes = (frame[["memory", "disk", "temporary"]] / GB).add_suffix(" GB")
    table = frame.drop(columns=["intermediate", "memory", "disk", "temporary"]).join(gigabytes)
    table["hours"] = hours.sum(axis=1)
    print("\n".join([
        f"# Plan of {params.profile} on {hardware.devices} device(s), {nodes} node(s)\n",
        f"The model has {size.parameters:,} parameters. Counts are per seed and upper bounds; "
        "memory is per device, without activations; disk and hours are of all seeds.\n",
        table.to_markdown(index=False, intfmt=",", floatfmt=",.2f"),
        f"\n- training: {gpu / GB:.2f} GB per device of weights, gradients and Adam's state, "
        f"{host / GB:.2f} GB of RAM per node",
        f"- generation: {generation / GB:.2f} GB per device of weights, keys and values",
        f"- disk: at most {peak_disk(frame) / GB:,.1f} GB at once",
        f"- LLM judge: {(frame['seeds'] * frame['ratings']).sum():,} ratings",
        f"- hours: {hours.sum().sum():.1f}, {basis}",
    ]))  # fmt: skip
