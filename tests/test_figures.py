"""Figures of a made-up study: all there, the same bytes again, labels apart."""

import csv
import shutil
import struct
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
import synthetic

from reproduce.reporting.figures import FIGURES, controls, ladder, losses, make_figures, trade_off
from reproduce.reporting.plotting import PALETTE, save
from reproduce.utils.files import UnusableFile, read_csv


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    return synthetic.shared_study(tmp_path_factory.getbasetemp()) / "tables"


@pytest.fixture(scope="module")
def figures(tables: Path, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("drawn") / "figures"
    make_figures(tables, target)
    return target


def pixels(png: Path) -> tuple[int, int]:
    return struct.unpack(">II", png.read_bytes()[16:24])


def rewrite(path: Path, change: Callable[[str, str], str]) -> None:
    with path.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows({name: change(name, text) for name, text in r.items()} for r in rows)


def test_every_figure_is_16_cm_wide_at_200_dots_an_inch(figures: Path) -> None:
    for name in FIGURES:
        width, height = pixels(figures / f"{name}.png")
        assert width == int(16 / 2.54 * 200)
        assert height < 24 / 2.54 * 200
        assert (figures / f"{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["trade-off", "losses"])
def test_the_same_tables_give_the_same_bytes(
    name: str, tables: Path, figures: Path, tmp_path: Path
) -> None:
    save(FIGURES[name](tables), tmp_path / name)
    for kind in ("png", "pdf"):
        again = (tmp_path / f"{name}.{kind}").read_bytes()
        assert again == (figures / f"{name}.{kind}").read_bytes()
    assert b"CreationDate" not in (tmp_path / f"{name}.pdf").read_bytes()


def test_no_two_lines_of_losses_look_alike(tables: Path) -> None:
    lines = [panel.get_lines() for panel in losses(tables).axes]
    assert max(len(panel) for panel in lines) > len(PALETTE)
    for panel in lines:
        assert len({(line.get_color(), line.get_linestyle()) for line in panel}) == len(panel)


def test_labels_of_the_plane_are_apart(tables: Path) -> None:
    figure = trade_off(tables)
    figure.draw_without_rendering()
    labels = [text for text in figure.axes[0].texts if text.get_text()]
    assert {"MTL", "ReSet-S", "North Star", "CD → IF"} <= {text.get_text() for text in labels}
    for first, second in combinations(labels, 2):
        assert not first.get_tightbbox().overlaps(second.get_tightbbox())


def test_labels_of_arms_that_almost_coincide_are_apart(tables: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tables, tmp_path / "tables"))

    def squeeze(name: str, text: str) -> str:
        squeezed = name.startswith(("instruction", "faithfulness")) and "." in text
        return str(0.6 + float(text) / 50) if squeezed else text

    rewrite(folder / "methods.csv", squeeze)
    figure = trade_off(folder)
    figure.draw_without_rendering()
    boxes = [text.get_tightbbox() for text in figure.axes[0].texts if text.get_text()]
    assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))


def test_the_star_joins_the_best_of_both_specialists(tables: Path) -> None:
    with (tables / "methods.csv").open(encoding="utf-8") as stream:
        rows = {row["arm"]: row for row in csv.DictReader(stream)}
    star = next(line for line in trade_off(tables).axes[0].lines if line.get_marker() == "*")
    assert star.get_xdata()[0] == float(rows["IF"]["instruction"])
    assert star.get_ydata()[0] == float(rows["CD"]["faithfulness"])


def test_variants_and_controls_point_the_same_way(tables: Path) -> None:
    with (tables / "drivers.csv").open(encoding="utf-8") as stream:
        variant = next(row for row in csv.DictReader(stream) if row["arm"] == "cold")
    point = controls(tables).axes[3].lines[0].get_xdata()[0]
    assert point == float(variant["instruction_difference"])


def test_there_is_no_figure_of_the_mechanism_without_its_table(
    tables: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tables, tmp_path / "tables"))
    (folder / "mechanism.csv").unlink()
    make_figures(folder, tmp_path / "figures")
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert drawn == set(FIGURES) - {"mechanism"}


def test_the_ladder_finds_the_same_claims_in_every_study(tables: Path) -> None:
    rows = [row for row in read_csv(tables / "claims.csv") if row["role"] == "primary"]
    turned = rows[::-1]
    turned[0] = turned[0] | {"effect_low": turned[0]["effect"], "effect": "9"}  # outside its bars
    figure = ladder([("small", rows), ("large", turned)])
    assert len(figure.axes) == len(rows)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["small", "large"]
    assert len(ladder([("small", rows[:1])]).axes) == 1
    with pytest.raises(UnusableFile, match=r"large: its claims\.csv lacks"):
        ladder([("small", rows), ("large", rows[1:])])
