"""The schema of params.yaml: the scale of a study, its data, models, judges and hardware.

Unknown and mistyped keys are errors. Lengths in words count what stands between white space.
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Epochs = Annotated[float, Field(gt=0, le=1000)]
Weight = Annotated[float, Field(ge=0, le=1000)]
Revision = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=60)]
"""Also a name of a folder, a file and a stage. DVC takes a "." for the end of a key."""


def _not_reserved(name: str) -> str:
    if name in ("IF", "CD", "both", "mean", "all"):
        raise ValueError(f"'{name}' has another meaning in mixtures and tables")
    return name


SetName = Annotated[Name, AfterValidator(_not_reserved)]


class Strict(BaseModel):
    """A block of parameters in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


ENTAILMENT_METRICS = ("entailed", "summac")
"""Faithfulness metrics from -1 (contradicted) to 1; as faithfulness they are put on 0 to 1."""


# ---- data


class WorldData(Strict):
    """The synthetic task: its people, and the number of texts and of prompts per data set."""

    people: Annotated[int, Field(ge=6, le=96)]
    pretraining_texts: Count
    train: Count
    evaluation: Count


class RealData(Strict):
    """Public text in pinned files: for each data set its counts and length limits."""

    sets: dict[str, dict[str, Annotated[int, Field(ge=0, le=10**9)]]]


Layout = Literal[
    "alpaca", "dolly", "sharegpt", "self-instruct", "mrqa-nq", "cnn-dailymail", "ms-marco"
]
"""Row formats of public data sets that data.parsers reads."""
Column = Literal["prompt", "response", "messages", "context", "references", "instructions", "group"]


class TextSet(Strict):
    """A data set in a folder of inputs/, or of the Hugging Face Hub at a commit.

    Attributes:
        repo: the folder, "owner/name" on the Hub, or the address of a repository of files
            ("https://...").
        revision: the commit, 40 digits; none for a folder.
        config: the configuration of the repository, where it has several.
        files: split -> patterns of its files, where the repository declares no splits.
        kind: of own rows, which are recognised by their columns (data.parsers.own_row):
            "instruction", or with a context "extractive" (answers to questions) or "abstractive".
        columns: column of own rows -> its name in the files.
        layout: the format of a public data set, in place of `kind`.
        train: the split of the training examples; null for none.
        evaluation: the split of the evaluation examples; null for none. Where both name one
            split, its groups are divided.
        counts: how many examples are taken for "train" and "evaluation"; all by default.
        context_words: longest context; null sets no limit.
        response_words: longest reference response.
        prompt_bytes: longest prompt in UTF-8: an upper bound of its tokens where a tokenizer
            falls back to bytes.
        asked_words: leave out prompts with instructions of IFEval that ask for more words
            (data.datasets.asked_words says how these are counted).
    """

    repo: str
    revision: Revision | None = None
    config: str | None = None
    files: dict[str, str | list[str]] | None = None
    kind: Literal["instruction", "extractive", "abstractive"] | None = None
    columns: dict[Column, Annotated[str, Field(min_length=1)]] = Field(default={})
    layout: Layout | None = None
    train: str | None = None
    evaluation: str | None = None
    counts: dict[Literal["train", "evaluation"], Count] = Field(default={})
    context_words: Count | None = None
    response_words: Count | None = None
    prompt_bytes: Count | None = None
    asked_words: Count | None = None

    @model_validator(mode="after")
    def _splits(self) -> "TextSet":
        if self.train is None and self.evaluation is None:
            raise ValueError("name a split: 'train', 'evaluation' or both")
        return self

    @model_validator(mode="after")
    def _one_format(self) -> "TextSet":
        if (self.kind is None) == (self.layout is None):
            raise ValueError("give 'kind' for own rows, or 'layout' for a public data set")
        if self.columns and self.layout:
            raise ValueError("columns: a 'layout' has its own")
        return self


class Data(Strict):
    """Where the text comes from: exactly one of `world`, `real` and `sets`.

    Attributes:
        sets: data sets by the name that tables give them.
        verifiable: instructions of `sets` that have none get constraints that a program can check.
    """

    seed: Seed
    world: WorldData | None = None
    real: RealData | None = None
    sets: dict[SetName, TextSet] | None = None
    verifiable: bool = False

    @model_validator(mode="after")
    def _one_origin(self) -> "Data":
        if sum(origin is not None for origin in (self.world, self.real, self.sets)) != 1:
            raise ValueError("give exactly one of 'world', 'real' and 'sets'")
        return self


# ---- base model and training


