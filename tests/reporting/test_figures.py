"""The figures of the published tables: all there, of one size, the same bytes again."""

import struct
from pathlib import Path

import pytest
from support.profiles import ROOT

from reproduce.reporting.figures import (
    FIGURES,
    answers,
    claims,
    controls,
    flaw_levels,
    losses,
    make_figures,
    memorised_errors,
    reset_example,
    sampling_or_filtering,
    trade_off,
)
from reproduce.reporting.plotting import objective_labels, read_table, save
from reproduce.study import Study
from reproduce.utils.files import read_csv, write_csv

SYNTHETIC = ROOT / "paper" / "tables"
SMOLLM2 = ROOT / "profiles" / "smollm2" / "paper" / "tables"
needs_real_text = pytest.mark.skipif(not SMOLLM2.is_dir(), reason="no published study of real text")


@pytest.mark.slow
def test_every_figure_is_14_cm_wide(study: Study, tmp_path: Path) -> None:
    make_figures(study.artifacts / "tables", tmp_path / "figures")
    for name in set(FIGURES) - {"reset"}:  # This study has no candidates.
        png = (tmp_path / "figures" / f"{name}.png").read_bytes()
        width, height = struct.unpack(">II", png[16:24])
        assert width == int(14 / 2.54 * 200) and height < 24 / 2.54 * 200
        assert (tmp_path / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        save(losses(SYNTHETIC), tmp_path / name)
    for kind in ("png", "pdf"):
        first, second = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("first", "second"))
        assert first == second


@needs_real_text
def test_real_text_has_all_figures_but_those_of_the_synthetic_task() -> None:
    for name in set(FIGURES) - {"memorised-errors", "flaw-levels", "reset", "answers"}:
        assert FIGURES[name](SMOLLM2).axes


def test_the_star_joins_the_best_of_both_specialists() -> None:
    rows = {row["arm"]: row for row in read_csv(SYNTHETIC / "methods.csv")}
    star = next(line for line in trade_off(SYNTHETIC).axes[0].lines if line.get_marker() == "*")
    assert star.get_xdata()[0] == float(rows["IF"]["instruction"])
    assert star.get_ydata()[0] == float(rows["CD"]["faithfulness"])


@pytest.mark.parametrize(("name", "panel"), [("controls", 0), ("ablations", 3)])
def test_controls_and_ablations_are_drawn_as_the_tables_have_them(
    name: str, panel: int, study: Study
) -> None:
    tables = study.artifacts / "tables"
    rows = read_table(tables, name).dropna(subset="instruction_difference")
    axes = controls(tables).axes[panel]
    points = [bar.lines[0].get_xdata()[0] for bar in axes.containers]
    assert points == list(rows["instruction_difference"])
    assert [label.get_text() for label in axes.get_yticklabels()] == list(rows["label"])


def test_gains_are_drawn_over_the_level_of_flaws(study: Study) -> None:
    tables = study.artifacts / "tables"
    rows = read_table(tables, "levels").dropna(subset="both_difference")
    figure = flaw_levels(tables)
    (line,) = (bar.lines[0] for bar in figure.axes[2].containers)
    assert list(line.get_xdata()) == [0, 15, 30]
    assert list(line.get_ydata()) == list(rows["both_difference"])
    assert f"{rows['both_difference'].iloc[-1]:+.3f}" in figure.get_suptitle().replace("−", "-")


def test_weights_between_the_specialists_join_them_on_the_plane(study: Study) -> None:
    tables = study.artifacts / "tables"
    (line,) = (line for line in trade_off(tables).axes[0].lines if line.get_linestyle() == ":")
    assert list(line.get_xdata()) == list(read_table(tables, "interpolation")["instruction"])


def test_each_arm_has_its_share_of_memorised_errors() -> None:
    rows = read_table(SYNTHETIC, "memorised-errors")
    axes = memorised_errors(SYNTHETIC).axes[0]
    points = [bar.lines[0].get_xdata()[0] for bar in axes.containers]
    assert points[::-1] == list(rows["remembered"])


