"""Every command that the documents name exists, with the arguments that they give it."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer.main
import yaml

from reproduce.cli import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = (
    "README.md", "CONTRIBUTING.md", "paper/README.md", "paper/discussion.md", "paper/errata.md",
    "docs/extending.md", "docs/served.md", "docs/seven-billion.md", "docs/speed.md",
)  # fmt: skip
NEW = {"methods@ReSet-shortest"}
"""Stages that an example of docs/extending.md adds; test_extending.py runs them."""
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def stages() -> set[str]:
    """Return the names of all stages, those of loops as dvc writes them: loop@key."""
    arms = yaml.safe_load((ROOT / "experiments.yaml").read_text(encoding="utf-8"))["experiments"]
    plain = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return set(plain) | {f"{e}@{a}" for e, found in arms.items() for a in found}


def commands() -> list[tuple[str, list[str]]]:
    """Return (document, words) of each command in code, split at ; and &&."""
    found = []
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        fenced = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
        blocks = [block for kind, block in fenced.findall(text) if not kind]
        code = re.findall(r"`([^`\n]+)`", fenced.sub("", text))
        lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
        for line in (*lines, *code):
            for part in re.split(r";|&&", line):
                words = [w for w in shlex.split(part) if not re.match(r"[A-Z_]+=", w)]
                if words and re.sub(r".*/", "", words[0]) in ("make", "dvc", "reproduce", "python"):
                    found.append((document, [re.sub(r".*/", "", words[0]), *words[1:]]))
    return found


FOUND = commands()


def test_the_documents_name_commands() -> None:
    assert {words[0] for _, words in FOUND} == {"make", "dvc", "reproduce", "python"}
    assert ("README.md", ["make", "study"]) in FOUND and ("README.md", ["make", "test"]) in FOUND


@pytest.mark.parametrize(("document", "words"), FOUND, ids=[" ".join(w) for _, w in FOUND])
def test_a_command_exists(document: str, words: list[str]) -> None:
    tool, *rest = words
    if tool == "make":
        subprocess.run(["make", "--dry-run", *rest], cwd=ROOT, check=True, capture_output=True)
    elif tool == "reproduce" and rest:
        command = COMMANDS[rest[0]]
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in rest[1:] if word.startswith("-")} <= options
    elif tool == "python":
        assert (ROOT / rest[0]).is_file()
    elif rest[:1] == ["repro"]:
        targets = [word for word in rest[1:] if not word.startswith("-")]
        assert set(targets) <= stages() | NEW, document
    elif tool == "dvc" and rest:
        assert rest[0] in ("commit", "dag", "stage", "status", "pull")


def test_times_and_speeds_are_those_that_the_benchmarks_wrote(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(ROOT / "analysis")
    import measured

    for document in measured.DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert measured.measured(document) == text, "run `python analysis/measured.py`"
    assert "python analysis/benchmark.py training" in text


GENERATED = re.compile(r"<!-- (.+?): begin -->.*?<!-- \1: end -->", re.DOTALL)
UNITS = "s|min|h|seconds|minutes|hours|tokens/s|pairs/s|runs/s"
A_TIME = re.compile(rf"\d[\d.,]* (?:{UNITS})(?!\w)")


def test_no_time_or_speed_of_the_readme_is_typed() -> None:
    for document in ("README.md", "docs/speed.md"):
        typed = GENERATED.sub("", (ROOT / document).read_text(encoding="utf-8"))
        assert not A_TIME.findall(typed), document
    assert A_TIME.findall("in 19 min 12 s, at 7.5 tokens/s") == ["19 min", "12 s", "7.5 tokens/s"]


ELSEWHERE = {
    # command of the README: what carries it out, or the machine that it needs
    "dvc repro": "tests/test_pipeline.py::test_every_stage_leaves_its_outputs",
    "make study": "tests/test_pipeline.py::test_every_stage_leaves_its_outputs",
    "make test": ".ci/run",
    "make .venv/ready": ".ci/run",
    "make twice": "tests/test_rerun.py::test_every_stage_runs_again_without_any_cache",
    "make verify": "tests/test_verify.py::test_what_was_kept_is_found_again",
    "make ui": "tests/test_tracking.py::test_a_server_holds_the_runs_and_their_files",
    "make smollm2": "largest process",
    "python analysis/measured.py": "tests/test_readme.py::test_times_and_speeds_are_those",
    "python analysis/clock.py": "tests/test_speed.py::test_commands_are_timed_as_whole_processes",
    "python analysis/benchmark.py": "tests/test_benchmark.py::test_every_method_trains",
    "python analysis/speed.py": "tests/test_speed.py::test_sampling_is_compared",
    "reproduce verify": "tests/test_faults.py::test_the_command_says_so_and_exits_accordingly",
    "reproduce expect": "tests/test_pipeline.py::test_a_clone_that_pulls",
    "reproduce paper": "tests/test_publish.py::test_the_report_is_the_same_twice_and_takes_nothing",
    "reproduce tracking": "tests/test_pipeline.py::test_a_clone_that_pulls",
    "reproduce plan": "tests/test_plan.py::test_the_command_writes_markdown",
    "reproduce preflight": "tests/test_preflight.py::test_the_command",
}


def test_every_command_of_the_readme_is_carried_out_or_says_what_it_needs() -> None:
    from test_pipeline import LOOKS

    read = ("README.md", "docs/speed.md")
    said = {" ".join(words[:2]) for document, words in FOUND if document in read}
    assert said == set(ELSEWHERE) | {" ".join(words) for words in LOOKS}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for where in ELSEWHERE.values():
        path, _, name = where.partition("::")
        if not (ROOT / path).is_file():
            assert where in readme
        elif name:
            assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8"), where
