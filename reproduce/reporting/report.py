"""The reproduction report: Markdown from the committed tables, then a page and a PDF."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reproduce.config import Claims, load_claims, load_experiments
from reproduce.records import flat
from reproduce.reporting.readme import compared_controls, deciding
from reproduce.utils.files import UnusableFile, read_filled
from reproduce.utils.formatting import interval, over, percent, plural, span
from reproduce.verify import KEY

Row = Mapping[str, str]

FIGURES = ("trade-off", "trajectories", "data-size")
"""What the report shows of each study."""

SETTINGS = {"methods@ReSet": ("training", "continuation", "generation"),
            "candidates": ("candidates",)}  # fmt: skip
"""Stages of the lock, and the blocks of parameters that the report takes from them."""

SOURCES = ("report.md.j2", "report.css", "report.typ")
"""What a folder of the report must hold: its template and how page and PDF look."""

MADE = ("ladder.png", "report.pdf", "report.html", "report.md")
"""What is made there. The text comes last: it is what tells an older page from a newer."""

TEXTS = ("discussion.md", "errata.md")
"""Files of the folder `paper` whose text stands in the report."""

TITLES = {"tiny": "Generated world", "smollm2": "SmolLM2-135M on real text"}
"""What a reader calls a profile; others go by their name."""


@dataclass(frozen=True)
class Study:
    """The committed results of one profile, as the report's template reads them.

    Attributes:
        figures: its folder of figures, as seen from the report.
        scale: the row of its table `study`.
        claims: the rows of its table of claims that decide.
        judges: the rows of the judges that carry faithfulness, or were meant to.
        provenance: stage, its tables or figures, and a digest of its inputs.
        settings: dotted name of a parameter -> what the results were made with.
    """

    title: str
    figures: str
    scale: Row
    claims: list[Row]
    controls: Sequence[Row]
    judges: list[Row]
    provenance: list[Row]
    settings: Mapping[str, str]

    @property
    def tally(self) -> str:
        """Return how many of the deciding differences came out how."""
        verdicts = [row["verdict"] for row in self.claims]
        said = [f"{verdicts.count(v)} {v}" for v in ("supported", "not supported", "undecided")]
        return f"of {len(verdicts)} differences that decide a claim, {', '.join(said)}"

    @property
    def level(self) -> str:
        """Return the confidence level of its intervals."""
        return percent(float(self.scale["confidence"]))

    @property
    def prompts(self) -> str:
        """Return the smallest and the largest number of prompts behind a difference."""
        return span(int(row["n"]) for row in self.claims)

    def origin(self, stage: str) -> str:
        """Return which stage made something of it, and the digest of that stage's inputs."""
        (inputs,) = [row["inputs"] for row in self.provenance if row["stage"] == stage]
        return f"Stage `{stage}`, inputs `{inputs}`."

    @property
    def over(self) -> str:
        """Return what its intervals are taken over."""
        return over(int(self.scale["seeds"]))


def build_report(root: Path, target: Path) -> None:
    """Write report.md, report.html and report.pdf to `target`, whose template is report.md.j2.

    `root` is the repository; every profile with committed tables takes part. Needs no network
    and no artifacts. Nothing is replaced unless all of it was made. Raises UnusableFile naming a
    table, a figure, a lock or a text that is missing, or a table that is empty.
    """
    for source in (*(target / name for name in SOURCES), *_texts(root).values()):
        if not source.is_file():
            raise UnusableFile(f"{source}: missing; `git checkout {source}` brings it back")
    studies = studies_of(root)
    asked = load_claims(root / "paper" / "claims.yaml", load_experiments(root / "experiments.yaml"))
    for left in target.parent.glob(".report.????????"):
        shutil.rmtree(left)  # What a killed run has left.
    # Beside the target, so that the figures lie where the text says.
    with tempfile.TemporaryDirectory(prefix=".report.", dir=target.parent) as workspace:
        draft = Path(workspace)
        if len(studies) > 1:
            _draw_ladder(studies, draft / "ladder")
        text = as_markdown(root, target, studies, asked)
        (draft / "report.md").write_text(text, encoding="utf-8", newline="\n")
        _as_page(text, target, draft)
        _as_pdf(text, root, target, draft)
        for name in MADE:
            if (draft / name).is_file():
                os.replace(draft / name, target / name)
            else:
                (target / name).unlink(missing_ok=True)  # One study makes no ladder.


def studies_of(root: Path) -> list[Study]:
    """Return the profiles that have committed tables, the smallest model first."""
    folders = [root, *sorted((root / "profiles").glob("*"))]
    found = [_study(root, folder) for folder in folders if (folder / "paper" / "tables").is_dir()]
    if not found:
        raise UnusableFile(f"{root}: no profile has paper/tables; run `dvc repro`")
    return sorted(found, key=lambda study: int(study.scale["parameters"]))