class LoRA(Strict):
    """Low-rank adapters in place of all weights (Hu et al., 2022).

    Attributes:
        rank: of an adapter's two matrices.
        alpha: their product is multiplied by alpha / rank.
        dropout: share of an adapter's inputs that training leaves out.
        target_modules: names of the layers that get one; "all-linear" is all but the output layer,
            as in QLoRA.
        quantised_base: keep the frozen weights in four bits (QLoRA, Dettmers et al., 2023), which
            needs a CUDA GPU.
    """

    rank: Annotated[int, Field(ge=1, le=4096)]
    alpha: Annotated[float, Field(gt=0, le=4096)]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: Literal["all-linear"] | Annotated[list[str], Field(min_length=1)] = "all-linear"
    quantised_base: bool = False

    def __str__(self) -> str:
        """Return what tables say of it."""
        kind = "QLoRA (base in four bits)" if self.quantised_base else "LoRA"
        return f"{kind}, rank {self.rank}, alpha {self.alpha:g}"


def _one_length(block: Any) -> Any:
    if (block.epochs is None) == (block.steps is None):
        raise ValueError("give exactly one of 'epochs' and 'steps'")
    return block


class Training(Strict):
    """One training run; the same keys at every scale.

    Attributes:
        epochs, steps: how long it lasts; exactly one of them is given.
        batch_size: the effective batch, over devices and accumulation.
        micro_batch_size: what one device takes at once.
        window: batches that are sorted by length together. With 1 every batch mixes data sets; more
            save padding.
        warmup: share of the steps.
        schedule_options: {"decay": share of the steps} of warmup_stable_decay.
        max_length: tokens of prompt and response together; longer examples are left out.
        lora: train adapters, which are merged into the model; null trains all weights.
        flaws: share of the training data whose reference response is flawed; only data that have
            flawed responses (the synthetic task) change.
    """

    epochs: Epochs | None = None
    steps: Count | None = None
    batch_size: Count
    micro_batch_size: Count
    window: Count = 1
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    schedule: Literal["cosine", "linear", "constant_with_warmup", "warmup_stable_decay"]
    schedule_options: dict[str, float] = Field(default={})
    warmup: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    beta2: Annotated[float, Field(gt=0, lt=1)] = 0.999
    max_length: Count
    lora: LoRA | None = None
    flaws: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def tuned(self) -> str:
        """Return what is trained, as tables say it."""
        return str(self.lora or "all weights")

    _length = model_validator(mode="after")(_one_length)

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
                f"schedule_options.decay: {decay:g} must be above 0 and with warmup "
                f"({self.warmup:g}) at most 1"
            )
        return self


class Continuation(Strict):
    """What replaces the values of `training` for arms with `use_continuation`."""

    epochs: Epochs | None = None
    steps: Count | None = None
    learning_rate: Annotated[float, Field(gt=0, lt=1)]

    _length = model_validator(mode="after")(_one_length)


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
    """The shape of a published model; `kv_heads` where keys and values share heads."""

    vocabulary: Count
    kv_heads: Count | None = None


class HubModel(Strict):
    """A model of the Hugging Face Hub at a commit, or in a folder of inputs/, which has none."""

    model: str
    revision: Revision | None = None


class PublishedBase(HubModel):
    """A causal language model.

    Attributes:
        adapter: a LoRA adapter of this model, which is merged into it.
        chat: a chat template: "vicuna", or one in Jinja; null keeps the model's own.
        shape: of its configuration; lengths are checked against it, and `reproduce plan` needs it.
    """

    adapter: HubModel | None = None
    chat: Literal["vicuna"] | Annotated[str, Field(pattern=r"\bmessages\b")] | None = None
    shape: Shape | None = None


class Base(Strict):
    """The base model: pretrained here per seed (`tiny`, `training`), imported or published."""

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
        if self.training and self.training.lora:
            raise ValueError("training.lora: a model is pretrained with all its weights")
        return self


# ---- generation and candidates


class Decoding(Strict):
    """One decoding strategy; temperature 0 is greedy, top_k 0 means no limit."""

    temperature: Annotated[float, Field(ge=0, le=5)]
    top_k: Annotated[int, Field(ge=0, le=10**9)] = 0
    top_p: Share = 1.0
    samples: Count = 1

    @model_validator(mode="after")
    def _greedy_once(self) -> "Decoding":
        if self.temperature == 0 and self.samples > 1:
            raise ValueError("greedy decoding (temperature 0) gives one sample only")
        return self


class Generation(Strict):
    """Limits of every generation: new tokens per response, responses per batch."""

    max_new_tokens: Count
    batch_size: Count


