"""The README's results are those of the committed tables."""

import re
import shutil
from pathlib import Path

import pytest
import synthetic

from reproduce.config import by_key, load_claims, load_experiments
from reproduce.reporting.readme import BLOCKS, MARK, costs, elsewhere, needed, refresh, results
from reproduce.utils.files import UnusableFile, read_csv, write_csv, write_json
from reproduce.utils.formatting import interval, over, percent, plural, span

ROOT = Path(__file__).parent.parent


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Return the folder of a profile with the tables of synthetic scores."""
    made = synthetic.shared_study(tmp_path_factory.getbasetemp()) / "tables"
    shutil.copytree(made, tmp_path / "paper" / "tables")
    for name in ("params.yaml", "experiments.yaml", "timings.csv", "paper/claims.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def blocks(text: str) -> dict[str, str]:
    """Return "results of tiny" -> what stands between its markers, of every block."""
    found = re.findall(r"<!-- (\w+ of \w+): begin -->\n(.*?)<!-- \1: end -->", text, re.DOTALL)
    return dict(found)


def test_the_readme_says_what_the_committed_tables_say() -> None:
    found = blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {"results of tiny", "costs of tiny", "elsewhere of tiny"} <= set(found)
    for name, block in found.items():
        what, profile = name.split(" of ")
        folder = ROOT if profile == "tiny" else ROOT / "profiles" / profile
        assert block == BLOCKS[what](folder), f"run `reproduce readme` for {profile}"


def test_every_claim_and_control_has_its_line(folder: Path) -> None:
    text = results(folder)
    assert text.count("| IF tuning lowers faithfulness |") == 1
    assert text.count("| MTL is far from both specialists |") == 2
    assert "| MTL − IF, instruction following: " in text
    assert "| ReSet − random choice |" in text and "| ReSet-S − gold responses (S) |" in text
    assert "3 seeds" in text and "faithfulness runs from −1" in text
    assert "| `dvc repro two-stage@CD-IF two-stage@CD; reproduce summary` |" in costs(folder)


def test_what_is_judged_otherwise_has_another_range(folder: Path) -> None:
    claims = folder / "paper" / "tables" / "claims.csv"
    rows = [{**row, "judge": "rating; k_precision (a)"} for row in read_csv(claims)]
    write_csv(claims, rows)
    assert "all run from 0 to 1" in results(folder) and "from −1" not in results(folder)


def test_a_probe_of_plain_text_is_told_by_the_names_of_the_arms(folder: Path) -> None:
    table = folder / "paper" / "tables" / "mechanism.csv"
    if not any("probe:probe-copy" in row for row in read_csv(table)):
        rows = [{**row, **{f"probe:probe-copy{end}": row[f"probe:probe-a{end}"]
                           for end in ("", "_low", "_high", "_prompts")}}
                for row in read_csv(table)]  # fmt: skip
        write_csv(table, [{**row, "label": "other"} for row in rows])
    assert "goes on with the right value in a share of" in results(folder)
    write_csv(table, [row for row in read_csv(table) if row["arm"] != "IF"])
    with pytest.raises(UnusableFile, match="no row of the arm IF"):
        results(folder)
    table.unlink()
    assert "goes on" not in results(folder)


def test_a_claim_alone_takes_the_time_of_all_that_it_needs(folder: Path) -> None:
    stages = ("data", "entailment", "base", "two-stage/CD", "two-stage/CD-IF", "two-stage/IF")
    rows = [{"stage": s, "seconds": 2.0**n, "memory_mb": 100 * n} for n, s in enumerate(stages)]
    write_csv(folder / "timings.csv", rows)
    lines = {line.split(":")[0]: line for line in costs(folder).splitlines()}
    assert lines["| IF tuning lowers faithfulness"].endswith("| 31 s, 0.4 GB |")
    assert lines["| ReSet beats MTL"].endswith("| – |")


def test_the_whole_study_takes_its_stages_and_what_goes_by_between_them(folder: Path) -> None:
    stages = ("data", "entailment", "base", "two-stage/base", "methods/MTL", "tables")
    rows = [{"stage": s, "seconds": 10.0, "memory_mb": 100 * n} for n, s in enumerate(stages)]
    gap = {"stage": "(between)", "seconds": 2.0, "memory_mb": ""}
    write_csv(folder / "timings.csv", [*rows, gap])
    text = costs(folder)
    # 6 x (10 + 2) seconds, a sixth of them between; 5 stages for the short look.
    assert "All 6 stages of the profile `tiny` take 72 s, of which 17% pass between them" in text
    assert "the largest process needs 0.5 GB" in text
    look = "dvc repro two-stage@base methods@MTL; reproduce summary"
    assert f"| a short look | `{look}` | 60 s, 0.4 GB |" in text
    (folder / "timings.csv").write_text("stage,seconds\ndata,\n", encoding="utf-8")
    with pytest.raises(UnusableFile, match="needs a stage and its seconds"):
        costs(folder)


def test_what_came_out_elsewhere_is_told(folder: Path) -> None:
    rows = read_csv(folder / "paper" / "tables" / "claims.csv")
    moved = [dict(row) for row in rows if row["measure"] != "Faithfulness"][::-1]
    first = next(row for row in moved if row["role"] == "primary")
    first |= {"effect": "9.0", "effect_low": "8.0", "effect_high": "9.5", "verdict": "undecided"}
    machine = {"environment": {"processor": "X", "limited by": "Y=avx2"}, "claims": moved,
                 "compared": len(rows), "agree": len(moved) - 1}  # fmt: skip
    expected = {"claims": rows, "files": {"a": "b"}, "artifacts": {"a": "b"},
                "environments": [{}], "elsewhere": [machine]}  # fmt: skip
    assert elsewhere(folder) == ""
    write_json(folder / "paper" / "expected.json", expected)
    lines = elsewhere(folder).splitlines()
    assert "| compared | ? | X, Y=avx2 |" in lines
    (line,) = [x for x in lines if x.startswith(f"| {first['comparison']}, ") and "+9.000" in x]
    assert line.endswith("| +9.000 [+8.000, +9.500] undecided |")
    (line,) = [line for line in lines if line.startswith("| (CD → IF) − CD, faithfulness | ")]
    assert line.endswith(" | – |")
    (line,) = [line for line in lines if line.startswith("Of all comparisons")]
    assert f" {len(moved) - 1} of {len(rows)} agree " in line


def test_an_arm_needs_its_start_and_what_it_reads() -> None:
    arms = {
        f"{e}/{a}": arm for e, found in synthetic.all_arms().items() for a, arm in found.items()
    }
    always = {"data", "entailment", "base"}
    assert needed(["two-stage/base"], arms) == always | {"two-stage/base"}
    assert needed(["two-stage/CD-IF"], arms) == always | {"two-stage/CD-IF", "two-stage/CD"}
    reset = always | {"methods/MTL", "candidates", "score", "methods/ReSet"}
    assert needed(["methods/ReSet"], arms) == reset


def test_only_the_text_between_the_markers_changes(folder: Path) -> None:
    readme = folder / "README.md"
    marks = [MARK.format(name=f"{what} of tiny", end=end) for what in ("costs", "results")
             for end in ("begin", "end")]  # fmt: skip
    readme.write_text("# Title\n{}\nold\n{}\nrest\n{}\nold\n{}\n".format(*marks))
    refresh(readme, folder)
    text = readme.read_text()
    found = [marks[0], costs(folder) + marks[1], "rest", marks[2], results(folder) + marks[3]]
    assert text == "\n".join(["# Title", *found, ""])
    refresh(readme, folder)
    assert readme.read_text() == text


@pytest.mark.parametrize("lines", [[], [0], [1], [1, 0]])
def test_a_readme_without_both_markers_in_order_is_left_alone(
    folder: Path, lines: list[int]
) -> None:
    readme = folder / "README.md"
    marks = [MARK.format(name="results of tiny", end=end) for end in ("begin", "end")]
    text = "\n".join(["# Title", *(marks[n] for n in lines), ""])
    readme.write_text(text)
    with pytest.raises(UnusableFile, match="results of tiny: begin"):
        refresh(readme, folder)
    assert readme.read_text() == text


def test_what_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(UnusableFile, match=r"none\.md: missing"):
        refresh(folder / "none.md", folder)
    (folder / "timings.csv").unlink()
    assert "reproduce summary` | – |" in costs(folder)
    for table in ("study", "controls", "claims"):
        path = folder / "paper" / "tables" / f"{table}.csv"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.splitlines()[0], encoding="utf-8")
        with pytest.raises(UnusableFile, match=rf"{table}\.csv: has no rows"):
            results(folder)
        path.write_text(text, encoding="utf-8")
    (folder / "paper" / "tables" / "claims.csv").unlink()
    with pytest.raises(UnusableFile, match=r"claims\.csv: missing"):
        results(folder)


def test_numbers_are_worded_alike() -> None:
    assert (percent(0.95), percent(0.975), percent(0.05)) == ("95 %", "97.5 %", "5 %")
    assert (span([240, 480, 300]), span([5, 5]), span([])) == ("240 to 480", "5", "0")
    assert (plural(1, "seed"), plural(3, "seed")) == ("1 seed", "3 seeds")
    assert over(3) == "over seeds and prompts" and over(1).startswith("over prompts alone")
    row = {"x": "-0.0001", "x_low": "-0.25", "x_high": "0.125", "y": ""}
    assert interval(row, "x") == "0.000 [−0.250, +0.125]"
    assert interval(row, "x", sign=False) == "0.000 [−0.250, 0.125]"
    assert interval(row, "y") == "–"


def measured(timings: Path) -> dict[str, tuple[float, float]]:
    """Return stage -> minutes and GB of memory (0 where it was not measured)."""
    return {
        row["stage"]: (float(row["seconds"]) / 60, float(row["memory_mb"] or 0) / 1000)
        for row in read_csv(timings)
    }


def reckoned(plan: Path) -> dict[str, tuple[float, float]]:
    """Return stage -> minutes of the clock and GB of the fullest GPU, of a page of `plan`."""
    lines = [line for line in plan.read_text(encoding="utf-8").splitlines() if "|" in line]
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rows = [dict(zip(head, cells, strict=True)) for cells in body if len(cells) == len(head)]
    return {
        row["stage"]: (60 * float(row["clock h"]), float(row["peak GB a GPU"] or 0)) for row in rows
    }


@pytest.mark.parametrize(
    ("profile", "stages"),
    [
        ("tiny", measured(ROOT / "timings.csv")),
        ("smollm2", measured(ROOT / "profiles" / "smollm2" / "timings.csv")),
        ("llama-7b", reckoned(ROOT / "docs" / "plan-8xA100-80G.md")),
    ],
    ids=["tiny", "smollm2", "llama-7b"],
)
def test_what_a_claim_takes_is_what_was_measured_or_reckoned(
    profile: str, stages: dict[str, tuple[float, float]]
) -> None:
    experiments = load_experiments(ROOT / "experiments.yaml")
    for claim in load_claims(ROOT / "paper" / "claims.yaml", experiments).claims:
        sides = [arm for each in claim.decided_by for arm in (each.arm, each.against)]
        found = [stages[name] for name in needed(sides, by_key(experiments))]
        takes = claim.takes[profile]
        assert takes.minutes == pytest.approx(sum(minutes for minutes, _ in found), rel=0.3)
        assert takes.memory_gb == pytest.approx(max(memory for _, memory in found), rel=0.3)
