"""A schema of params.yaml: the scale of a study, its data, model and judges."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from reproduce.config.strict import Count, Share, Strict


class WorldData(Strict):
    """The generated world: its people and the number of its texts and prompts."""

    people: Annotated[int, Field(ge=6, le=96)]
    pretraining_texts: Count
    train: Count
    evaluation: Count


class RealData(Strict):
    """Public text: for each data set the bounds that sources.real_examples takes."""

    sets: dict[str, dict[str, Annotated[int, Field(ge=0)]]]


class Data(Strict):
    """Where the text comes from: exactly one of `world` and `real`."""

    seed: int
    world: WorldData | None = None
    real: RealData | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> "Data":
        if (self.world is None) == (self.real is None):
            raise ValueError("give exactly one of 'world' and 'real'")
        return self


class Training(Strict):
    """One pass of the trainer; the same keys at every scale.

    `batch_size` is the effective batch, over devices and accumulation; `micro_batch_size`
    is what one device takes at once.
    """

    epochs: Annotated[float, Field(gt=0)]
    batch_size: Count
    micro_batch_size: Count
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    schedule: Literal["cosine", "linear", "constant_with_warmup", "warmup_stable_decay"]
    schedule_options: dict[str, float] = Field(default={})
    warmup: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    beta2: Annotated[float, Field(gt=0, lt=1)] = 0.999
    max_length: Count

    @model_validator(mode="after")
    def _whole_batches(self) -> "Training":
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of "
                f"micro_batch_size {self.micro_batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _options_of_the_schedule(self) -> "Training":
        allowed = {"decay"} if self.schedule == "warmup_stable_decay" else set()
        for option in sorted(set(self.schedule_options) - allowed):
            raise ValueError(
                f"schedule_options: '{option}' is no option of {self.schedule}; "
                f"allowed: {sorted(allowed) or 'none'}"
            )
        return self


class Continuation(Strict):
    """What differs in `training` where a model that is tuned already is tuned further."""

    epochs: Annotated[float, Field(gt=0)]
    learning_rate: Annotated[float, Field(gt=0, lt=1)]


class TinyModel(Strict):
    """The shape of a LLaMA that is pretrained here."""

    hidden_size: Count
    intermediate_size: Count
    layers: Count
    heads: Count
    max_positions: Count

    @model_validator(mode="after")
    def _whole_heads(self) -> "TinyModel":
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size {self.hidden_size} is no multiple of heads {self.heads}")
        return self


class Base(Strict):
    """The base model: pretrained here (`tiny` with `training`) or imported by name."""

    seed: int
    tiny: TinyModel | None = None
    training: Training | None = None
    imported: Literal["smollm2"] | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> "Base":
        if (self.tiny is None) == (self.imported is None):
            raise ValueError("give exactly one of 'tiny' and 'imported'")
        if (self.tiny is None) != (self.training is None):
            raise ValueError("'training' goes with 'tiny', and only with it")
        return self


class Decoding(Strict):
    """One way to draw responses; temperature 0 is greedy."""

    temperature: Annotated[float, Field(ge=0, le=5)]
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Share = 1.0
    samples: Count = 1

    @model_validator(mode="after")
    def _greedy_once(self) -> "Decoding":
        if self.temperature == 0 and self.samples > 1:
            raise ValueError("greedy decoding (temperature 0) gives one sample only")
        return self


class Generation(Strict):
    """Bounds of every generation."""

    max_new_tokens: Count
    batch_size: Count


class Candidates(Strict):
    """ReSet's sampling: how many seen prompts a data set, and the decoding strategies."""

    prompts: Count
    strategies: dict[str, Decoding]


class CrossEncoderTraining(Strict):
    """How the pipeline tunes an entailment model of its own."""

    epochs: Annotated[float, Field(gt=0)]
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    pairs: Count
    seed: int


class Published(Strict):
    """A sequence classifier of the hub at a commit, or in a local folder (no revision)."""

    model: str
    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None

    @model_validator(mode="after")
    def _pinned(self) -> "Published":
        if self.revision is None and not Path(self.model).is_dir():
            raise ValueError(f"'{self.model}' is no local folder: give its 'revision' (40 digits)")
        return self


