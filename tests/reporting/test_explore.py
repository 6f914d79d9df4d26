"""The page to explore responses: the data of the tables, whatever they contain, and its views."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from reproduce.reporting.explore import DATA, TEMPLATE, page_data, write_page
from reproduce.reset.select import FAITHFUL
from reproduce.study import Study
from reproduce.utils.files import read_csv, write_csv

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = (
    '</script><script>document.title = "changed"</script>',
    '<img src="x" onerror="document.title = \'changed\'">',
    "<!-- <script> {{ data }} &amp; \\u003c \u2028 \u202e \x00\x1b[2J ]]> 𝕏 “é”",
    "",
)
ARTICLE = re.compile(
    r'<article data-example="(.*?)" data-arm="(.*?)" data-seed="(.*?)">'
    r'.*?<p class="text">(.*?)</p>',
    re.DOTALL,
)
Browse = Callable[..., str]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Return a function (page, script to run in it, view) -> the page as the browser has it.

    It fails if the page logs an error.
    """
    if BROWSER is None:
        pytest.skip("no Chromium is installed (`chromium` is not on the PATH)")

    def page_as_shown(page: Path, script: str = "", **view: str) -> str:
        if script:
            text = page.read_text(encoding="utf-8")
            page = tmp_path / "with-script.html"
            page.write_text(f"{text}<script>{script}</script>", encoding="utf-8")
        done = subprocess.run(
            [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
             f"--user-data-dir={tmp_path / 'browser'}", "--virtual-time-budget=2000", "--dump-dom",
             f"{page.as_uri()}#{urlencode(view)}"],
            check=True, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert "CONSOLE" not in done.stderr, done.stderr
        return done.stdout

    return page_as_shown


def responses_in(page: str) -> dict[tuple[str, ...], str]:
    """Return (example, arm, seed) -> text of the responses that a page shows."""
    return {
        tuple(map(html.unescape, keys)): html.unescape(re.sub(r"<[^>]*>", "", text))
        for *keys, text in ARTICLE.findall(page)
    }


def data_in(page: Path) -> dict:
    text = page.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(data)


def hostile_tables(folder: Path) -> list[dict[str, str]]:
    """Write tables whose every text is hostile; return the responses."""
    scores = dict.fromkeys(("task", "faithfulness", "instruction"), "1.000000")
    rows = [
        {"arm": "base", "seed": "0", "dataset": text, "example": str(n), "response": text, **scores,
         "correct": "1", "states_memorised": "y", "followed": "yn", "labels": "e0-3 c4-9"}
        for n, text in enumerate(HOSTILE)
    ]  # fmt: skip
    keys = ("dataset", "passage", "question", "instructions", "reference", "memorised")
    folder.mkdir()
    write_csv(folder / "generations.csv", rows)
    write_csv(folder / "scores.csv", [{"arm": "base", "label": HOSTILE[0]}])
    write_csv(folder / "prompts.csv", [
        {"example": str(n), **dict.fromkeys(keys, text)} for n, text in enumerate(HOSTILE)
    ])  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def page(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of the synthetic study."""
    target = tmp_path_factory.mktemp("page") / "explore.html"
    write_page(study.artifacts / "tables", target)
    return target


def test_the_page_has_the_cells_of_the_tables(study: Study, page: Path) -> None:
    data, tables = data_in(page), study.artifacts / "tables"
    rows = read_csv(tables / "generations.csv")
    assert [dict(zip(data["columns"], r, strict=True)) for r in data["responses"]] == rows
    assert data["prompts"] == read_csv(tables / "prompts.csv")
    labels = {arm["arm"]: arm["label"] for arm in data["arms"]}
    assert labels == {row["arm"]: study.labels[row["arm"]] for row in rows}


def test_the_page_needs_nothing_else_and_names_the_limit_of_faithful_responses() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert text.count(DATA) == 1 and not re.search(r"https?:|\bsrc=|<link|@import|url\(", text)
    assert f"(above {FAITHFUL})" in text and f"score > {FAITHFUL}" in text
    assert "innerHTML" not in text and "eval(" not in text


def test_hostile_texts_are_data(tmp_path: Path) -> None:
    rows = hostile_tables(tmp_path / "tables")
    write_page(tmp_path / "tables", tmp_path / "explore.html")
    text, template = (
        path.read_text(encoding="utf-8") for path in (tmp_path / "explore.html", TEMPLATE)
    )
    for mark in ("<", "</script", "<!--", 'onerror="'):
        assert text.count(mark) == template.count(mark)
    data = data_in(tmp_path / "explore.html")
    assert data["responses"] == [list(row.values()) for row in rows]


def test_other_peoples_texts_are_left_out(study: Study, tmp_path: Path, browse: Browse) -> None:
    for name in ("generations", "scores"):
        shutil.copy(study.artifacts / "tables" / f"{name}.csv", tmp_path)
    prompts = page_data(tmp_path)["prompts"]
    assert [set(prompt) for prompt in prompts] == [{"dataset", "example"}] * len(prompts)
    write_page(tmp_path, tmp_path / "explore.html")
    shown = browse(tmp_path / "explore.html", set="orders-a", arms="IF,ReSet")
    assert "reproduce summary" in shown and len(responses_in(shown)) == 2


def test_a_view_has_the_chosen_responses(study: Study, page: Path, browse: Browse) -> None:
    rows = read_csv(study.artifacts / "tables" / "generations.csv")
    example = [row["example"] for row in rows if row["dataset"] == "joined"][3]
    shown = browse(page, prompt=example, arms="CD,MTL", seeds="0,2")
    expected = {
        (example, row["arm"], row["seed"]): row["response"] or "(empty)" for row in rows
        if row["example"] == example and row["arm"] in ("CD", "MTL") and row["seed"] in ("0", "2")
    }  # fmt: skip
    assert responses_in(shown) == expected and len(expected) == 4
    (prompt,) = [p for p in read_csv(study.artifacts / "tables" / "prompts.csv")
                 if p["example"] == example]  # fmt: skip
    for part in ("passage", "question", "reference"):
        assert f'<p class="text">{html.escape(prompt[part], quote=False)}</p>' in shown
    assert len(re.findall(r'<li class="(?:yes|no)" title="includes heavy">', shown)) == 4
    assert shown.count('<mark class="n">') > 1, "sentences are marked"


def test_the_filter_counts_and_walks_through_what_changed(
    study: Study, page: Path, browse: Browse
) -> None:
    correct = {
        (row["dataset"], row["example"], row["arm"], row["seed"]): row["correct"]
        for row in read_csv(study.artifacts / "tables" / "generations.csv")
    }

    def lost(dataset: str) -> list[str]:
        return [
            e for d, e, arm, seed in correct
            if (arm, seed) == ("CD", "1") and dataset in (d, "")
            and correct[d, e, "CD", "1"] == "1" and correct[d, e, "IF", "1"] == "0"
        ]  # fmt: skip

    here, all_sets = lost("answers-a"), lost("")
    prompts = len({example for _, example, *_ in correct})
    assert 1 < len(here) < 12 < len(all_sets)
    view = {"set": "answers-a", "seeds": "1", "before": "CD", "after": "IF", "show": "lost"}
    shown = browse(page, arms="MTL", **view)
    assert f"{len(here)} of 12 prompts in answers-a, {len(all_sets)} of {prompts} in all" in shown
    assert f"CD ✓, IF ✗: {len(here)}<" in shown
    assert f"answers-a ({len(here)})" in shown and f"all data sets ({len(all_sets)})" in shown
    assert set(responses_in(shown)) == {(here[0], arm, "1") for arm in ("CD", "IF", "MTL")}
    shown = browse(page, 'document.getElementById("next").click()', **view)
    assert {example for example, *_ in responses_in(shown)} == {here[1]}
    script = 'document.querySelector("[name=show][value=all]").click()'
    assert "12 of 12 prompts in answers-a" in browse(page, script, **view)
    assert "No prompt of this data set" in browse(page, **{**view, "after": "CD"})


def test_a_browser_shows_hostile_texts_as_texts(tmp_path: Path, browse: Browse) -> None:
    rows = hostile_tables(tmp_path / "tables")
    write_page(tmp_path / "tables", tmp_path / "explore.html")
    for row in rows:
        shown = browse(tmp_path / "explore.html", prompt=row["example"])
        assert "<title>Dancing in Chains" in shown and "<img" not in shown
        assert responses_in(shown) == {(row["example"], "base", "0"): row["response"] or "(empty)"}
    shown = browse(tmp_path / "explore.html", set="<b>", arms="</script>", show="constructor")
    assert len(responses_in(shown)) == 1
