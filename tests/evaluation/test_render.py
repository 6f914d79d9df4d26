"""Cells of tables as readers and as programs see them."""

from reproduce.evaluation.results import Estimate
from reproduce.evaluation.tables.render import (
    Table,
    cell_text,
    markdown,
    spread_estimates,
    write_table,
)
from reproduce.intervals import Interval

INTERVAL = Interval(-0.0001, -0.25, 0.125, 10, 3)


def test_numbers_as_readers_see_them() -> None:
    assert cell_text(Estimate(INTERVAL)) == "0.000 [-0.250, 0.125]"
    assert cell_text(Estimate(INTERVAL, difference=True)) == "0.000 [-0.250, +0.125]"
    assert (cell_text(None), cell_text(240.0), cell_text(1.0)) == ("–", "240", "1.000")


def test_an_estimate_has_six_columns_in_every_row(tmp_path) -> None:
    rows = [{"arm": "a, b", "x": Estimate(INTERVAL, 2)}, {"arm": "c", "x": None}]
    first, second = spread_estimates(rows)
    assert list(first) == ["arm", "x", "x_low", "x_high", "x_prompts", "x_seeds", "x_dropped"]
    assert list(first.values())[1:] == ["-0.000100", "-0.250000", "0.125000", "10", "3", "2"]
    assert set(second.values()) == {"c", ""} and list(second) == list(first)
    write_table(Table("t", rows), tmp_path)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[1:] == ['"a, b",-0.000100,-0.250000,0.125000,10,3,2', "c,,,,,,"]
    assert not (tmp_path / "t.md").exists()


def test_markdown_has_title_table_and_notes() -> None:
    table = Table(
        "t", [{"a": None, "b": "x|y", "c": 1}], {"a": "A", "b": "B"}, "T", "Text.", ["N."]
    )
    lines = markdown(table).splitlines()
    assert lines[0] == "**T.** Text." and lines[-1] == "- N."
    assert [cell.strip() for cell in lines[4].replace("\\|", "!").split("|")[1:-1]] == ["–", "x!y"]