class Judging(Strict):
    """What judges faithfulness, and how many empty responses a run may have.

    Attributes:
        entailment: "symbolic" is exact in the generated world; "lexical" counts shared words;
            "trained" tunes a cross-encoder by `training`; "published" takes that of `published`.
        extractive: the figure that counts as the faithfulness of an extractive answer.
        abstractive: the figure that counts as the faithfulness of a summary.
        max_empty_share: a run with more empty responses fails.
    """

    entailment: Literal["symbolic", "lexical", "trained", "published"]
    training: CrossEncoderTraining | None = None
    published: Published | None = None
    extractive: Literal["entailed", "coverage", "k_precision"]
    abstractive: Literal["summac", "coverage", "k_precision"]
    max_empty_share: Annotated[float, Field(ge=0, le=1)]

    @property
    def carriers(self) -> dict[str, str]:
        """Return kind of example -> the figure that counts as its faithfulness."""
        return {"extractive": self.extractive, "abstractive": self.abstractive}

    @model_validator(mode="after")
    def _settings_of_the_model(self) -> "Judging":
        for name, given in (("training", self.training), ("published", self.published)):
            kind = "trained" if name == "training" else name
            if (self.entailment == kind) != (given is not None):
                raise ValueError(f"'{name}' goes with entailment '{kind}', and only with it")
        return self


class Validation(Strict):
    """How the judges are measured: right and wrong responses a data set, and what they must reach.

    A figure of faithfulness with an AUC below `least_auc` on wrong answers of the same passage,
    or with fewer than `least_trials` of them, carries no claim.
    """

    trials: Count
    least_trials: Count
    least_auc: Annotated[float, Field(ge=0.5, le=1)]
    seed: int


class Statistics(Strict):
    """The bootstrap: resamples, confidence level and seed."""

    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    seed: int


class Hardware(Strict):
    """How many runs go side by side, and the threads of each.

    Attributes:
        precision: of training (weights stay fp32 under "bf16", the products are taken in bf16) and
            of generation. "bf16" is fast on GPUs and on CPUs with bf16 products (Intel's AMX), slow
            on others.
        deepspeed: path of a DeepSpeed configuration, below the profile's folder; null trains
            without. With it, and no launcher, one process is a world of its own.
        launch: command before that of a training run, which starts `devices` processes of it
            ("torchrun --standalone --nproc_per_node 8 --no-python", "srun ..."); "" trains here.
        devices: processes that train together; they and accumulation share the effective batch.
        attention: how attention is computed.
        gradient_checkpointing: compute activations twice to hold them once.
        save_every: steps between checkpoints from which a stopped run goes on; null keeps none.
    """

    workers: Count
    threads: Count
    base_threads: Count
    precision: Literal["fp32", "bf16"] = "fp32"
    deepspeed: str | None = None
    launch: str = ""
    devices: Count = 1
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    gradient_checkpointing: bool = False
    save_every: Count | None = None

    @model_validator(mode="after")
    def _one_at_a_time(self) -> "Hardware":
        for name, given in (("deepspeed", self.deepspeed), ("launch", self.launch)):
            if given and self.workers > 1:
                raise ValueError(f"'{name}' takes all devices for one run: set 'workers' to 1")
        if self.devices > 1 and not self.launch:
            raise ValueError(f"'devices' is {self.devices}: give the 'launch' that starts them")
        if self.deepspeed and not Path(self.deepspeed).is_file():
            raise ValueError(f"'deepspeed': there is no file {self.deepspeed}")
        return self


class Params(Strict):
    """The whole params.yaml of a profile."""

    profile: str
    package: str
    lock: str
    claims: str
    seeds: Annotated[list[int], Field(min_length=1)]
    data: Data
    base: Base
    training: Training
    continuation: Continuation
    generation: Generation
    candidates: Candidates
    judging: Judging
    validation: Validation
    statistics: Statistics
    hardware: Hardware

    @model_validator(mode="after")
    def _batches_for_all_devices(self) -> "Params":
        for name, found in (("training", self.training), ("base.training", self.base.training)):
            at_once = found.micro_batch_size * self.hardware.devices if found else 1
            if found and found.batch_size % at_once:
                raise ValueError(
                    f"{name}.batch_size: {found.batch_size} is no multiple of micro_batch_size "
                    f"{found.micro_batch_size} on {self.hardware.devices} devices"
                )
        return self

    @model_validator(mode="after")
    def _distinct_seeds(self) -> "Params":
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: {self.seeds} names one seed twice")
        return self
