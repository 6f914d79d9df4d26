"""`reproduce verify`: do the local results agree with the published ones, and are they up to date?

IDENTICAL: every table and figure has the published bytes. CONSISTENT: some bytes differ, but each
effect that decides a claim lies in its published interval, or has the published verdict and an
interval that overlaps the published one. DIFFERENT: some effect does neither, or a stage is out of
date.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import reproduce
from reproduce.evaluation.claims import CLAIM_KEY, COMPARED, primary_claims
from reproduce.evaluation.formatting import interval
from reproduce.study import Study
from reproduce.utils.files import UnusableFile, file_sha256


def verify(study: Study) -> int:
    """Print how the local results compare with the published ones; return the exit status.

    The status is 0 for IDENTICAL and CONSISTENT, 1 for DIFFERENT. Nothing is changed. Raises
    UnusableFile where either are missing, or where DVC cannot tell what is out of date.
    """
    check_environment(study.folder / study.params.package)
    local, published = file_checksums(study.artifacts), file_checksums(study.paper)
    here, there = (deciding_rows(folder / "tables") for folder in (study.artifacts, study.paper))
    print_effects(here, there)
    reasons = [
        f"{row['claim']}: {row['comparison']}, {row['measure']}: {reason}"
        for key, row in (there | here).items()
        if (reason := contradiction(here.get(key), there.get(key)))
    ]
    if stale := dvc_status(study.folder):
        listed = ", ".join(stale)
        reasons.append(f"out of date: {listed}; run `dvc repro` (`dvc status` says why)")
    names = sorted(local.keys() | published.keys())
    if other := [name for name in names if local.get(name) != published.get(name)]:
        print(f"other bytes than published, {len(other)} of {len(names)}: {', '.join(other)}")
    for reason in reasons:
        print(f"DIFFERENT: {reason}")
    if not reasons and other:
        print("CONSISTENT: other bytes, but each effect agrees with the published one")
    elif not reasons:
        print("IDENTICAL: every table and figure has the published bytes")
    return int(bool(reasons))


def deciding_rows(tables: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """Return the rows of claims.csv that decide a claim, by what names them."""
    return {tuple(row[key] for key in CLAIM_KEY): row for row in primary_claims(tables)}


def print_effects(
    here: Mapping[tuple[str, ...], Mapping[str, str]],
    there: Mapping[tuple[str, ...], Mapping[str, str]],
) -> None:
    """Print the effects and verdicts of rows of `deciding_rows`, of this machine and published."""
    for key, row in {**there, **here}.items():
        print(f"{row['claim']}: {row['comparison']}, {row['measure']}")
        for side, rows in (("here", here), ("published", there)):
            found = rows.get(key)
            text = f"{interval(found, 'effect')} {found['verdict']}" if found else "–"
            print(f"  {side:9} {text}")


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


def file_checksums(folder: Path) -> dict[str, str]:
    """Return name -> SHA-256 of the tables and figures in `folder`."""
    files = [path for name in ("tables", "figures") for path in (folder / name).rglob("*")]
    if not files:
        raise UnusableFile(
            f"{folder}: holds no tables and no figures; `dvc repro` makes them in artifacts, "
            "`reproduce publish` copies them to paper"
        )
    names = {path.relative_to(folder).as_posix(): path for path in files if path.is_file()}
    return {name: file_sha256(path) for name, path in names.items()}


def dvc_status(folder: Path) -> dict[str, list[str]]:
    """Return stage -> what changed, for the stages that DVC would run again.

    Raises UnusableFile where DVC fails: it writes to .dvc/tmp, so a read-only folder will not do.
    """
    command = [sys.executable, "-m", "dvc", "status", "dvc.yaml", "--json"]
    reply = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    try:
        status: dict[str, Any] = json.loads(reply.stdout)
    except ValueError:
        raise UnusableFile(f"{folder}: `dvc status` failed: {reply.stderr.strip()}") from None
    # A change is {"changed deps": {path: how}}, or a text such as "changed command".
    return {
        stage: [name for change in changes
                for names in ([change] if isinstance(change, str) else change.values())
                for name in ([names] if isinstance(names, str) else names)]
        for stage, changes in status.items()
    }  # fmt: skip


def check_environment(package: Path) -> None:
    """Raise UnusableFile where the running code is not the `package` of the profile."""
    running = Path(reproduce.__file__).resolve().parent
    if running != package.resolve():
        raise UnusableFile(
            f"{running}: is the running code, but that of this profile is {package.resolve()}; run "
            "`rm -rf .venv` and `make .venv/ready` here"
        )
