"""What a study may be told: a schema of params.yaml and experiments.yaml, checked before work."""

from reproduce.config.claims import Claim, Claims, Difference
from reproduce.config.data import Data, HubData, HubSet, RealData, WorldData
from reproduce.config.experiments import (
    Arm,
    Experiments,
    Selection,
    Weights,
    by_key,
    training_of,
)
from reproduce.config.generation import Candidates, Decoding, Generation, Served
from reproduce.config.judging import (
    BY_ENTAILMENT,
    CrossEncoderTraining,
    Judging,
    Published,
    Rated,
    Validation,
)
from reproduce.config.load import (
    ConfigError,
    check_together,
    load_claims,
    load_experiments,
    load_params,
    refuse_unset,
)
from reproduce.config.params import Params, Statistics
from reproduce.config.pins import pins, refuse_unpinned
from reproduce.config.servers import JudgeServer, SamplerServer, Servers, is_local
from reproduce.config.training import (
    Base,
    Continuation,
    Hardware,
    PublishedBase,
    Shape,
    TinyModel,
    Training,
)

__all__ = [
    "BY_ENTAILMENT",
    "Arm",
    "Base",
    "Candidates",
    "Claim",
    "Claims",
    "ConfigError",
    "Continuation",
    "CrossEncoderTraining",
    "Data",
    "Decoding",
    "Difference",
    "Experiments",
    "Generation",
    "Hardware",
    "HubData",
    "HubSet",
    "JudgeServer",
    "Judging",
    "Params",
    "Published",
    "PublishedBase",
    "Rated",
    "RealData",
    "SamplerServer",
    "Selection",
    "Served",
    "Servers",
    "Shape",
    "Statistics",
    "TinyModel",
    "Training",
    "Validation",
    "Weights",
    "WorldData",
    "by_key",
    "check_together",
    "is_local",
    "load_claims",
    "load_experiments",
    "load_params",
    "pins",
    "refuse_unpinned",
    "refuse_unset",
    "training_of",
]
