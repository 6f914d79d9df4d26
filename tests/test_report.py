"""The README's results are those of the committed tables."""

from pathlib import Path

import pytest
import synthetic

from reproduce.files import UnusableFile
from reproduce.report import BEGIN, END, refresh, results

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.shared_study(tmp_path_factory.getbasetemp()) / "tables"


def blocks(text: str) -> dict[str, str]:
    """Return profile -> what stands between its markers."""
    begin, end = BEGIN.split("{name}")[0], END.split("{name}")[1]
    names = [line.removeprefix(begin).split(":")[0] for line in text.splitlines()
             if line.startswith(begin) and line.endswith(": begin -->")]  # fmt: skip
    assert end
    return {
        n: text.split(BEGIN.format(name=n) + "\n")[1].split(END.format(name=n))[0] for n in names
    }


def test_the_readme_says_what_the_committed_tables_say() -> None:
    found = blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    assert "tiny" in found
    for name, block in found.items():
        folder = ROOT if name == "tiny" else ROOT / "profiles" / name
        assert block == results(folder / "paper" / "tables"), f"run `reproduce readme` for {name}"


def test_every_claim_and_control_has_its_line(tables: Path) -> None:
    text = results(tables)
    assert text.count("| IF tuning lowers faithfulness |") == 1
    assert text.count("| MTL is far from both specialists |") == 2
    assert "| ReSet − random choice |" in text and "| ReSet-S − gold responses (S) |" in text
    assert "3 seeds" in text


def test_only_the_text_between_the_markers_changes(tables: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    begin, end = (mark.format(name="tiny") for mark in (BEGIN, END))
    readme.write_text(f"# Title\n{begin}\nold\n{end}\nrest\n")
    refresh(readme, "tiny", tables)
    text = readme.read_text()
    assert text == f"# Title\n{begin}\n{results(tables)}{end}\nrest\n"
    refresh(readme, "tiny", tables)
    assert readme.read_text() == text


def test_a_readme_without_markers_is_left_alone(tables: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# Title\n")
    with pytest.raises(UnusableFile, match="results of tiny: begin"):
        refresh(readme, "tiny", tables)
    assert readme.read_text() == "# Title\n"


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match=r"claims\.csv: missing"):
        results(tmp_path)
