"""A schema of the base model, of its training and of the devices that do it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from reproduce.config.types import Count, Revision, Strict


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
        decay = self.schedule_options.get("decay")
        if decay is not None and not 0 < decay <= 1 - self.warmup:
            raise ValueError(
                f"schedule_options.decay: {decay:g} is a share of the steps, above 0 and with the "
                f"warm-up ({self.warmup:g}) at most 1"
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


class Shape(TinyModel):
    """The shape of a LLaMA that somebody else pretrained."""

    vocabulary: Count


class PublishedBase(Strict):
    """A causal language model of a hub at a commit, or in a local folder (no revision).

    Attributes:
        chat: the chat template that it gets, a name in sources.chat.TEMPLATES; null keeps its own.
        shape: what its configuration must say; also what `reproduce plan` reckons with.
    """

    model: str
    revision: Revision | None = None
    chat: Literal["vicuna"] | None = None
    shape: Shape | None = None


class Base(Strict):
    """The base model: pretrained here (`tiny`, `training`; one a seed), imported or published."""

    tiny: TinyModel | None = None
    training: Training | None = None
    imported: Literal["smollm2"] | None = None
    published: PublishedBase | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> "Base":
        if sum(origin is not None for origin in (self.tiny, self.imported, self.published)) != 1:
            raise ValueError("give exactly one of 'tiny', 'imported' and 'published'")
        if (self.tiny is None) != (self.training is None):
            raise ValueError("'training' goes with 'tiny', and only with it")
        return self


class Hardware(Strict):
    """How many runs go side by side, and the threads of each.

    Attributes:
        threads_alone: threads of a step that runs by itself, such as the tuning of the entailment
            model; `threads` are those of each of the `workers`.
        precision: of training (weights stay fp32 under "bf16", the products are taken in bf16) and
            of generation. "bf16" is fast on GPUs and on CPUs with bf16 products (Intel's AMX), and
            several times as slow as "fp32" on others; "auto" is the faster one of the machine that
            the stage runs on.
        deepspeed: path of a DeepSpeed configuration, below the profile's folder; null trains
            without. With it, and no launcher, one process is a world of its own.
        launch: command before that of a training run, which starts `devices` processes of it
            ("torchrun --standalone --nproc_per_node 8 --no-python", "srun ..."), with variables
            of the environment filled in ("$HOST"); "" trains here.
        devices: processes that train together; they and accumulation share the effective batch.
        attention: how attention is computed.
        gradient_checkpointing: compute activations twice to hold them once.
        save_every: steps between checkpoints from which a stopped run goes on; null keeps none.
    """

    workers: Count
    threads: Count
    threads_alone: Count
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
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
        return self

    @model_validator(mode="after")
    def _precision_that_can_be(self) -> "Hardware":
        if self.precision == "auto" and (self.launch or self.deepspeed):
            # The machine that starts the run need not be one of those that train.
            raise ValueError("'precision' is auto: with 'launch' or 'deepspeed' say fp32 or bf16")
        if self.attention == "flash_attention_2" and self.precision != "bf16":
            raise ValueError("'attention' is flash_attention_2, which needs 'precision' bf16")
        return self
