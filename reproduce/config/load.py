"""params.yaml and experiments.yaml, read and checked before any work."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from reproduce.config.claims import Claims
from reproduce.config.experiments import Arm, Experiments, by_key
from reproduce.config.params import Params

T = TypeVar("T", bound=BaseModel)


class ConfigError(Exception):
    """A parameter that is unknown, mistyped, out of range or contradictory."""


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Return the checked parameters of a profile; raise ConfigError naming what is wrong.

    Files that they name are below the folder of `path`, from which a profile is run.
    """
    params = _checked(Params, path)
    deepspeed = params.hardware.deepspeed
    if deepspeed and not (path.parent / deepspeed).is_file():
        raise ConfigError(f"{path}: hardware.deepspeed: there is no file {deepspeed}")
    return params


def refuse_unset(params: Params) -> None:
    """Raise ConfigError naming a variable of the launcher's command that the environment lacks."""
    left = re.search(r"\$\{?\w+\}?", os.path.expandvars(params.hardware.launch))
    if left:
        raise ConfigError(
            f"hardware.launch: the environment has no {left[0]}; set it, or write its value there"
        )


def load_experiments(path: Path = Path("experiments.yaml")) -> dict[str, dict[str, Arm]]:
    """Return experiment -> arm -> settings; raise ConfigError naming what is wrong."""
    return _checked(Experiments, path).experiments


def load_claims(path: Path, experiments: dict[str, dict[str, Arm]]) -> Claims:
    """Return the claims; raise ConfigError naming what is wrong, or an arm that does not exist."""
    found = _checked(Claims, path)
    known = by_key(experiments)
    for claim in found.claims:
        for difference in claim.differences:
            for arm in (difference.arm, difference.against):
                if arm not in known:
                    raise ConfigError(f"{path}: '{claim.claim}': there is no arm '{arm}'")
    return found


def check_together(params: Params, experiments: dict[str, dict[str, Arm]]) -> None:
    """Raise ConfigError where an arm asks for candidates that the profile does not draw."""
    known = params.candidates.strategies
    for experiment, arms in experiments.items():
        for name, arm in arms.items():
            place = f"experiments.{experiment}.{name}.select"
            wanted = (arm.select.strategies if arm.select else None) or []
            for strategy in wanted:
                if strategy not in known:
                    raise ConfigError(
                        f"{place}.strategies: '{strategy}' is not one of {sorted(known)} "
                        "(candidates.strategies of params.yaml)"
                    )
            whole = sum(strategy.samples for strategy in known.values())
            drawn = sum(known[strategy].samples for strategy in wanted or known)
            share = (arm.select.candidates if arm.select else None) or 0
            # As share_of counts: 0.28 of 25 is 7, not a rounding error more.
            if round(share * whole, 6) > drawn:
                raise ConfigError(
                    f"{place}.candidates: {share} of the {whole} that are drawn, but its "
                    f"strategies draw {drawn} (samples, candidates.strategies of params.yaml)"
                )


def _checked(schema: type[T], path: Path) -> T:
    try:
        return schema.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: missing; run from the folder of a profile, where params.yaml is"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        faults = "\n".join(f"  {_fault(fault)}" for fault in error.errors())
        raise ConfigError(f"{path} is refused:\n{faults}") from None


def _fault(fault: Any) -> str:
    name = ".".join(str(part) for part in fault["loc"]) or "(whole file)"
    return f"{name}: {fault['msg']}{_given(fault)}"


def _given(fault: Any) -> str:
    """Return what was given, in brackets; "" where that may be, or hold, a key or a password."""
    given, unknown = fault["input"], fault["type"] == "extra_forbidden"
    private = unknown or "servers" in fault["loc"]
    if isinstance(given, Mapping) or (private and not isinstance(given, int | float)):
        return ""
    return f" (given: {str(given)[:80]})"
