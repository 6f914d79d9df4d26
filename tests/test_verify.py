"""What a study should come out as: the same bytes, the same verdicts, or neither, and by name."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from reproduce import verify
from reproduce.utils.environment import environment
from reproduce.utils.files import UnusableFile, read_csv, write_csv, write_json

ROOT = Path(__file__).parent.parent
Change = dict[str, str]


@pytest.fixture
def study(finished: Path) -> Path:
    return finished


def kept(study: Path) -> dict[str, Any]:
    return verify.expectations(study / "paper", study / "artifacts", ["methods/MTL"])


def compare(study: Path) -> verify.Comparison:
    expected = verify.read_expectations(study / "paper" / "expected.json")
    return verify.verify(expected, study / "paper", study / "artifacts")


def change_claim(study: Path, **changes: str) -> None:
    path = study / "paper" / "tables" / "claims.csv"
    rows: list[dict[str, str]] = read_csv(path)
    write_csv(path, [rows[0] | changes, *rows[1:]])


def test_what_was_kept_is_found_again(study: Path) -> None:
    found = compare(study)
    assert {each.status for each in found.claims} == {"identical"}
    assert found.holds and found.same_bytes and found.outputs > 40
    assert f"{found.outputs} of {found.outputs} outputs have" in verify.as_text(found)


@pytest.mark.parametrize(
    ("effect", "verdict", "status"),
    [
        (lambda row: row["effect_low"], None, "agrees"),
        (lambda row: row["effect_high"], None, "agrees"),
        (lambda row: str(float(row["effect_high"]) + 0.001), None, "outside"),
        (lambda row: str(float(row["effect_low"]) - 0.001), None, "outside"),
        (lambda row: row["effect_low"], "another", "outside"),
        (lambda row: "", None, "outside"),
    ],
)
def test_a_claim_agrees_with_the_same_verdict_inside_the_interval(
    study: Path, effect: Any, verdict: str | None, status: str
) -> None:
    row = read_csv(study / "paper" / "tables" / "claims.csv")[0]
    change_claim(study, effect=effect(row), verdict=verdict or row["verdict"])
    found = compare(study)
    assert found.claims[0].status == status
    assert {each.status for each in found.claims[1:]} == {"identical"}
    assert found.holds == (status == "agrees")
    assert (found.changed, found.absent, found.extra) == (["tables/claims.csv"], [], [])


@pytest.mark.parametrize("change", [{"judge": "another"}, {"seeds": "1"}])
def test_a_claim_by_other_judges_or_seeds_does_not_agree(study: Path, change: Change) -> None:
    change_claim(study, **change)
    assert compare(study).claims[0].status == "outside"


def test_claims_that_are_gone_or_new_are_named(study: Path) -> None:
    path = study / "paper" / "tables" / "claims.csv"
    first, *rest = read_csv(path)
    write_csv(path, [*rest, first | {"claim": "another"}])
    found = compare(study)
    assert [each.status for each in (found.claims[0], found.claims[-1])] == [
        "missing",
        "unexpected",
    ]
    assert not found.holds


def test_what_is_not_the_same_bytes_is_named(study: Path) -> None:
    (study / "paper" / "figures" / "one.png").write_bytes(b"two")
    (study / "paper" / "figures" / "two.png").write_bytes(b"two")
    (study / "paper" / "figures" / ".DS_Store").write_bytes(b"")
    (study / "paper" / "figures" / "folder").mkdir()
    shutil.rmtree(study / "artifacts" / "drivers" / "cold")
    found = compare(study)
    assert (found.changed, found.absent) == (["figures/one.png"], ["drivers/cold"])
    assert found.extra == ["figures/two.png"]
    assert found.holds and not found.same_bytes
    for said in ("1 differ: figures/one.png", "1 are not here: drivers/cold",
                 "1 are not expected: figures/two.png"):  # fmt: skip
        assert said in verify.as_text(found)


def test_tables_of_the_repository_alone_prove_nothing(study: Path) -> None:
    shutil.rmtree(study / "artifacts")
    found = compare(study)
    assert {each.status for each in found.claims} == {"identical"}
    assert not found.holds and "Nothing was run here" in verify.as_text(found)


def test_a_claim_without_the_runs_that_it_compares_proves_nothing(study: Path) -> None:
    shutil.rmtree(study / "artifacts" / "methods" / "MTL")
    found = compare(study)
    assert {each.status for each in found.claims} == {"identical"}
    assert found.lost == ["methods/MTL"] and not found.holds
    assert "stands without runs that it compares" in verify.as_text(found)
    assert "methods/MTL; `dvc repro` makes them" in verify.as_text(found)


def test_unfinished_work_is_no_artifact(study: Path) -> None:
    shutil.copytree(study / "artifacts" / "methods" / "MTL", study / "artifacts" / ".MTL.abcdefgh")
    assert compare(study).same_bytes


def test_a_result_edited_by_hand_is_refused_by_name(study: Path) -> None:
    path = study / "artifacts" / "methods" / "ReSet" / "seed-1" / "evaluation.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(UnusableFile, match=r"ReSet/seed-1/evaluation\.jsonl.*edited"):
        compare(study)
    with pytest.raises(UnusableFile, match=r"evaluation\.jsonl.*edited"):
        kept(study)


def test_the_same_bytes_from_another_machine_are_added(study: Path) -> None:
    known, found = study / "paper" / "expected.json", kept(study)
    other = [{"processor": "another"}]
    write_json(known, {**found, "environments": other})
    assert verify.merged(found, known)["environments"] == [*other, environment()]
    elsewhere = [{"environment": other[0], "claims": [], "compared": 0, "agree": 0}]
    write_json(known, {**found, "environments": other, "files": {"a": "b"}, "elsewhere": elsewhere})
    merged = verify.merged(found, known)
    assert merged["environments"] == [environment()] and merged["elsewhere"] == elsewhere
    write_json(known, {**found, "artifacts": {"a": "b"}, "elsewhere": elsewhere})
    assert verify.merged(found, known) == found
    fewer = dict(list(found["artifacts"].items())[1:])
    before = {"artifacts": fewer, "claims": found["claims"][1:], "elsewhere": elsewhere}
    write_json(known, {**found, **before})
    assert verify.merged(found, known)["elsewhere"] == elsewhere, "an arm was added"
    stricter = [{**row, "verdict": "undecided"} for row in found["claims"]]
    write_json(known, {**found, "claims": stricter, "elsewhere": elsewhere})
    assert "elsewhere" not in verify.merged(found, known)


def test_what_comes_out_elsewhere_is_kept_beside_it(study: Path) -> None:
    path = study / "paper" / "expected.json"
    expected = verify.read_expectations(path)

    def add() -> None:
        known = verify.read_expectations(path)
        write_json(path, verify.beside(known, study / "paper", study / "artifacts"))

    with pytest.raises(UnusableFile, match="the expected bytes came out here"):
        add()
    row = read_csv(study / "paper" / "tables" / "claims.csv")[0]
    change_claim(study, effect=row["effect_low"], verdict="another")
    for _ in range(2):
        add()
    kept = verify.read_expectations(path)
    (here,) = kept.pop("elsewhere")
    assert kept == expected and here["environment"] == environment()
    assert here["compared"] == len(expected["claims"]) == here["agree"] + 1
    assert here["claims"][0]["verdict"] == "another"
    said = f"and {here['agree']} of {here['compared']} comparisons agreed, on:"
    assert said in verify.as_text(compare(study))
    shutil.rmtree(study / "artifacts" / "methods" / "MTL")
    with pytest.raises(UnusableFile, match="not every run that the claims compare is here"):
        add()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"claims": []}', '{"claims": [{}], "files": {}, "artifacts": {}}']
)
def test_expectations_of_another_form_are_refused(study: Path, text: str) -> None:
    (study / "paper" / "expected.json").write_text(text)
    with pytest.raises(UnusableFile, match=r"expected\.json"):
        compare(study)


@pytest.mark.parametrize("part", ["claims", "files", "artifacts", "environments"])
def test_expectations_with_a_part_left_out_are_refused(study: Path, part: str) -> None:
    path = study / "paper" / "expected.json"
    write_json(path, {k: v for k, v in json.loads(path.read_text()).items() if k != part})
    with pytest.raises(UnusableFile, match="not a file of expectations"):
        compare(study)


def test_nothing_to_keep_is_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="nothing there"):
        verify.expectations(study / "paper", tmp_path / "x")
    with pytest.raises(UnusableFile, match=r"drivers/none.*dvc repro"):
        verify.expectations(study / "paper", study / "artifacts", ["drivers/none"])
    shutil.rmtree(study / "paper" / "figures")
    with pytest.raises(UnusableFile, match="figures: nothing there"):
        kept(study)


@pytest.mark.parametrize("folder", [ROOT, *ROOT.glob("profiles/*")], ids=lambda path: path.name)
def test_what_to_expect_is_what_is_committed(folder: Path) -> None:
    if not (folder / "paper").is_dir():
        pytest.skip("this profile has no results")
    expected = verify.read_expectations(folder / "paper" / "expected.json")
    assert expected["claims"] == read_csv(folder / "paper" / "tables" / "claims.csv")
    assert expected["files"] == verify._digests(folder / "paper"), "run `reproduce expect`"
