"""The worked examples of docs/extending.md, carried out as they are written, on the nano study."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.classifiers import write_classifier
from support.profiles import ROOT, dvc, nano_profile, run

pytestmark = pytest.mark.slow

BLOCK = re.compile(
    r"^(?:`(?P<file>[^`\n]+)`[^\n]*:\n\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)


def follow(folder: Path, heading: str) -> str:
    """Do what the blocks below a heading say; return what their commands print."""
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    (section,) = [part for part in page.split("\n## ") if part.startswith(f"{heading}\n")]
    printed, file = "", ""
    for block in BLOCK.finditer(section):
        file, kind, text = block["file"] or file, block["kind"], block["text"]
        path = folder / file
        if kind == "diff":
            old, new = (
                "".join(f"{line[1:]}\n" for line in text.splitlines() if line[:1] in f" {sign}")
                for sign in "-+"
            )
            content = path.read_text(encoding="utf-8")
            assert content.count(f"\n{old}") == 1, f"{file}:\n{old}"
            path.write_text(content.replace(f"\n{old}", f"\n{new}"), encoding="utf-8")
        elif kind == "yaml":
            content = merge(yaml.safe_load(path.read_text(encoding="utf-8")), yaml.safe_load(text))
            path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        elif kind == "json":
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
        elif kind == "python":
            printed += run(folder, sys.executable, "-c", text, code=folder).stdout
        else:
            for line in text.splitlines():
                command = [sys.executable, "-m", *line.split()]
                printed += run(folder, *command, code=folder).stdout
    return printed


def merge(whole: Any, part: Any) -> Any:
    """Return `whole` with the values of `part` in it, block by block."""
    if not isinstance(whole, dict) or not isinstance(part, dict):
        return part
    return {**whole, **{key: merge(whole.get(key), value) for key, value in part.items()}}


@pytest.fixture
def study(shared_nano_study: Path, tmp_path: Path) -> Path:
    """Return a profile with a copy of the package, and the nano study's artifacts."""
    folder = nano_profile(tmp_path / "study")
    shutil.copytree(
        ROOT / "reproduce", folder / "reproduce", ignore=shutil.ignore_patterns("__py*")
    )
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace(f"package: {ROOT}/", "package: "))
    dvc(folder, "init", "--no-scm", "-q")
    return folder


def test_own_rows(study: Path) -> None:
    printed = follow(study, "Your own rows")
    assert "'mine'" in printed and "Write a short summary" in printed


def test_a_model(study: Path, shared_nano_study: Path) -> None:
    source = shared_nano_study / "artifacts" / "models" / "pretrained" / "seed-0"
    shutil.copytree(source, study / "inputs" / "my-model")
    follow(study, "A model")
    imported = study / "artifacts" / "models" / "pretrained" / "all-seeds" / "model.safetensors"
    assert imported.read_bytes() == (source / "model.safetensors").read_bytes()


def test_a_judge(study: Path) -> None:
    write_classifier(study / "inputs" / "my-judge")
    run(study, sys.executable, "-m", "reproduce", "data", code=study)
    run(study, sys.executable, "-m", "reproduce", "judges", code=study)
    trials = study / "artifacts" / "judges" / "validation" / "trials.jsonl"
    before = [json.loads(line) for line in trials.read_text().splitlines()]
    try:
        follow(study, "A judge")
    except AssertionError as error:
        assert "AUC" in str(error)  # An untrained model may fail its validation.
        return
    after = [json.loads(line) for line in trials.read_text().splitlines()]
    assert [row["response"] for row in before] == [row["response"] for row in after]
    assert [row["judgement"] for row in before] != [row["judgement"] for row in after]


def test_a_method(study: Path) -> None:
    printed = follow(study, "A method")
    assert "ReSet, shortest first" in printed
    words = {
        arm: sum(
            len(json.loads(line)["response"].split())
            for seed in (0, 1)
            for line in (study / f"artifacts/models/{arm}/seed-{seed}/train.jsonl").open()
        )
        for arm in ("ReSet", "shortest")
    }
    assert words["shortest"] < words["ReSet"]
