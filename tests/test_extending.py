"""The worked examples of docs/extending.md, carried out as they stand, in a nano world."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nano_study
import pytest
import yaml

from reproduce.utils.files import read_csv, read_json, read_rows

PAGE = nano_study.ROOT / "docs" / "extending.md"
BLOCK = re.compile(
    r"^(?:`(?P<file>[^`\n]+)`(?P<how>[^\n]*):\n\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """Code of the page: what it is, the file that it goes into ("" for none), and how."""

    kind: str
    text: str
    file: str
    how: str


def sections() -> dict[str, list[Block]]:
    """Return the blocks below each heading; a diff without a file is of the one before."""
    found: dict[str, list[Block]] = {}
    for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        blocks: list[Block] = []
        for match in BLOCK.finditer(part):
            file, how = match["file"] or "", match["how"] or ""
            if match["kind"] == "diff" and not file:
                file = blocks[-1].file
            blocks.append(Block(match["kind"], match["text"], file, how))
        found[part.split("\n")[0]] = blocks
    return found


def carry_out(folder: Path, block: Block) -> str:
    """Do what a block says; return what its commands print."""
    path = folder / block.file
    if block.kind == "diff":
        path.write_text(changed(path.read_text(encoding="utf-8"), block), encoding="utf-8")
    elif "new" in block.how:
        assert not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
    elif "end" in block.how:
        path.write_text(f"{path.read_text(encoding='utf-8')}\n{block.text}", encoding="utf-8")
    elif block.kind == "yaml":
        whole = merged(yaml.safe_load(path.read_text(encoding="utf-8")), yaml.safe_load(block.text))
        path.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    elif block.kind == "python":
        return ran(folder, ["python", "-c", block.text])
    else:
        return "".join(ran(folder, shlex.split(line)) for line in block.text.splitlines())
    return ""


def changed(text: str, block: Block) -> str:
    """Return `text` with the change of a diff block, which must fit as often as it says."""
    lines = block.text.splitlines()
    old = "".join(f"{line[1:]}\n" for line in lines if line[:1] in " -")
    new = "".join(f"{line[1:]}\n" for line in lines if line[:1] in " +")
    assert text.count(f"\n{old}") == (2 if "twice" in block.how else 1), f"{block.file}:\n{old}"
    return text.replace(f"\n{old}", f"\n{new}")


def merged(whole: Any, part: Any) -> Any:
    """Return `whole` with the values of `part` in it, block by block."""
    if not isinstance(whole, dict) or not isinstance(part, dict):
        return part
    return {**whole, **{key: merged(whole.get(key), value) for key, value in part.items()}}


def ran(folder: Path, words: list[str]) -> str:
    tool, *rest = words
    command = [sys.executable, *([] if tool == "python" else ["-m", tool]), *rest]
    done = subprocess.run(
        command, cwd=folder, env=nano_study.environment(folder), text=True, capture_output=True
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    nano_study.copy_repository(folder)
    return folder


def follow_section(folder: Path, name: str) -> str:
    return "".join(carry_out(folder, block) for block in sections()[name])


def test_the_page_has_an_example_of_each_kind() -> None:
    assert list(sections()) == ["A data set", "A model", "A judge", "A method"]
    assert all(len(blocks) > 1 for blocks in sections().values())


def test_a_data_set(study: Path) -> None:
    said = follow_section(study, "A data set")
    rows = read_rows(study / "artifacts" / "training" / "titles.jsonl")
    assert len(rows) == 12 and all(row["response"].startswith("<<The") for row in rows)
    assert (study / "artifacts" / "evaluation" / "titles.jsonl").is_file()
    assert "'parsed': 6" in said and "'train': 4, 'evaluation': 2" in said
    assert "\n\nQuestion: " in said


def test_a_model(study: Path) -> None:
    nano_study.dvc(study, "repro", "base")
    (study / "models").mkdir()
    (study / "artifacts" / "base" / "seed-0" / "model").rename(study / "models" / "mine")
    follow_section(study, "A model")
    there = (study / "artifacts" / "base" / "model" / "model.safetensors").read_bytes()
    assert there == (study / "models" / "mine" / "model.safetensors").read_bytes()
    assert not list((study / "artifacts" / "base").glob("**/history.json"))


def test_a_judge(study: Path, encoder: Callable[..., Path]) -> None:
    nano_study.dvc(study, "repro", "entailment")
    encoder().rename(study / "models" / "nli")
    before = read_rows(study / "artifacts" / "validation" / "judged.jsonl")
    follow_section(study, "A judge")
    after = read_rows(study / "artifacts" / "validation" / "judged.jsonl")
    assert (study / "artifacts" / "entailment" / "model" / "model.safetensors").is_file()
    assert [row["response"] for row in before] == [row["response"] for row in after]
    assert [row["details"] for row in before] != [row["details"] for row in after]


def test_a_method(study: Path) -> None:
    said = follow_section(study, "A method")
    assert "ReSet, shortest" in said
    record = read_json(study / "artifacts" / "methods" / "ReSet-shortest" / "record.json")
    assert record["settings"]["select"]["rule"] == "shortest"
    lengths = {
        arm: [
            len(row["response"].split())
            for seed in (0, 1)
            for row in read_rows(
                study / "artifacts" / "methods" / arm / f"seed-{seed}" / "train.jsonl"
            )
        ]
        for arm in ("ReSet", "ReSet-shortest")
    }
    assert sum(lengths["ReSet-shortest"]) < sum(lengths["ReSet"])
    claims = read_csv(study / "paper" / "summary" / "claims.csv")
    assert any(row["of"] == "methods/ReSet-shortest" for row in claims)
