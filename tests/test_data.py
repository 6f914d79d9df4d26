"""The data step: what it writes is read back, and no prompt is on both sides."""

from pathlib import Path

import pytest

from reproduce.config import Data, Validation, WorldData
from reproduce.data.prepare import Material, make_data, refuse_overlap
from reproduce.schema import Example, read_sets
from reproduce.utils.files import UnusableFile, checked, fingerprint, read_rows
from reproduce.world.build import PROBES, TASKS

FOLDERS = ("training", "evaluation", "pretraining", "pairs")
VALIDATION = Validation(trials=3, least_trials=1, least_auc=0.8, seed=0)


def settings(seed: int = 0) -> Data:
    world = WorldData(people=8, pretraining_texts=20, train=12, evaluation=6)
    return Data(seed=seed, world=world)


def make(base: Path, seed: int = 0) -> list[Path]:
    make_data(settings(seed), VALIDATION, base)
    return [base / name for name in FOLDERS]


def example(prompt: str, group: str = "") -> Example:
    return Example("a", "instruction", prompt, "r", group=group)


def test_sets_are_read_back(tmp_path: Path) -> None:
    training, evaluation, pretraining, pairs = make(tmp_path)
    train, held_out = read_sets(training), read_sets(evaluation)
    assert {name: len(found) for name, found in train.items()} == dict.fromkeys(TASKS, 12)
    assert {n: len(e) for n, e in held_out.items()} == dict.fromkeys([*TASKS, *PROBES], 6)
    assert all(e.dataset == name for name, found in train.items() for e in found)
    assert [set(row) for row in read_rows(checked(pretraining) / "texts.jsonl")] == [{"text"}] * 20
    asked = {row["example"]["id"] for row in read_rows(checked(pairs) / "trials.jsonl")}
    assert asked <= {e.id for found in held_out.values() for e in found}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two, other = (make(tmp_path / str(n), n // 2) for n in range(3))
    assert [fingerprint(f) for f in one] == [fingerprint(f) for f in two]
    assert not {fingerprint(f) for f in one} & {fingerprint(f) for f in other}


@pytest.mark.parametrize("name", TASKS)
def test_a_truncated_set_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = make(tmp_path)[0] / f"{name}.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(UnusableFile, match=f"{name}.jsonl: truncated"):
        read_sets(tmp_path / "training")


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="nowhere: missing"):
        read_sets(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (example("Do it."), example("Do it."), "evaluation set test: prompt 'Do it.'"),
        (example("1", "Anna"), example("2", "Anna"), "evaluation set test: group 'Anna'"),
    ],
)
def test_an_overlap_is_refused_by_name(ours: Example, theirs: Example, said: str) -> None:
    train = {"one": [example("a")], "two": [example("b"), ours]}
    with pytest.raises(ValueError, match=said):
        refuse_overlap(train, {"other": [example("c")], "test": [example("d"), theirs]})


def test_without_an_overlap_nothing_is_refused() -> None:
    refuse_overlap({"one": [example("a"), example("b", "g")]}, {"two": [example("c", "h")]})


def test_an_overlap_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {"lists": [example("Do it.")]}
    material = Material(sets, sets, ["text"], [], {}, {})
    monkeypatch.setattr("reproduce.data.prepare._of_world", lambda *_: material)
    with pytest.raises(ValueError, match="Do it"):
        make(tmp_path)
    assert list(tmp_path.iterdir()) == []
