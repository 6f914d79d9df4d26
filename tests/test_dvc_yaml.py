"""Every stage of dvc.yaml names the code that it runs, so that a change of code reruns it."""

import ast
import inspect
from pathlib import Path

import pytest
import yaml

from reproduce import cli
from reproduce.config import Params, by_key, load_claims, load_experiments
from reproduce.reporting.readme import needed

ROOT = Path(__file__).parent.parent
PLUMBING = {"cli", "config", "examples", "files", "progress", "stages", "timings", "warm"}
"""Modules that carry data and settings; what they mean for a stage is in its parameters."""

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def source(module: str) -> Path | None:
    path = ROOT / Path(*module.split("."))
    found = [p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()]
    return found[0] if found else None


def imports(tree: ast.AST) -> set[str]:
    """Return the modules of the package that a syntax tree imports anywhere, by full name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reproduce"):
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    with_parents = {".".join(n.split(".")[:k]) for n in names for k in range(1, n.count(".") + 2)}
    return {name for name in with_parents if source(name)} - {"reproduce"}


def reached(command: str) -> set[Path]:
    """Return the files whose code a command of the package may run, less the plumbing."""
    function = getattr(cli, command)
    pending, seen = imports(ast.parse(inspect.getsource(function))), set[str]()
    while pending:
        module = pending.pop()
        if module.split(".")[1] not in PLUMBING and module not in seen:
            seen.add(module)
            path = source(module)
            assert path is not None
            pending |= imports(ast.parse(path.read_text()))
    files = [source(module) for module in seen]
    return {path for path in files if path and not only_a_docstring(path)}


def only_a_docstring(path: Path) -> bool:
    return all(isinstance(node, ast.Expr) for node in ast.parse(path.read_text()).body)


def declared(stage: str) -> list[Path]:
    body = STAGES[stage].get("do", STAGES[stage])
    return [
        ROOT / "reproduce" / dep.removeprefix("${package}/")
        for dep in body["deps"]
        if dep.startswith("${package}/")
    ]


def command(stage: str) -> str:
    return str(STAGES[stage].get("do", STAGES[stage])["cmd"].split()[1])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_names_all_code_that_it_imports(stage: str) -> None:
    named = declared(stage)
    missing = [
        str(path.relative_to(ROOT))
        for path in reached(command(stage))
        if not any(path == dep or dep in path.parents for dep in named)
    ]
    assert missing == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_names_no_code_that_it_does_not_import(stage: str) -> None:
    files = reached(command(stage))
    idle = [
        str(dep.relative_to(ROOT))
        for dep in declared(stage)
        if dep.suffix != ".yaml" and not any(dep == p or dep in p.parents for p in files)
    ]
    assert idle == []


def test_a_repeated_stage_writes_to_a_path_of_its_own() -> None:
    repeated = {name: body["do"] for name, body in STAGES.items() if "foreach" in body}
    assert len(repeated) == 5
    for name, body in repeated.items():
        assert body["outs"] == [f"artifacts/{name}/${{key}}"]
        assert body["cmd"].endswith(f"{name}/${{key}}")


def test_the_walk_finds_what_a_stage_is_known_to_use() -> None:
    names = {path.stem for path in reached("arm")}
    assert {"trainer", "generate", "entailment", "lexical", "selection"} <= names
    assert "sampling" not in names and "config" not in names


def test_every_block_of_parameters_is_watched_but_that_of_servers() -> None:
    """A larger budget of a judge makes nothing stale; whatever decides a number does."""
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    bodies = [body.get("do", body) for body in STAGES.values()]
    watched: set[str] = set()
    for name in (name for body in bodies for name in body.get("params", [])):
        watched |= set(name.get("params.yaml", [])) if isinstance(name, dict) else {name}
    of_place = {"profile", "package", "lock", "claims"}
    assert watched - of_place == set(Params.model_fields) - of_place - {"servers"}
    assert "servers" not in text


def served_by(stage: str) -> list[str]:
    """Return the claims that need a run of the stage, or a table of its name."""
    experiments = load_experiments(ROOT / "experiments.yaml")
    found = []
    for claim in load_claims(ROOT / "paper" / "claims.yaml", experiments).claims:
        sides = [arm for d in (*claim.decided_by, *claim.shown_too) for arm in (d.arm, d.against)]
        groups = {name.split("/")[0] for name in needed(sides, by_key(experiments))}
        if stage in groups | set(claim.tables) | {"tables", "figures", "tracking"}:
            found.append(claim.claim)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_names_the_claims_that_it_serves(stage: str) -> None:
    assert STAGES[stage].get("do", STAGES[stage])["meta"]["claims"] == served_by(stage)
