"""The reproduction report: Markdown from the published tables, then a web page and a PDF."""

import os
import tempfile
from pathlib import Path
from typing import Any

from reproduce.evaluation.claims import primary_claims
from reproduce.evaluation.formatting import interval, percent, plural
from reproduce.reporting.readme import control_differences, intervals, published_studies
from reproduce.study import Study
from reproduce.utils.files import read_csv

TITLES = {"tiny": "Synthetic task", "smollm2": "SmolLM2-135M on real text"}
"""What a reader calls a profile; others go by their name."""


def build_report(root: Path) -> None:
    """Write report.md, report.html and report.pdf to paper/report, from its report.md.j2.

    Every profile of the repository `root` with published tables takes part. Needs no network and
    no artifacts. Nothing is replaced unless all of it was made.
    """
    import jinja2
    import pypandoc
    import typst

    studies, target = published_studies(root), root / "paper" / "report"
    values = [_values(study, root) for study in studies]
    values.sort(key=lambda study: int(study["scale"]["parameters"]))
    texts = {
        name: (root / "paper" / f"{name}.md").read_text(encoding="utf-8").strip()
        for name in ("discussion", "errata")
    }
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(target), undefined=jinja2.StrictUndefined, autoescape=False,
        keep_trailing_newline=True,
    )  # fmt: skip
    templates.filters |= {
        "interval": interval,
        "unsigned": lambda row, name: interval(row, name, sign=False),
        "plural": lambda count, noun: plural(int(count), noun),
        "count": lambda number: f"{int(number):,}",
        "percent": percent,
    }
    template = templates.get_template("report.md.j2")
    text = template.render(studies=values, claims=studies[0].claims, **texts)
    # Next to the target, so that the relative paths of figures hold.
    with tempfile.TemporaryDirectory(prefix=".report.", dir=target.parent) as workspace:
        draft = Path(workspace)
        (draft / "report.md").write_text(text, encoding="utf-8", newline="\n")
        options = ["--standalone", "--embed-resources", "--fail-if-warnings",
                   f"--resource-path={draft}", f"--css={target / 'report.css'}"]  # fmt: skip
        page = pypandoc.convert_text(text, "html5", format="markdown", extra_args=options)
        (draft / "report.html").write_text(page, encoding="utf-8", newline="\n")
        options = ["--standalone", f"--template={target / 'report.typ'}"]
        source = pypandoc.convert_text(text, "typst", format="markdown", extra_args=options)
        typ, pdf = draft / "source.typ", draft / "report.pdf"
        typ.write_text(source, encoding="utf-8")
        typst.compile(typ, output=pdf, root=root, ignore_system_fonts=True)
        typ.unlink()
        for path in draft.iterdir():
            os.replace(path, target / path.name)


def _values(study: Study, root: Path) -> dict[str, Any]:
    """Return what the template needs of a study."""
    tables, profile = study.paper / "tables", study.params.profile
    judges = read_csv(tables / "judge-validation.csv")
    return {
        "title": TITLES.get(profile, profile),
        "tables": tables,
        "figures": (Path("../..") / study.paper.relative_to(root) / "figures").as_posix(),
        "scale": read_csv(tables / "study.csv")[0],
        "claims": primary_claims(tables),
        "controls": control_differences(tables),
        "judges": [row for row in judges if row["used_for_claims"]],
        "intervals": intervals(tables),
    }