class Candidates(Strict):
    """ReSet's sampling: training prompts per data set, and the decoding strategies."""

    prompts: Count
    strategies: Annotated[dict[Name, Decoding], Field(min_length=1)]


# ---- judges


class CrossEncoderTraining(Strict):
    """How the pipeline trains an entailment model of its own."""

    epochs: Epochs
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    pairs: Count
    seed: Seed


class LLMJudgeSettings(Strict):
    """An LLM judge that rates from 1 to 10 how well a response follows its instruction.

    `judge_server` says where it is and how it is asked.

    Attributes:
        model: the server's name of the model; as exact a version as it knows.
        prompt: a file of judges/prompts, without its ending.
        max_tokens: of one rating.
        max_unreadable_share: a stage with more unreadable ratings fails.
    """

    model: str
    prompt: Annotated[str, Field(pattern="^[a-z0-9-]+$")] = "single-v1"
    max_tokens: Count = 1024
    max_unreadable_share: Annotated[float, Field(ge=0, le=1)] = 0.02


class Judging(Strict):
    """The judges of faithfulness and instruction following.

    Attributes:
        entailment: "symbolic" is exact on the synthetic task; "trained" trains a cross-encoder by
            `training`; "published" takes the sequence classifier
            of `published`.
        extractive: the faithfulness metric of an extractive answer. "reader" is the span reader;
            it decides, and "entailed" selects the candidates of ReSet, so that no judge decides
            on what it selected.
        abstractive: the faithfulness metric of a summary.
        max_empty_share: a stage with more empty responses fails.
        llm_judge: rates instruction following; without it, the score is the share of the
            verifiable instructions that are followed.
    """

    entailment: Literal["symbolic", "trained", "published"]
    training: CrossEncoderTraining | None = None
    published: HubModel | None = None
    extractive: Literal["entailed", "coverage", "k_precision", "reader"]
    abstractive: Literal["summac", "coverage", "k_precision"]
    max_empty_share: Annotated[float, Field(ge=0, le=1)]
    llm_judge: LLMJudgeSettings | None = None

    @property
    def faithfulness_metric(self) -> dict[str, str]:
        """Return kind of example -> the metric of its faithfulness."""
        return {"extractive": self.extractive, "abstractive": self.abstractive}

    @property
    def uses_reader(self) -> bool:
        """Return whether the span reader scores answers."""
        return self.extractive == "reader"

    @property
    def selection_metric(self) -> dict[str, str]:
        """Return kind of example -> the metric of faithfulness by which ReSet selects."""
        return self.faithfulness_metric | ({"extractive": "entailed"} if self.uses_reader else {})

    @model_validator(mode="after")
    def _settings_of_the_model(self) -> "Judging":
        for name, value in (("training", self.training), ("published", self.published)):
            entailment = "trained" if name == "training" else name
            if (self.entailment == entailment) != (value is not None):
                raise ValueError(f"'{name}' goes with entailment '{entailment}', and only with it")
        return self


class Validation(Strict):
    """How the judges are validated: trials per data set, and what they must reach.

    A faithfulness metric whose AUC on wrong answers of the same passage has a lower end of its
    interval below `min_auc`, or with fewer than `min_trials` of them, is not used for claims.
    """

    trials: Count
    min_trials: Count
    min_auc: Annotated[float, Field(ge=0.5, le=1)]
    seed: Seed


class JudgeServer(Strict):
    """The server of the LLM judge. It decides no number, so no stage depends on it.

    Attributes:
        url: where the server speaks OpenAI's protocol ("https://api.openai.com/v1").
        key: the environment variable that holds the key, which is itself written nowhere; "" for
            a server that asks for none.
        budget: ratings by one model and prompt that the profile may ask for in all; no request
            is sent that would exceed it.
        concurrency: requests that are under way together, over all seeds.
        timeout: seconds that one request may take.
        attempts: how often a request is tried on status 429, 5xx, or no answer.
    """

    url: str
    key: Annotated[str, Field(pattern="^([A-Za-z_][A-Za-z0-9_]*)?$")] = "OPENAI_API_KEY"
    budget: Count
    concurrency: Count = 8
    timeout: Annotated[float, Field(gt=0)] = 120.0
    attempts: Count = 6

    @model_validator(mode="after")
    def _plain_address(self) -> "JudgeServer":
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            # Parameters are committed and logged, so they are no place for a password.
            raise ValueError("'url' must be http://host/... or https://host/..., without a login")
        if parts.query or parts.fragment:
            raise ValueError("'url' must have no '?' and no '#'; a key goes into 'key'")
        return self


# ---- statistics, hardware, and the whole file


