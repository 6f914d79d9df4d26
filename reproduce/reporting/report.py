"""The discussion and the report: templates in paper/, filled in from the published tables."""

import os
import re
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reproduce.evaluation.formatting import interval, percent, plural, quoted_markdown, short
from reproduce.reporting.readme import intervals, published_studies, verdict_key
from reproduce.study import Study
from reproduce.utils.files import UnusableFile, read_csv, write_text

if TYPE_CHECKING:
    import jinja2

MAIN = ("core", "tiny")
"""Profiles that the pages can be about: the first of them that is published."""


@dataclass(frozen=True)
class Published:
    """A published study, as templates see it. All its numbers are from its tables.

    Cells name a row: column=text. UnusableFile names the table that lacks a row or a number.
    """

    study: Study
    root: Path

    def rows(self, table: str) -> list[dict[str, str]]:
        """Return the rows of a table."""
        return read_csv(self.study.paper / "tables" / f"{table}.csv")

    def row(self, table: str, **cells: str) -> dict[str, str]:
        """Return the first row of a table with these cells."""
        for row in self.rows(table):
            if row.items() >= cells.items():
                return row
        raise UnusableFile(f"{self.study.paper / 'tables' / table}.csv has no row with {cells}")

    def has(self, table: str, **cells: str) -> bool:
        """Return whether a table is published and has a row with these cells."""
        is_there = (self.study.paper / "tables" / f"{table}.csv").is_file()
        return is_there and any(row.items() >= cells.items() for row in self.rows(table))

    def value(self, table: str, column: str, sign: bool = False, **cells: str) -> str:
        """Return a number of a table, with its interval if it has one."""
        row = self.row(table, **cells)
        if not row.get(column):
            path = self.study.paper / "tables" / f"{table}.csv"
            raise UnusableFile(f"{path} has no number '{column}' in the row with {cells}")
        has_interval = row.get(f"{column}_low")
        return interval(row, column, sign) if has_interval else number(row[column], sign)

    def score(self, table: str, arm: str, metric: str) -> str:
        """Return an arm's score."""
        return self.value(table, metric, arm=arm)

    def gain(self, table: str, arm: str, metric: str = "both") -> str:
        """Return the paired difference of a table between an arm and what the table says."""
        return self.value(table, f"{metric}_difference", sign=True, arm=arm)

    def effect(self, of: str, minus: str) -> str:
        """Return the first difference of two arms in the table of claims."""
        return self.value("claims", "effect", sign=True, of=of, minus=minus)

    def verdict(self, of: str, minus: str) -> str:
        """Return the verdict on this difference."""
        return self.row("claims", of=of, minus=minus)["verdict"]

    def figure(self, name: str) -> str:
        """Return a figure's path as seen from the report, "" where it is not published."""
        path = self.study.paper / "figures" / f"{name}.png"
        return f"../../{path.relative_to(self.root).as_posix()}" if path.is_file() else ""

    def note(self, figure: str) -> str:
        """Return the note of a figure, from the page that shows all figures."""
        page = (self.study.paper / "figures" / "README.md").read_text(encoding="utf-8")
        return page.partition(f"]({figure}.png)\n\n")[2].partition("\n\n")[0].strip()


def number(text: str | float, sign: bool = False) -> str:
    """Return a number as prose has it: three decimals and a true minus."""
    return short(float(text), sign).replace("-", "−")


def build_report(root: Path) -> None:
    """Write paper/discussion.md, and report.md, report.html and report.pdf in paper/report.

    They are about the main study, next to every other profile of the repository `root` with
    published tables. Needs no network and no artifacts. Nothing is replaced unless all of it was
    made. UnusableFile names template, line and table where a number is missing.
    """
    import jinja2
    import pypandoc
    import typst

    published = {s.params.profile: Published(s, root) for s in published_studies(root)}
    main = next((published[name] for name in MAIN if name in published), None)
    if main is None:
        raise UnusableFile(f"{root}: no published tables of {' or '.join(MAIN)}")
    target = root / "paper" / "report"
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root / "paper"), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    templates.globals |= {
        name: getattr(main, name) for name in dir(main) if not name.startswith("_")
    } | {"published": published, "intervals": intervals(main.study.paper / "tables"),
         "key": verdict_key(main.study)}  # fmt: skip
    templates.filters |= {
        "interval": interval,
        "number": number,
        "percent": percent,
        "plural": lambda count, noun: plural(int(count), noun),
        "quoted": quoted_markdown,
    }
    discussion = _filled_in(templates, "discussion.md.j2")
    _, *sections = re.split(r"(?m)^## (.+)\n", discussion)
    by_heading = dict(zip(sections[::2], sections[1::2], strict=True))
    text = _filled_in(templates, "report/report.md.j2", discussion=by_heading)
    # Next to the target, so that the relative paths of figures hold.
    with tempfile.TemporaryDirectory(prefix=".report.", dir=target.parent) as workspace:
        draft = Path(workspace)
        (draft / "report.md").write_text(text, encoding="utf-8", newline="\n")
        options = ["--standalone", "--embed-resources", "--fail-if-warnings", "--number-sections",
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
    write_text(root / "paper" / "discussion.md", discussion)


def _filled_in(templates: "jinja2.Environment", name: str, **values: Any) -> str:
    """Return a template's text; UnusableFile names the place of what cannot be filled in."""
    import jinja2

    try:
        # A section that is left out leaves empty lines.
        return re.sub("\n{3,}", "\n\n", templates.get_template(name).render(values))
    except (UnusableFile, jinja2.TemplateError, KeyError, TypeError, ValueError) as error:
        places = traceback.extract_tb(error.__traceback__)
        place = next((p for p in places if p.filename.endswith(name)), places[-1])
        line = f"paper/{name}, line {place.lineno}: {place.line}"
        raise UnusableFile(f"{line}\n  {error}") from error
