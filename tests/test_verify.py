"""What a study should come out as: the same bytes, the same verdicts, or neither, and by name."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import synthetic

from reproduce import verify
from reproduce.cli import command
from reproduce.files import UnusableFile, read_csv, write_csv, write_json

Change = dict[str, str]


@pytest.fixture
def study(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Return a folder with artifacts/ and paper/, and what to expect of it."""
    made = synthetic.shared_study(tmp_path_factory.getbasetemp())
    shutil.copytree(made / "artifacts", tmp_path / "artifacts")
    shutil.copytree(made / "tables", tmp_path / "paper" / "tables")
    (tmp_path / "paper" / "figures").mkdir()
    (tmp_path / "paper" / "figures" / "one.png").write_bytes(b"one")
    write_json(tmp_path / "paper" / "expected.json", verify.expectations(*places(tmp_path)))
    return tmp_path


def places(study: Path) -> tuple[Path, Path, Path]:
    return study / "paper" / "tables", study / "paper" / "figures", study / "artifacts"


def compare(study: Path) -> verify.Comparison:
    return verify.verify(study / "paper" / "expected.json", *places(study))


def change_claim(study: Path, **changes: str) -> None:
    path = study / "paper" / "tables" / "claims.csv"
    rows: list[dict[str, str]] = read_csv(path)
    write_csv(path, [rows[0] | changes, *rows[1:]])


def test_what_was_kept_is_found_again(study: Path) -> None:
    found = compare(study)
    assert {each.status for each in found.claims} == {"identical"}
    assert found.holds and found.same_bytes and found.outputs > 40
    assert f"{found.outputs} of {found.outputs} outputs have" in verify.told(found)


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
    assert found.differing == (["tables/claims.csv"], [])


def test_a_claim_that_is_gone_is_missing(study: Path) -> None:
    path = study / "paper" / "tables" / "claims.csv"
    write_csv(path, read_csv(path)[1:])
    found = compare(study)
    assert found.claims[0].status == "missing" and not found.holds


def test_what_is_not_the_same_bytes_is_named(study: Path) -> None:
    (study / "paper" / "figures" / "one.png").write_bytes(b"two")
    shutil.rmtree(study / "artifacts" / "methods" / "MTL")
    found = compare(study)
    assert found.differing == (["figures/one.png"], ["methods/MTL"])
    assert found.holds and not found.same_bytes
    assert "1 differ: figures/one.png" in verify.told(found)
    assert "1 are not here: methods/MTL" in verify.told(found)


def test_a_result_edited_by_hand_is_refused_by_name(study: Path) -> None:
    path = study / "artifacts" / "methods" / "ReSet" / "seed-1" / "evaluation.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(UnusableFile, match=r"ReSet/seed-1/evaluation\.jsonl.*edited"):
        compare(study)
    with pytest.raises(UnusableFile, match=r"evaluation\.jsonl.*edited"):
        verify.expectations(*places(study))


def test_the_same_bytes_from_another_machine_are_added(study: Path) -> None:
    known = study / "paper" / "expected.json"
    kept = json.loads(known.read_text())
    other = [{"processor": "another"}]
    write_json(known, {**kept, "environments": other})
    assert verify.merged(kept, known)["environments"] == [*other, verify.environment()]
    write_json(known, {**kept, "environments": other, "files": {}})
    assert verify.merged(kept, known)["environments"] == [verify.environment()]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"claims": []}'])
def test_expectations_of_another_form_are_refused(study: Path, text: str) -> None:
    (study / "paper" / "expected.json").write_text(text)
    with pytest.raises(UnusableFile, match=r"expected\.json"):
        compare(study)


def test_nothing_to_keep_is_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="dvc repro"):
        verify.expectations(study / "paper" / "tables", study / "paper" / "figures", tmp_path / "x")
    with pytest.raises(UnusableFile, match=r"claims\.csv: missing"):
        verify.expectations(tmp_path / "x", tmp_path / "y", study / "artifacts")


def test_the_command_says_so_and_exits_accordingly(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    monkeypatch.setattr(sys, "argv", ["reproduce", "verify"])
    assert command() == 0
    assert "identical" in capsys.readouterr().out
    (study / "paper" / "figures" / "one.png").write_bytes(b"two")
    assert command() == 0
    monkeypatch.setattr(sys, "argv", ["reproduce", "verify", "--same-bytes"])
    assert command() == 1
    change_claim(study, verdict="another")
    monkeypatch.setattr(sys, "argv", ["reproduce", "verify"])
    assert command() == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("changed command", True),
        ({"changed deps": {"reproduce/train.py": "modified"}}, True),
        ({"changed deps": {"params.yaml": {"seeds": "modified"}}}, True),
        ({"changed deps": {"artifacts/base": "deleted"}}, False),
        ({"changed outs": {"artifacts/base": "deleted"}}, False),
    ],
)
def test_what_is_only_missing_makes_no_result_stale(change: Any, expected: bool) -> None:
    assert verify._reruns(change) == expected
