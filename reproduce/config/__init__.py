"""The schemas of params.yaml, experiments.yaml and claims.yaml, checked before any work."""

from reproduce.config.claims_file import Claim, Claims, Difference, Pair, Prediction, Predictions
from reproduce.config.experiments import PRETRAINED, Arm, Arms, Experiments, Selection, Weights
from reproduce.config.experiments import training_for
from reproduce.config.load import ConfigError, check_candidates, check_ready, is_input, load_claims
from reproduce.config.load import (
    check_steps,
    load_experiments,
    load_params,
    load_predictions,
    own_inputs,
    pin_command,
)
from reproduce.config.load import pins
from reproduce.config.params import ENTAILMENT_METRICS, Base, Candidates, CrossEncoderTraining
from reproduce.config.params import Data, Decoding, Generation, Hardware
from reproduce.config.params import JudgeServer, Judging, Layout, LLMJudgeSettings, LoRA, Params
from reproduce.config.params import PublishedBase, HubModel, RealData, Shape, Statistics
from reproduce.config.params import TextSet, TinyModel, Training, Validation, WorldData