class Statistics(Strict):
    """The confidence level of every interval."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class Hardware(Strict):
    """What computes a run. Numbers may depend on it, so stages do.

    Attributes:
        threads: of each process.
        precision: of training (weights stay fp32 under "bf16", products are taken in bf16) and of
            generation. "bf16" is fast on GPUs and on CPUs with bf16 products, and several times
            as slow as "fp32" on others.
        deepspeed: path of a DeepSpeed configuration, below the profile's folder; null trains
            without.
        launch: command before that of a training run, which starts `devices` processes of it
            ("torchrun --standalone --nproc_per_node 8 --no-python"), with variables of the
            environment filled in ("$HOST"); "" trains in this process.
        devices: processes that train together; they and accumulation share the effective batch.
        gradient_checkpointing: compute activations twice to hold them once.
        save_every: steps between checkpoints from which a stopped run resumes; null keeps none.
        vllm: the Python of an environment with vLLM, which then generates, on all `devices`, with
            variables of the environment filled in; null generates with our own loop, on one.
    """

    threads: Count
    precision: Literal["fp32", "bf16"] = "fp32"
    deepspeed: str | None = None
    launch: str = ""
    devices: Count = 1
    gradient_checkpointing: bool = False
    save_every: Count | None = None
    vllm: str | None = None

    @model_validator(mode="after")
    def _launched(self) -> "Hardware":
        if self.devices > 1 and not self.launch:
            raise ValueError(f"'devices' is {self.devices}: give the 'launch' that starts them")
        return self


class Params(Strict):
    """The whole params.yaml of a profile.

    Attributes:
        package, lock, claims, predictions: paths, as seen from the profile's folder.
        seeds: what a run makes; tables take published seeds next to them.
        workers: seeds that run side by side. It decides no number, so no stage depends on it.
        captions: remarks below tables, by their names.
    """

    profile: str
    package: str
    lock: str
    claims: str
    predictions: str
    seeds: Annotated[list[Seed], Field(min_length=1)]
    workers: Count
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
    captions: dict[str, str] = Field(default={})
    judge_server: JudgeServer | None = None

    @property
    def for_gpus(self) -> bool:
        """Return whether the profile is made for GPUs."""
        hardware = self.hardware
        return hardware.devices > 1 or bool(hardware.deepspeed or self.base.published)

    @model_validator(mode="after")
    def _one_run_on_all_devices(self) -> "Params":
        for name in ("deepspeed", "launch", "vllm"):
            if self.workers > 1 and getattr(self.hardware, name):
                raise ValueError(
                    f"workers: {self.workers}, but hardware.{name} takes all devices for one run; "
                    "set 'workers' to 1"
                )
        return self

    @model_validator(mode="after")
    def _batches_for_all_devices(self) -> "Params":
        for name, training in (("training", self.training), ("base.training", self.base.training)):
            at_once = training.micro_batch_size * self.hardware.devices if training else 1
            if training and training.batch_size % at_once:
                raise ValueError(
                    f"{name}.batch_size: {training.batch_size} is no multiple of micro_batch_size "
                    f"{training.micro_batch_size} on {self.hardware.devices} devices"
                )
        return self

    @model_validator(mode="after")
    def _rows_within_the_model(self) -> "Params":
        shape = self.base.tiny or (self.base.published and self.base.published.shape)
        if not shape:
            return self
        for name, training in (("training", self.training), ("base.training", self.base.training)):
            if training and training.max_length > shape.max_positions:
                raise ValueError(
                    f"{name}.max_length: {training.max_length} tokens, but the model has "
                    f"{shape.max_positions} positions"
                )
        new_tokens = self.generation.max_new_tokens
        if self.training.max_length + new_tokens > shape.max_positions:
            raise ValueError(
                f"training.max_length: a prompt of up to {self.training.max_length} tokens and "
                f"generation.max_new_tokens {new_tokens} are more than the model's "
                f"{shape.max_positions} positions"
            )
        return self

    @model_validator(mode="after")
    def _four_bits(self) -> "Params":
        lora, hardware = self.training.lora, self.hardware
        if lora and lora.quantised_base and (hardware.precision != "bf16" or hardware.deepspeed):
            raise ValueError(
                "training.lora.quantised_base: needs hardware.precision bf16 and no deepspeed"
            )
        return self

    @model_validator(mode="after")
    def _judge_and_server(self) -> "Params":
        if (self.judging.llm_judge is None) != (self.judge_server is None):
            raise ValueError("set both judge_server and judging.llm_judge, or neither")
        return self

    @model_validator(mode="after")
    def _distinct_seeds(self) -> "Params":
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: duplicate value in {self.seeds}")
        return self
