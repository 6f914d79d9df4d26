"""`reproduce verify`: do the local results agree with the published ones, and are they up to date?

IDENTICAL: every table and figure has the published bytes. CONSISTENT: some bytes differ, but each
effect that decides a claim lies in its published interval, or has the published verdict and an
interval that overlaps the published one. DIFFERENT: some effect does neither. With `--rerun`, all
stages run again, and the checksums of their outputs are compared with those from before.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

import reproduce
from reproduce.study import Study
from reproduce.utils.files import UnusableFile, file_sha256, read_csv
from reproduce.utils.formatting import interval

CLAIM_KEY = ("claim", "of", "minus", "measure")
COMPARED = ("judge", "seeds", "effect", "effect_low", "effect_high", "verdict")
DVC = [sys.executable, "-m", "dvc"]


@dataclass(frozen=True)
class Comparison:
    """How local results compare with published ones.

    Attributes:
        effects: per difference that decides a claim its name, local and published effect.
        contradictions: name of a difference -> why its local effect contradicts the published one.
        files: tables and figures with other bytes, or that only one side has.
        stale: stage that DVC would run again -> what changed.
    """

    effects: list[tuple[str, ...]]
    contradictions: Mapping[str, str]
    files: list[str]
    stale: Mapping[str, Any]

    @property
    def outcome(self) -> Literal["IDENTICAL", "CONSISTENT", "DIFFERENT"]:
        """Return the outcome, as the module defines it."""
        if self.contradictions:
            return "DIFFERENT"
        return "CONSISTENT" if self.files else "IDENTICAL"

    def __str__(self) -> str:
        """Return all of it as text, the outcome last."""
        lines = [f"{name}\n  here {here}, published {there}" for name, here, there in self.effects]
        lines += [f"other bytes than published: {name}" for name in self.files]
        lines += [f"out of date: {stage}: {changes}" for stage, changes in self.stale.items()]
        lines += [f"DIFFERENT: {name}: {why}" for name, why in self.contradictions.items()]
        lines += [] if self.contradictions else [self.outcome]
        return "\n".join(
            lines + ["the results are out of date; run `dvc repro`"] * bool(self.stale)
        )


def verify(study: Study, rerun: bool = False) -> int:
    """Print how the local results compare with the published ones; return the exit status.

    With `rerun` instead run every stage again, and compare with the results from before. The
    status is 0 where the results are up to date and IDENTICAL or CONSISTENT, else 1.
    """
    check_environment(study.folder / study.params.package)
    if rerun:
        changed = rerun_all(study)
        for name in changed:
            print(f"other bytes than before: {name}")
        print("DIFFERENT" if changed else "IDENTICAL: every output of every stage")
        return int(bool(changed))
    comparison = compare(study)
    print(comparison)
    return int(comparison.outcome == "DIFFERENT" or bool(comparison.stale))


def compare(study: Study) -> Comparison:
    """Return how the local results compare with the published ones; nothing is changed.

    Raises UnusableFile where either is missing, or where DVC cannot tell what is out of date.
    """
    local, published = file_checksums(study.artifacts), file_checksums(study.paper)
    here, there = (
        {tuple(row[key] for key in CLAIM_KEY): row for row in primary_claims(folder / "tables")}
        for folder in (study.artifacts, study.paper)
    )
    effects, contradictions = [], {}
    for key, row in (there | here).items():
        name = f"{row['claim']}: {row['comparison']}, {row['measure']}"
        texts = [f"{interval(r[key], 'effect')} {r[key]['verdict']}" if key in r else "–"
                 for r in (here, there)]  # fmt: skip
        effects.append((name, *texts))
        if reason := contradiction(here.get(key), there.get(key)):
            contradictions[name] = reason
    names = sorted(local.keys() | published.keys())
    files = [name for name in names if local.get(name) != published.get(name)]
    return Comparison(effects, contradictions, files, dvc_status(study.folder))


def contradiction(local: Mapping[str, str] | None, published: Mapping[str, str] | None) -> str:
    """Return why a row of the local table of claims contradicts the published one, or ""."""
    if local is None or published is None:
        return "it was not published" if local else "it is not in the local table"
    for column in ("judge", "seeds"):
        if local[column] != published[column]:
            return f"{column} {local[column]} here, {published[column]} published"
    if all(local[column] == published[column] for column in COMPARED):
        return ""
    if not (local["effect"] and published["effect"]):
        return "one of the two has no effect"
    effect, low, high = (float(local[k]) for k in ("effect", "effect_low", "effect_high"))
    published_low, published_high = (float(published[k]) for k in ("effect_low", "effect_high"))
    if published_low <= effect <= published_high:
        return ""
    if high < published_low or low > published_high:
        return "the intervals do not overlap"
    if local["verdict"] != published["verdict"]:
        return "the effect is outside the published interval, and the verdict differs"
    return ""


def primary_claims(tables: Path) -> list[dict[str, str]]:
    """Return the rows of a table of claims that decide."""
    rows = read_csv(tables / "claims.csv")
    return [row for row in rows if row["role"] == "primary"]


def file_checksums(folder: Path) -> dict[str, str]:
    """Return name -> SHA-256 of the tables and figures in `folder`."""
    files = [path for name in ("tables", "figures") for path in (folder / name).rglob("*")]
    if not files:
        raise UnusableFile(f"{folder}: holds no tables and no figures; run `dvc repro`")
    names = {path.relative_to(folder).as_posix(): path for path in files if path.is_file()}
    return {name: file_sha256(path) for name, path in names.items()}


def dvc_status(folder: Path) -> dict[str, Any]:
    """Return stage -> changes of the stages that DVC would run again.

    Raises UnusableFile where DVC fails: it writes to .dvc/tmp, so a read-only folder will not do.
    """
    command = [*DVC, "status", "dvc.yaml", "--json"]
    reply = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    try:
        return dict(json.loads(reply.stdout))
    except ValueError:
        raise UnusableFile(f"{folder}: `dvc status` failed: {reply.stderr.strip()}") from None


def check_environment(package: Path) -> None:
    """Raise UnusableFile where the running code is not the `package` of the profile."""
    running = Path(reproduce.__file__).resolve().parent
    if running != package.resolve():
        raise UnusableFile(
            f"{running}: is the running code, but that of this profile is {package.resolve()}; run "
            "`rm -rf .venv` and `make .venv/ready` here"
        )


def rerun_all(study: Study) -> list[str]:
    """Run every stage again without any cache; return the outputs whose checksums changed.

    Where a stage fails, the old outputs are put back, and UnusableFile is raised.
    """
    lock, aside = study.folder / "dvc.lock", study.folder / ".cache" / "before-rerun"
    if aside.exists():
        raise UnusableFile(f"{aside}: has the outputs from before a killed rerun; put them back")
    before, lock_text = output_checksums(lock), lock.read_text(encoding="utf-8")
    # The second folder has what the entailment model scored.
    saved = {study.artifacts: aside / "artifacts",
             study.folder / ".cache" / "entailment": aside / "entailment"}  # fmt: skip
    aside.mkdir(parents=True)
    moved = {path: place for path, place in saved.items() if path.exists()}
    for path, place in moved.items():
        path.rename(place)
    study.artifacts.mkdir()
    readme = aside / "artifacts" / "README.md"
    if readme.is_file():  # Committed; no stage writes it.
        shutil.copy(readme, study.artifacts)
    try:
        command = [*DVC, "repro", "dvc.yaml", "--force", "--no-run-cache"]
        if status := subprocess.run(command, cwd=study.folder, check=False).returncode:
            raise UnusableFile(f"{study.folder}: `dvc repro` failed with status {status}")
    except BaseException:
        for path, place in moved.items():
            shutil.rmtree(path, ignore_errors=True)
            place.rename(path)
        lock.write_text(lock_text, encoding="utf-8")
        raise
    finally:
        shutil.rmtree(aside)
    after = output_checksums(lock)
    return sorted(name for name in before | after if before.get(name) != after.get(name))


def output_checksums(lock: Path) -> dict[str, str]:
    """Return path -> checksum of every output that a dvc.lock names."""
    if not lock.is_file():
        raise UnusableFile(f"{lock}: missing; run `dvc repro`")
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ())}
