"""The page to explore responses: one HTML file that needs no network, made of tables alone."""

import json
from pathlib import Path
from typing import Any

from matplotlib.colors import to_hex

from reproduce.reporting.plotting import COLOURS, GREY
from reproduce.utils.files import read_csv, write_text

TEMPLATE = Path(__file__).with_suffix(".html")
DATA = "{{ data }}"  # in the template, in place of the data


def write_page(tables: Path, target: Path) -> None:
    """Write the page to the file `target`; UnusableFile where a table of `page_data` is missing."""
    # In a script element only "<" could end the data.
    data = json.dumps(page_data(tables), ensure_ascii=False, separators=(",", ":"))
    page = TEMPLATE.read_text(encoding="utf-8")
    write_text(target, page.replace(DATA, data.replace("<", "\\u003c")))


def page_data(tables: Path) -> dict[str, Any]:
    """Return the cells of `generations` and `prompts`, and the label and colour of each arm.

    The labels are from `scores`. Without a table of prompts these have names only.
    """
    responses = read_csv(tables / "generations.csv")
    if (tables / "prompts.csv").is_file():
        prompts = read_csv(tables / "prompts.csv")
    else:
        names = dict.fromkeys((row["dataset"], row["example"]) for row in responses)
        prompts = [{"dataset": dataset, "example": example} for dataset, example in names]
    labels = {row["arm"]: row["label"] for row in read_csv(tables / "scores.csv")}
    return {
        "arms": [
            {"arm": arm, "label": labels[arm], "colour": to_hex(COLOURS.get(arm, GREY))}
            for arm in dict.fromkeys(row["arm"] for row in responses)
        ],
        "prompts": prompts,
        "columns": list(responses[0]),
        "responses": [list(row.values()) for row in responses],
    }
