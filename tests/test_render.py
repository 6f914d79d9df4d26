"""Cells and LaTeX of tables as readers see them."""

from reproduce.bootstrap import Interval
from reproduce.evaluation.results import Estimate
from reproduce.evaluation.tables.render import Table, cell, escaped, latex, markdown


def test_numbers_as_readers_see_them() -> None:
    interval = Interval(-0.0001, -0.25, 0.125, 10, 3)
    assert cell(Estimate(interval)) == "0.000 [-0.250, 0.125]"
    assert cell(Estimate(interval, difference=True)) == "0.000 [-0.250, +0.125]"
    assert cell(None) == "–"
    assert cell(240.0) == "240"
    assert cell(1.0) == "1.000"


def test_latex_is_escaped() -> None:
    assert escaped("CD → IF_1, 50 % & #") == r"CD $\rightarrow$ IF\_1, 50 \% \& \#"
    assert escaped("-0.250 of ReSet-11") == "$-$0.250 of ReSet-11"
    assert escaped("[a]") == "{[}a{]}"


def test_a_column_that_does_not_apply_is_a_dash() -> None:
    made = Table("t", "Caption.", {"a": "A|B"}, [{"a": None}])
    assert "| – |" in markdown(made)
    assert "-- \\\\" in latex(made)
