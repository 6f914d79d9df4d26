"""What tables hold of other people's texts: counts and overlaps, and no long copies."""

from dataclasses import fields
from pathlib import Path

import pytest
import synthetic

from reproduce.config import RealData
from reproduce.data.hub import Tally
from reproduce.evaluation.tables.data_sets import data_sets
from reproduce.evaluation.tables.make import make_tables
from reproduce.evaluation.tables.samples import without_copies
from reproduce.schema import Example, write_examples
from reproduce.utils.files import sealed_folder, write_csv

ROOT = Path(__file__).parent.parent
PASSAGE = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
EXAMPLE = Example("answers", "extractive", f"{PASSAGE}\nWhat?", "gold", PASSAGE, ("gold",))


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("twelve words of it: " + PASSAGE[:60], "twelve words of it: " + PASSAGE[:60]),
        (f"It says {PASSAGE.upper()} and ends.", "It says [14 words copied] and ends."),
        (PASSAGE.rsplit(" ", 1)[0], "[13 words copied]"),
        (f"{PASSAGE} {PASSAGE}", "[28 words copied]"),
        (f"{PASSAGE} or {PASSAGE}", "[14 words copied] or [14 words copied]"),
        ("", ""),
        ("a short\nanswer", "a short\nanswer"),
    ],
)
def test_a_long_copy_is_left_out_of_a_response(response: str, expected: str) -> None:
    assert without_copies(response, EXAMPLE) == expected


OF_FILES = ("parsed", "refused", "cut_off", "too_long", "shared", "repeated")
OF_A_HUB = tuple(each.name for each in fields(Tally))


def write_sets(artifacts: Path, columns: tuple[str, ...] = OF_FILES, **sets: list[Example]) -> None:
    for folder, prefix in (("training", "t_"), ("evaluation", "e_")):
        with sealed_folder(artifacts / folder) as draft:
            for name, examples in sets.items():
                if name.startswith(prefix):
                    write_examples(draft / f"{name[2:]}.jsonl", examples)
            if folder == "evaluation" and "counted" in sets:
                counts = {name: number for number, name in enumerate(columns, 5)}
                write_csv(draft / "counts.csv", [{"dataset": "answers", **counts}])


def asked(passage: str, question: str) -> Example:
    return Example("answers", "extractive", f"{passage}\n{question}", "gold", passage, ("gold",))


def test_data_sets_are_counted_and_compared(tmp_path: Path) -> None:
    words = PASSAGE.split()
    trained = [asked(PASSAGE, "What?"), asked("another passage", "Who?")]
    held_out = [
        asked(PASSAGE, "What?"),  # the same prompt
        asked(PASSAGE, "When?"),  # the same passage
        asked(" ".join([*words[:8], "x", *words[8:]]), "Why?"),  # a run of eight words
        asked(" ".join(words[:7]), "Where?"),
    ]
    order = Example("orders", "instruction", "Write a line.", "gold")
    write_sets(tmp_path, t_answers=trained, e_answers=held_out, t_orders=[order])
    table = data_sets(tmp_path)
    answers, orders = table.rows
    assert "parsed" not in table.headers
    assert (answers["side"], answers["train"], answers["evaluation"]) == ("CD", 2, 4)
    assert (answers["exact"], answers["long"], answers["short"]) == (1, 0.5, 0.75)
    assert (orders["side"], orders["train"], orders["evaluation"]) == ("IF", 1, 0)
    assert orders["exact"] is orders["long"] is None


def test_what_a_source_offered_stands_in_the_table(tmp_path: Path) -> None:
    one = asked("a passage", "Who?")
    write_sets(tmp_path, t_answers=[one], e_answers=[asked("b", "Who?")], counted=[])
    (row,) = data_sets(tmp_path).rows
    assert (row["parsed"], row["too_long"], row["repeated"]) == (5, 8, 10)


def test_what_a_hub_offered_stands_in_the_table(tmp_path: Path) -> None:
    one = asked("a passage", "Who?")
    write_sets(tmp_path, OF_A_HUB, t_answers=[one], e_answers=[asked("b", "Who?")], counted=[])
    table = data_sets(tmp_path)
    (row,) = table.rows
    assert (row["rows"], row["left_out"], row["refused"]) == (5, 6, 7)
    assert table.headers["left_out"] == "By rule" and "by rule: rows left out" in table.caption
    assert "Parsed" not in table.headers.values() and "arsed:" not in table.caption


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.shared_study(tmp_path_factory.getbasetemp()) / "artifacts"


def test_the_texts_of_others_are_not_in_the_tables(study: Path, tmp_path: Path) -> None:
    params = synthetic.small_params()
    assert params.data.world and (study.parent / "tables" / "prompts.csv").is_file()
    real = params.data.model_copy(update={"world": None, "real": RealData(sets={})})
    fetched = params.model_copy(update={"data": real})
    make_tables(fetched, synthetic.all_arms(), synthetic.all_claims(), study, tmp_path / "tables")
    assert not (tmp_path / "tables" / "prompts.csv").exists()
    text = (tmp_path / "tables" / "samples.md").read_text(encoding="utf-8")
    whole = (study.parent / "tables" / "samples.md").read_text(encoding="utf-8")
    assert text.count("###") == whole.count("###") and text.count("**") == whole.count("**")
    assert "Gold:" in whole and "Gold:" not in text and "\n> " not in text
    assert "`reproduce summary`" in text


@pytest.mark.parametrize("tables", ROOT.glob("profiles/*/paper/tables"), ids=lambda p: p.parts[-3])
def test_no_committed_profile_passes_on_the_texts_of_others(tables: Path) -> None:
    assert not (tables / "prompts.csv").exists()
    assert "\n> " not in (tables / "samples.md").read_text(encoding="utf-8")
