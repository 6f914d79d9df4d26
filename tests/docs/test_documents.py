"""What documents name exists: links, commands, stages; and what is generated is up to date."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer.main
import yaml
from support.profiles import ROOT

from reproduce.cli import app
from reproduce.reporting.readme import published_studies, updated
from reproduce.utils.stage_log import SAMPLING

DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "paper/*.md", "artifacts/README.md")
    for path in ROOT.glob(pattern) if path.name != "CHANGELOG.md"
)  # fmt: skip
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
EXAMPLES = {"shortest"}
"""Arms that an example of docs/extending.md adds."""

FLOATING = re.compile(
    r"(?:/resolve/|/raw/|/blob/|raw\.githubusercontent\.com/[^/\s]+/[^/\s]+/)(?:main|master)/"
    r"|(?:/home/|/Users/|/root/)[\w.]+"
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = (document.parent / path).resolve() if path else document
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def commands(document: Path) -> list[list[str]]:
    """Return the words of each command of a document: in code, split at ; and && and |."""
    text = document.read_text(encoding="utf-8")
    blocks = [block for kind, block in FENCE.findall(text) if kind in ("", "bash", "sh")]
    code = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
    found = []
    for line in (*lines, *code):
        for part in re.split(r";|&&|\|", line):
            try:
                words = [word for word in shlex.split(part) if not re.match(r"[A-Z_]+=", word)]
            except ValueError:  # Prose in code type, with an apostrophe.
                continue
            if words and Path(words[0]).name in ("make", "dvc", "reproduce", "python"):
                found.append([Path(words[0]).name, *words[1:]])
    return found


def check_command(words: list[str]) -> None:
    tool, *rest = words
    if tool == "make":
        subprocess.run(["make", "--dry-run", *rest], cwd=ROOT, check=True, capture_output=True)
    elif tool == "reproduce" and rest:
        options = {option for parameter in COMMANDS[rest[0]].params for option in parameter.opts}
        assert {word for word in rest[1:] if word.startswith("--")} <= options | {"--help"}
    elif tool == "python" and rest and rest[0].endswith(".py"):
        assert (ROOT / rest[0]).is_file()
    elif rest[:1] == ["repro"]:
        stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        studies = [
            yaml.safe_load(path.read_text(encoding="utf-8"))
            for path in (ROOT / "experiments.yaml", *ROOT.glob("profiles/*/experiments.yaml"))
        ]
        known = {*stages, *(f"arm@{name}" for s in studies for name in {*s["arms"], *EXAMPLES})}
        known |= {f"{stage}@{name}" for s in studies for name in s["sampled"] for stage in SAMPLING}
        assert {word for word in rest[1:] if not word.startswith("-")} <= known


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_exist(document: Path) -> None:
    for words in commands(document):
        try:
            check_command(words)
        except (AssertionError, KeyError, subprocess.CalledProcessError) as error:
            raise AssertionError(f"{' '.join(words)}: {error}") from error


def test_the_blocks_of_the_readme_are_up_to_date() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "claims of core: begin" in text
    assert updated(text, published_studies(ROOT)) == text, "run `reproduce publish`"


def test_nothing_that_is_committed_floats() -> None:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a clone")
    paths = [ROOT / name for name in listing.stdout.splitlines() if not name.startswith("tests/")]
    binary = (".png", ".pdf", ".lock", ".html", ".safetensors", ".bz2")
    texts = {
        name_of(path): path.read_text(encoding="utf-8")
        for path in paths
        if path.is_file() and path.suffix not in binary
    }
    assert {name: m[0] for name, text in texts.items() if (m := FLOATING.search(text))} == {}
