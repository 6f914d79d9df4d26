"""Every stage of dvc.yaml names the code and parameters that decide what it computes."""

import ast
import inspect
from pathlib import Path

import pytest
import yaml
from support.profiles import ROOT

from reproduce import cli
from reproduce.config import Params, load_experiments

TEXT = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
STAGES = {name: body.get("do", body) for name, body in yaml.safe_load(TEXT)["stages"].items()}
PLUMBING = {"cli", "config", "study"}
"""Modules that carry settings; what they mean for a stage is in its parameters."""


def source(module: str) -> Path | None:
    path = ROOT / Path(*module.split("."))
    files = [p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()]
    return files[0] if files else None


def imports(tree: ast.AST) -> set[str]:
    """Return the package's modules that a syntax tree imports anywhere, except for types only."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reproduce"):
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if source(name)} - {"reproduce"}


def without_type_imports(tree: ast.Module) -> ast.Module:
    tree.body = [
        n for n in tree.body if not (isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test))
    ]
    return tree


def reached(command: str) -> set[Path]:
    """Return the files whose code a command may run, except the plumbing."""
    pending, seen = imports(ast.parse(inspect.getsource(getattr(cli, command)))), set[str]()
    while pending:
        module = pending.pop()
        if module.split(".")[1] not in PLUMBING and module not in seen:
            seen.add(module)
            path = source(module)
            assert path is not None
            pending |= imports(without_type_imports(ast.parse(path.read_text())))
    files = {path for module in seen if (path := source(module))}
    return {
        path
        for path in files
        if any(not isinstance(n, ast.Expr) for n in ast.parse(path.read_text()).body)
    }


def declared(stage: str) -> list[Path]:
    prefix = "${package}/"
    deps = STAGES[stage]["deps"]
    return [ROOT / "reproduce" / d.removeprefix(prefix) for d in deps if d.startswith(prefix)]


@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"tracking"}))
def test_a_stage_names_all_code_that_it_imports(stage: str) -> None:
    command = STAGES[stage]["cmd"].split()[1]
    missing = {
        str(path.relative_to(ROOT))
        for path in reached(command)
        if not any(path == dep or dep in path.parents for dep in declared(stage))
    }
    assert missing == set()


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_names_no_code_that_it_does_not_import(stage: str) -> None:
    files = reached(STAGES[stage]["cmd"].split()[1])
    idle = [
        str(dep.relative_to(ROOT))
        for dep in declared(stage)
        if dep.suffix not in (".yaml", ".html")
        and not any(dep == path or dep in path.parents for path in files)
    ]
    assert idle == [] and all(dep.exists() for dep in declared(stage))


def test_every_parameter_that_decides_a_number_is_tracked() -> None:
    """More seeds at a time or a larger budget of a judge make nothing stale."""
    tracked: set[str] = set()
    for param in (param for body in STAGES.values() for param in body.get("params", [])):
        tracked |= set(param.get("params.yaml", [])) if isinstance(param, dict) else {param}
    paths = {"profile", "package", "lock", "claims", "predictions"}
    assert tracked - paths == set(Params.model_fields) - paths - {"judge_server", "workers"}


def test_tables_and_tracking_never_depend_on_weights() -> None:
    for stage in ("tables", "figures", "tracking"):
        assert not any("artifacts/models" in dep for dep in STAGES[stage]["deps"])


def test_the_pipeline_is_small() -> None:
    assert len(TEXT.splitlines()) <= 180
    assert len(load_experiments(ROOT / "experiments.yaml").arms) + len(STAGES) - 1 <= 60
