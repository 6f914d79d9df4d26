"""The artifact's judgement of itself: what it names exists, and what it measures holds."""

import ast
import re
import shlex
import statistics
import subprocess
from pathlib import Path

import pytest
import test_readme

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "paper" / "artifact.md"
TOOLS = ("make", "dvc", "reproduce")
OTHER = {
    "training.batch_size", "rouge-score", "evaluation.jsonl", "artifacts/", "environments",
    "candidates", "score", "meta",
}  # fmt: skip
"""Names in code type that are neither files nor commands: settings, stages, what a run makes."""

FLOATING = re.compile(
    r"(?:/resolve/|/raw/|/blob/|raw\.githubusercontent\.com/[^/\s]+/[^/\s]+/)(?:main|master)/"
    r"|(?:/home/|/Users/|/root/)[\w.]+"
)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    part = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def evidence() -> list[str]:
    return sorted(set(re.findall(r"`([^`]+)`", PAGE.read_text(encoding="utf-8"))))


def test_every_point_has_an_answer_and_every_yes_its_evidence() -> None:
    points = rows("Forty points")
    assert [int(number) for number, *_ in points] == list(range(1, 41))
    for *_, answer, where in [*points, *rows("Badges")]:
        assert answer in ("yes", "no") and where
        assert answer == "no" or "`" in where, where


@pytest.mark.parametrize("named", evidence())
def test_what_is_named_as_evidence_exists(named: str) -> None:
    path, _, test = named.partition("::")
    if named.split()[0] in TOOLS:
        test_readme.test_a_command_exists(PAGE.name, shlex.split(named))
    elif named not in OTHER:
        assert (ROOT / path).exists(), named
        assert not test or f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), named


def test_nothing_that_is_committed_floats() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a clone")
    names = [name for name in listed.stdout.splitlines() if not name.startswith("tests/")]
    texts = [ROOT / name for name in names if Path(name).suffix not in (".png", ".pdf")]
    found = {
        path.name: match.group()
        for path in texts
        if path.is_file() and (match := FLOATING.search(path.read_text(encoding="utf-8")))
    }
    assert found == {}
    assert not [name for name in names if re.search(r"20\d\d-?[01]\d-?[0-3]\d", name)]


def functions(path: Path) -> list[ast.FunctionDef]:
    """Return the functions of a module and the methods of its classes, not what is inside them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    bodies = [tree.body, *(each.body for each in classes)]
    return [node for body in bodies for node in body if isinstance(node, ast.FunctionDef)]


def test_the_code_is_short_documented_and_typed() -> None:
    files = sorted((ROOT / "reproduce").rglob("*.py"))
    assert max(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= 400
    found = [(path.name, node) for path in files for node in functions(path)]
    lengths = sorted((node.end_lineno or 0) - node.lineno + 1 for _, node in found)
    assert statistics.median(lengths) <= 12 and max(lengths) <= 60
    assert lengths[len(lengths) * 9 // 10] <= 30
    untyped = [f"{name}: {node.name}" for name, node in found if node.returns is None]
    bare = [
        f"{name}: {node.name}"
        for name, node in found
        if not node.name.startswith(("_", "on_")) and not ast.get_docstring(node)
    ]
    assert untyped == [] and bare == []
