"""What makes results worthless however well they agree: other code or inputs, edits, lost runs."""

import json
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import reproduce
from reproduce.config import Arm, Params, by_key, training_of
from reproduce.utils.files import SUMS, UnusableFile, fingerprint, read_json

MOST_NAMED = 8

Arms = Mapping[str, Mapping[str, Arm]]
Status = Mapping[str, list[Any]]
"""What `dvc status` says: stage -> changes."""


def listed(names: Collection[str]) -> str:
    """Return names as text, the first eight of many."""
    shown = ", ".join(sorted(names)[:MOST_NAMED])
    return shown + (" ..." if len(names) > MOST_NAMED else "")


def faults(params: Params, experiments: Arms, artifacts: Path) -> list[str]:
    """Return what is wrong with the results of the profile in the working directory.

    Each is one sentence with what to do; nothing is changed.
    """
    status = dvc_status()
    found = {
        "made by other code, parameters or inputs: {}; run `dvc repro`": stale(status),
        "edited since they were made: {}; `dvc repro` makes them again, `git checkout` brings back "
        "those that are committed": edited(status),
        "made from other inputs than those that are here: {}; run `dvc repro`": foreign(artifacts),
        "made with other settings than hold now: {}; run `dvc repro --force`": differing(
            params, experiments, artifacts
        ),
        "without a record of their run: {}; delete them and run `dvc repro`": nameless(artifacts),
    }
    told = [text.format(listed(names)) for text, names in found.items() if names]
    return [*misplaced(Path(params.package)), *told]


def misplaced(package: Path) -> list[str]:
    """Return what to do where the code that runs is not the profile's: its clone was moved."""
    runs, own = Path(reproduce.__file__).resolve().parent, package.resolve()
    if runs == own:
        return []
    return [
        f"the code that runs is {runs}, that of this profile {own}: the environment is another "
        "clone's, or this one was moved; set it up again (`rm -rf .venv`, then `make .venv/ready`)"
    ]


def dvc_status() -> Status:
    """Return what DVC finds changed; raise UnusableFile, with its reason, where it cannot say."""
    command = [sys.executable, "-m", "dvc", "status", "dvc.yaml", "--json"]
    asked = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        found: Status = json.loads(asked.stdout)
    except ValueError:
        # The last line may be where to ask for help.
        lines = asked.stderr.strip().splitlines() or ["no answer"]
        reason = next((line for line in lines if line.startswith("ERROR")), lines[-1])
        raise UnusableFile(
            f"`dvc status` cannot say what is stale: {reason}; it writes to .dvc/tmp, so a folder "
            "that is read-only has to be copied first"
        ) from None
    return found


def stale(status: Status) -> list[str]:
    """Return the stages whose code, parameters or inputs are not those of their results."""
    return [stage for stage, changes in status.items() if any(map(_reruns, changes))]


def edited(status: Status) -> list[str]:
    """Return the outputs that are there with other bytes than their stage wrote."""
    changes = [each for found in status.values() for each in found if isinstance(each, dict)]
    states = [item for each in changes for item in each.get("changed outs", {}).items()]
    return sorted({path for path, state in states if state == "modified"})


def foreign(artifacts: Path) -> list[str]:
    """Return the arms that were made from other inputs than those that are here."""
    return [
        folder.relative_to(artifacts).as_posix()
        for folder in _arms(artifacts)
        if _others(folder, artifacts)
    ]


def differing(params: Params, experiments: Arms, artifacts: Path) -> list[str]:
    """Return the arms whose record has other settings, or another training, than hold now.

    DVC sees what params.yaml and experiments.yaml say, not what the code takes where they are
    silent.
    """
    found = []
    for name, arm in by_key(experiments).items():
        known = _record(artifacts / name)
        now = {
            "settings": arm.model_dump(mode="json"),
            "training": training_of(params, arm).model_dump(mode="json"),
        }
        if known and any(known.get(key) != now[key] for key in now):
            found.append(name)
    return found


def nameless(artifacts: Path) -> list[str]:
    """Return the arms that have no record of the settings and inputs that they were made from."""
    return [
        folder.relative_to(artifacts).as_posix()
        for folder in _arms(artifacts)
        if "inputs" not in _record(folder)
    ]


def _arms(artifacts: Path) -> Iterable[Path]:
    return sorted(path.parent for path in artifacts.glob(f"[!.]*/[!.]*/{SUMS}")
                  if list(path.parent.glob("seed-*")))  # fmt: skip


def _record(arm: Path) -> dict[str, Any]:
    """Return what an arm was made from; {} where nothing says so."""
    record = arm / "record.json"
    return dict(read_json(record)) if record.is_file() else {}


def _others(arm: Path, artifacts: Path) -> list[str]:
    return [
        name for name, known in _record(arm).get("inputs", {}).items()
        if (artifacts / name / SUMS).is_file() and fingerprint(artifacts / name) != known
    ]  # fmt: skip


def _reruns(change: Any) -> bool:
    # A missing artifact (a clone that ran nothing) does not make a result wrong.
    if not isinstance(change, dict):
        return bool(change == "changed command")
    return any(
        state != "deleted" or not path.startswith("artifacts/")
        for path, state in change.get("changed deps", {}).items()
    )
