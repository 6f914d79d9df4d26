"""The schemas of params.yaml, experiments.yaml and claims.yaml, checked before any work."""

from reproduce.config.claims_file import Claim, Claims, Difference, Pair, Prediction
from reproduce.config.experiments import PRETRAINED, Arm, Arms, Selection, Weights
from reproduce.config.experiments import training_for
from reproduce.config.load import ConfigError, check_candidates, check_ready, check_steps, is_input
from reproduce.config.load import load_claims, load_experiments, load_params, load_predictions
from reproduce.config.load import own_inputs, pins
from reproduce.config.params import ENTAILMENT_METRICS, Base, CrossEncoderTraining
from reproduce.config.params import Data, Decoding, Generation, Hardware
from reproduce.config.params import JudgeServer, Judging, LLMJudgeSettings, LoRA, Params
from reproduce.config.params import PublishedBase, HubModel, RealData, Statistics
from reproduce.config.params import TextSet, TinyModel, Training, WorldData
