"""params.yaml, experiments.yaml and claims.yaml, read and checked before any work."""

import os
import re
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from reproduce.config.claims_file import Claims, Prediction, Predictions
from reproduce.config.experiments import PRETRAINED, Arms, Experiments, training_for
from reproduce.config.params import Params
from reproduce.utils.files import UserError

T = TypeVar("T", bound=BaseModel)

INPUTS = "inputs"
"""The folder of a profile for own data and models. Stages depend on it, so DVC sees changes."""


class ConfigError(UserError):
    """A parameter that is unknown, mistyped, out of range or contradictory."""


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Return the checked parameters of a profile; raise ConfigError naming what is wrong."""
    params = _load(Params, path)
    files = {
        "claims": params.claims,
        "predictions": params.predictions,
        "hardware.deepspeed": params.hardware.deepspeed,
    }
    for key, name in files.items():
        if name is not None and not os.path.isfile(path.parent / name):
            raise ConfigError(f"{path}: {key}: there is no file {name}")
    inputs = (path.parent / INPUTS).resolve()
    for place, (name, _) in _external(params).items():
        folder = path.parent / name
        is_inside = folder.is_dir() and folder.resolve().is_relative_to(inputs)
        if not is_inside and (folder.is_dir() or is_input(name)):
            raise ConfigError(
                f"{path}: {place}: {name} must be a folder in {INPUTS}/ (not a link), where DVC "
                "sees changes"
            )
    return params


def load_experiments(path: Path = Path("experiments.yaml")) -> Experiments:
    """Return the arms and their labels; raise ConfigError naming what is wrong."""
    return _load(Experiments, path)


def load_claims(path: Path, arms: Arms) -> Claims:
    """Return the claims, without secondary differences and requirements that name other arms.

    Raises ConfigError naming what is wrong, or an arm of a primary difference that does not exist.
    """
    claims, kept = _load(Claims, path), {}
    for claim_id, claim in claims.claims.items():
        for difference in claim.primary:
            for arm in (difference.arm, difference.against):
                if arm not in arms:
                    raise ConfigError(f"{path}: claims.{claim_id}: there is no arm '{arm}'")
        parts = {
            name: [d for d in getattr(claim, name) if {d.arm, d.against} <= set(arms)]
            for name in ("secondary", "requires")
        }
        kept[claim_id] = claim.model_copy(update=parts)
    return claims.model_copy(update={"claims": kept})


def load_predictions(path: Path, profile: str) -> dict[str, Prediction]:
    """Return the predictions of a profile by name; raise ConfigError naming what is wrong."""
    predictions = _load(Predictions, path).predictions
    return {name: p for name, p in predictions.items() if profile in p.profiles}


def check_steps(params: Params, arms: Arms, claims: Claims) -> None:
    """Raise ConfigError for a comparison at equal steps of arms whose steps differ."""

    def steps(name: str) -> int | None:
        if name == PRETRAINED:
            return 0
        before, own = steps(arms[name].start), training_for(params, arms[name]).steps
        if not arms[name].trains:
            return before
        return None if before is None or own is None else before + own

    for claim_id, claim in claims.claims.items():
        for difference in claim.differences:
            counts = [steps(name) for name in (difference.arm, difference.against)]
            if difference.equal_steps and (None in counts or counts[0] != counts[1]):
                raise ConfigError(
                    f"{params.claims}: claims.{claim_id}: {difference.arm} and "
                    f"{difference.against} are compared at equal steps, but have {counts[0]} and "
                    f"{counts[1]} from the common start (null: set by 'epochs')"
                )


def check_candidates(params: Params, arms: Arms) -> None:
    """Raise ConfigError where an arm asks for more candidates than the profile samples."""
    total = sum(strategy.samples for strategy in params.candidates.strategies.values())
    for name, arm in arms.items():
        if arm.select and (arm.select.candidates or 0) > total:
            raise ConfigError(
                f"arms.{name}.select.candidates: {arm.select.candidates}, but the strategies of "
                f"params.yaml (candidates.strategies) sample {total}"
            )


def check_ready(params: Params) -> None:
    """Raise ConfigError where a run could not start.

    That is a model or data set of the Hugging Face Hub without a revision, a base in four bits
    without a GPU, or a program or variable of `hardware` that is not there.
    """
    for place, (name, revision) in pins(params).items():
        if revision is None:
            raise ConfigError(
                f"{place}: '{name}' is no local folder and has no 'revision'; "
                f"{pin_command(place, name)}"
            )
    lora = params.training.lora
    if lora and lora.quantised_base:
        if not shutil.which("nvidia-smi"):
            raise ConfigError(
                "training.lora.quantised_base: needs a CUDA GPU; this machine has none"
            )
        if find_spec("bitsandbytes") is None:
            raise ConfigError(
                "training.lora.quantised_base: run `pip install bitsandbytes==0.50.2`"
            )
    for key in ("launch", "vllm"):
        text = os.path.expandvars(getattr(params.hardware, key) or "")
        if unset := re.search(r"\$\{?\w+\}?", text):
            raise ConfigError(f"hardware.{key}: the environment has no {unset[0]}; set it")
        if key == "vllm" and text and not os.access(text, os.X_OK):
            raise ConfigError(f"hardware.vllm: {text} is no program; name the Python that has vLLM")


def pins(params: Params) -> dict[str, tuple[str, str | None]]:
    """Return parameter -> (name on the Hub, revision) of all that a profile takes from there."""
    return {place: pin for place, pin in _external(params).items() if not is_input(pin[0])}


def own_inputs(params: Params) -> list[str]:
    """Return the folders of INPUTS that a profile uses."""
    return [name for name, _ in _external(params).values() if is_input(name)]


def is_input(name: str) -> bool:
    """Return whether a data set or model is a folder of INPUTS, not a name on the Hub."""
    return os.path.isdir(name) or Path(name).parts[:1] == (INPUTS,)


def _external(params: Params) -> dict[str, tuple[str, str | None]]:
    """Return parameter -> (name on the Hub or folder, revision) of what others made."""
    named: dict[str, tuple[str, str | None]] = {}
    base, judge = params.base.published, params.judging.published
    models = {"base.published": base, "base.published.adapter": base and base.adapter,
              "judging.published": judge}  # fmt: skip
    named |= {place: (m.model, m.revision) for place, m in models.items() if m}
    for name, text_set in (params.data.sets or {}).items():
        named[f"data.sets.{name}"] = (text_set.repo, text_set.revision)
    return named


def pin_command(place: str, name: str) -> str:
    """Return how to find the revision of what the parameter `place` takes from the Hub."""
    if "://" in name:
        return "look up the newest commit at its address (40 digits)"
    option = "--dataset " if place.startswith("data.") else ""
    return f"`reproduce pin {option}{name}` asks the Hugging Face Hub for the newest (40 digits)"


def _load(schema: type[T], path: Path) -> T:
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))  # YAML 1.2, as DVC.
        return schema.model_validate(content)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: missing; run this in the folder of a profile") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        lines = "\n".join(f"  {_describe(problem)}" for problem in error.errors())
        raise ConfigError(f"{path}: invalid configuration\n{lines}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error


def _describe(problem: Any) -> str:
    """Return key, message and value of a problem; no value where it may hold a key or password."""
    name = ".".join(str(part) for part in problem["loc"]) or "(whole file)"
    value, unknown = problem["input"], problem["type"] == "extra_forbidden"
    private = unknown or "judge_server" in problem["loc"]
    hidden = isinstance(value, Mapping) or (private and not isinstance(value, int | float))
    return f"{name}: {problem['msg']}" + ("" if hidden else f" (given: {str(value)[:80]})")