def test_the_losses_of_all_main_arms_look_different() -> None:
    lines = losses(SYNTHETIC).axes[0].get_lines()
    labels = {line.get_label() for line in lines}
    assert labels == {
        "IF", "CD", "CD → IF", "IF → CD", "MTL", "MTL again", "ReSet", "ReSet-S",
    }  # fmt: skip
    assert len({line.get_color() for line in lines}) == len(lines)


def test_axes_are_named_after_the_judges(tmp_path: Path) -> None:
    assert "1 entailed" in objective_labels(SYNTHETIC)["faithfulness"]
    rows = [
        row | {"judge": "rating; k_precision (a)"} for row in read_csv(SYNTHETIC / "claims.csv")
    ]
    write_csv(tmp_path / "claims.csv", rows)
    labels = objective_labels(tmp_path)
    assert "rating" in labels["instruction"] and "words" in labels["faithfulness"]


def test_claims_are_drawn_in_minimum_effects_with_the_claimed_side_right_of_0() -> None:
    rows = read_table(SYNTHETIC, "claims")
    rows = rows[rows["role"] == "primary"]
    axes = claims(SYNTHETIC).axes[0]
    assert len(axes.containers) == len(rows)
    first, drawn = rows.iloc[0], axes.containers[0].lines[0].get_xdata()[0]
    assert first["direction"] == "below 0" and first["effect"] < 0
    assert drawn == pytest.approx(-first["effect"] / first["smallest"])
    texts = [text.get_text() for text in axes.texts]
    assert [text.split("\n")[1] for text in texts[::2]] == list(rows["verdict"])
    assert texts[1::2] == list(rows["claim"])


def test_single_seeds_average_to_the_effect_of_a_claim() -> None:
    rows = read_table(SYNTHETIC, "claims")
    rows = rows[rows["role"] == "primary"].reset_index(drop=True)
    dots: dict[float, list[float]] = {}
    for line in claims(SYNTHETIC).axes[0].lines:
        if line.get_marker() == ".":
            dots.setdefault(line.get_ydata()[0], []).append(line.get_xdata()[0])
    for (_, row), values in zip(rows.iterrows(), dots.values(), strict=True):
        unit = row["smallest"] * (1 if row["direction"] == "above 0" else -1)
        assert sum(values) / len(values) == pytest.approx(row["effect"] / unit, abs=1e-4)


def test_sampling_and_filtering_are_drawn_as_the_table_has_them(study: Study) -> None:
    tables = study.artifacts / "tables"
    gain = read_table(tables, "controls").set_index("arm")["gain"]
    bars = sampling_or_filtering(tables).axes[0].containers
    arms = (["references", "filtered", "clean"], ["random", "ReSet"])
    assert [list(bar.lines[0].get_ydata()) for bar in bars] == [list(gain[kind]) for kind in arms]


def test_the_picture_of_reset_marks_the_selected_candidate() -> None:
    rows = read_table(SYNTHETIC, "reset-example")
    selected = rows[rows["selected"] == 1]
    bold = [text.get_text() for text in reset_example(SYNTHETIC).axes[0].texts
            if text.get_weight() == "bold"]  # fmt: skip
    for _, row in selected.iterrows():
        assert f"{row['reward']:.2f}" in bold
    assert rows["strategy"].iloc[0] == "reference" and len(selected) <= 1


def test_every_main_arm_answers_the_question_that_is_shown() -> None:
    bars, texts = answers(SYNTHETIC).axes
    arms = list(dict.fromkeys(read_table(SYNTHETIC, "outcomes")["label"]))
    assert [label.get_text() for label in bars.get_yticklabels()] == arms
    shown = {arm: text.get_text()[0] for arm, text in zip(arms, texts.texts, strict=True)}
    assert shown["CD"] == "✓" and shown["CD → IF"] == "✗"