def as_markdown(root: Path, target: Path, studies: Sequence[Study], asked: Claims) -> str:
    """Return the report's text: the template with the values of the tables in it."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(target), undefined=jinja2.StrictUndefined, autoescape=False,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {
        "interval": interval,
        "unsigned": lambda row, name: interval(row, name, sign=False),
        "plural": lambda count, noun: plural(int(count), noun),
        "count": lambda number: f"{int(number):,}",
        "percent": percent,
        "reported": _reported,
        "values": _values,
        "origin": Study.origin,
        "beside": _beside,
        "settings": _settings_beside,
    }
    texts = {n: path.read_text(encoding="utf-8").strip() for n, path in _texts(root).items()}
    template = environment.get_template("report.md.j2")
    return template.render(studies=studies, claims=asked, **texts)


def provenance(lock: Path, outputs: Path) -> list[Row]:
    """Return for each stage that writes below `outputs` its files and a digest of its inputs.

    Raises UnusableFile where the lock has no such stage.
    """
    outputs_of = ("tables", "figures")
    stages = _stages(lock, outputs_of)
    rows: list[Row] = []
    for stage in outputs_of:
        names = sorted({path.stem for path in (outputs / stage).glob("*")})
        rows.append({"files": ", ".join(names), "stage": stage, "inputs": _digest(stages[stage])})
    return rows


def settings_of(lock: Path) -> dict[str, str]:
    """Return dotted name -> value of the parameters of `SETTINGS` that a lock's results had.

    Raises UnusableFile where the lock lacks one of the stages.
    """
    stages = _stages(lock, SETTINGS)
    return {
        name: value
        for stage, blocks in SETTINGS.items()
        for params in stages[stage]["params"].values()
        for block in blocks if block in params
        for name, value in flat(params[block], block).items()
    }  # fmt: skip


def _stages(lock: Path, needed: Iterable[str]) -> dict[str, Any]:
    stages = (yaml.safe_load(lock.read_text(encoding="utf-8")) or {}).get("stages", {})
    for stage in needed:
        if stage not in stages:
            raise UnusableFile(f"{lock}: has no stage '{stage}'; run `dvc repro`")
    return dict(stages)


def _texts(root: Path) -> dict[str, Path]:
    """Return what the template calls each of `TEXTS`, and its file."""
    return {Path(name).stem: root / "paper" / name for name in TEXTS}


def _digest(stage: Mapping[str, Any]) -> str:
    deps = sorted(f"{dep['path']} {dep['md5']}" for dep in stage.get("deps", []))
    known = "\n".join([*deps, yaml.safe_dump(stage.get("params", {}))])
    return hashlib.sha256(known.encode()).hexdigest()[:12]


def _study(root: Path, folder: Path) -> Study:
    tables, lock = folder / "paper" / "tables", folder / "dvc.lock"
    judges = tables / "judges.csv"
    scale = read_filled(tables / "study.csv", ("profile", "parameters", "seeds", "confidence"))
    for needed in (lock, *(folder / "paper" / "figures" / f"{name}.png" for name in FIGURES)):
        if not needed.is_file():
            raise UnusableFile(f"{needed}: missing; run `dvc repro`")
    figures = Path("..") / ".." / folder.relative_to(root) / "paper" / "figures"
    return Study(
        title=TITLES.get(scale[0]["profile"], scale[0]["profile"]),
        figures=figures.as_posix(),
        scale=scale[0],
        claims=deciding(folder),
        controls=compared_controls(tables),
        judges=[row for row in read_filled(judges, ("carries", "examples")) if row["carries"]],
        provenance=provenance(lock, folder / "paper"),
        settings=settings_of(lock),
    )


def _beside(studies: Sequence[Study]) -> list[dict[str, Any]]:
    """Return a row a difference that decides a claim, with what each study found of it, or None."""
    found = [{tuple(row[key] for key in KEY): row for row in study.claims} for study in studies]
    keys = list(dict.fromkeys(key for each in found for key in each))
    return [
        {"claim": key[0], "measure": key[3], "found": [each.get(key) for each in found]}
        for key in keys
    ]


def _settings_beside(studies: Sequence[Study]) -> list[tuple[str, list[str]]]:
    """Return the name of a setting with its value in each study, "" where one has it not."""
    names = dict.fromkeys(name for study in studies for name in study.settings)
    return [(name, [study.settings.get(name, "") for study in studies]) for name in names]


def _reported(found: Iterable[Any]) -> str:
    said = [f"{each.value}: {each.of} ({each.source}, {each.label})" for each in found]
    return "; ".join(said) or "none was found"


def _values(name: str, asked: Claims) -> str:
    """Return the numbers that were found for a claim, each with its label alone."""
    found = {claim.claim: claim.reported for claim in asked.claims}
    if name not in found:
        raise UnusableFile(
            f"the tables have a claim {name!r} that claims.yaml has not: `dvc repro`"
        )
    return "; ".join(f"{each.value} ({each.label})" for each in found[name]) or "none known"


def _draw_ladder(studies: Sequence[Study], target: Path) -> None:
    from reproduce.reporting.figures import ladder
    from reproduce.reporting.plotting import save

    note = " ".join(
        f"{each.title}: n = {each.prompts} prompts, {each.level} bootstrap intervals {each.over}."
        for each in studies
    )
    save(ladder([(study.title, study.claims) for study in studies], note), target)
    target.with_suffix(".pdf").unlink()


def _as_page(text: str, target: Path, draft: Path) -> None:
    import pypandoc

    options = ["--standalone", "--embed-resources", "--fail-if-warnings",
               f"--resource-path={draft}", f"--css={target / 'report.css'}"]  # fmt: skip
    page = pypandoc.convert_text(text, "html5", format="markdown", extra_args=options)
    (draft / "report.html").write_text(page, encoding="utf-8", newline="\n")


def _as_pdf(text: str, root: Path, target: Path, draft: Path) -> None:
    import pypandoc
    import typst

    options = [f"--template={target / 'report.typ'}", "--standalone"]
    source = draft / "source.typ"
    source.write_text(
        pypandoc.convert_text(text, "typst", format="markdown", extra_args=options),
        encoding="utf-8",
    )
    typst.compile(source, output=draft / "report.pdf", root=root, ignore_system_fonts=True)
    source.unlink()
