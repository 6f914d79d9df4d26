"""The stage `data`: what it writes is read back, and no prompt is on both sides."""

from pathlib import Path
from typing import Any

import pytest
from support.profiles import config_error, nano_params

from reproduce.config import Arm, Data, Params, RealData, TextSet, WorldData
from reproduce.data import prepare
from reproduce.data.datasets import Counts
from reproduce.data.prepare import check_data_sets, judge_examples, make_data
from reproduce.schema import Example, read_sets
from reproduce.utils.files import read_csv, read_rows
from reproduce.world.tasks import PROBES, SIDES, TASKS

TEXT_SET = TextSet(
    repo="o/n", layout="dolly", train="train", evaluation="test", counts={"train": 1}
)


def params_of(**data: Any) -> Params:
    return nano_params().model_copy(update={"data": Data(**{"seed": 0, **data})})


def small_world(seed: int = 0) -> Params:
    world = WorldData(people=8, pretraining_texts=20, train=12, evaluation=6)
    return params_of(seed=seed, world=world)


def example(prompt: str, group: str = "") -> Example:
    return Example("a", "instruction", prompt, "r", split_group=group)


def from_hub(monkeypatch: pytest.MonkeyPatch, *text: Any) -> Params:
    """Return parameters of a hub that gives this text."""
    monkeypatch.setattr(prepare, "text_sets", lambda *_: text)
    return params_of(sets={"one": TEXT_SET})


def test_sets_are_read_back(tmp_path: Path) -> None:
    make_data(small_world(), tmp_path)
    train, evaluation = (read_sets(tmp_path / "data" / n) for n in ("training", "evaluation"))
    assert {name: len(examples) for name, examples in train.items()} == dict.fromkeys(TASKS, 12)
    assert {n: len(e) for n, e in evaluation.items()} == dict.fromkeys([*TASKS, *PROBES], 6)
    texts = read_rows(tmp_path / "data" / "pretraining" / "texts.jsonl")
    assert [set(row) for row in texts] == [{"text"}] * 20
    assert judge_examples(small_world(), tmp_path) == ({}, evaluation)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        folder = tmp_path / name
        make_data(small_world(seed), folder)
        files = [path for path in folder.rglob("*") if path.is_file()]
        contents.append({path.relative_to(folder): path.read_bytes() for path in files})
    one, two, other = contents
    assert one == two and set(one) == set(other)
    assert not [path for path in one if one[path] == other[path]]


def test_real_text_is_written_with_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, evaluation = {"one": [example("a")], "two": []}, {"one": [], "two": [example("b")]}
    counts = [Counts("one", rows=3, invalid=1, train=1), Counts("two", rows=2, evaluation=1)]
    params = from_hub(monkeypatch, train, evaluation, counts)
    make_data(params, tmp_path)
    assert read_sets(tmp_path / "data" / "training") == {"one": train["one"]}
    assert judge_examples(params, tmp_path) == ({"one": train["one"]}, {"two": evaluation["two"]})
    rows = read_csv(tmp_path / "data" / "evaluation" / "counts.csv")
    assert list(rows[0]) == ["dataset", "rows", "left_out", "invalid", "too_long",
                             "shared", "repeated", "train", "evaluation", "overlap"]  # fmt: skip
    assert [row["rows"] for row in rows] == ["3", "2"]


def test_a_judge_may_learn_from_contexts_of_any_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long, held_out, asked = (example(text) for text in ("s", "l", "h", "a"))
    followed = Example("vicuna", "instruction", "h. Use no comma.", "r")
    sets = {"squad": {"train": 1, "context_words": 5}, "vicuna": {"evaluation": 1}}

    def pools(limits: Any) -> Any:
        train = [short] if limits["squad"] else [short, long]
        return {"squad": (train, [asked]), "vicuna": ([], [held_out])}, {}

    monkeypatch.setattr(prepare, "pinned_pools", pools)
    sampled = {"squad": [short], "vicuna": []}, {"squad": [], "vicuna": [followed]}, []
    monkeypatch.setattr(prepare, "pinned_sets", lambda *_: sampled)
    params = params_of(real=RealData(sets=sets))
    make_data(params, tmp_path)
    training, judged = judge_examples(params, tmp_path)
    assert training == {"squad": [short, long], "vicuna": []}
    assert judged == {"squad": [asked], "vicuna": [followed]}


@pytest.mark.parametrize(
    ("ours", "theirs", "word"),
    [
        (example("Do it."), example("Do it."), "Do it."),
        (example("1", "Anna"), example("2", "Anna"), "Anna"),
    ],
)
def test_an_overlap_is_an_error_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: Example, theirs: Example, word: str
) -> None:
    train = {"one": [example("a")], "two": [example("b", "g"), ours]}
    evaluation = {"other": [example("c", "h")], "test": [example("d"), theirs]}
    with pytest.raises(ValueError, match="test") as raised:
        make_data(from_hub(monkeypatch, train, evaluation, []), tmp_path)
    assert word in str(raised.value) and not list(tmp_path.iterdir())
    train["two"].pop()
    prepare.check_no_overlap(train, evaluation)


def arm(**mixture: float) -> dict[str, Arm]:
    made = Arm(experiment="methods", start="pretrained", source="data/training", mixture=mixture)
    return {"MTL": made}


@pytest.mark.parametrize(
    ("data", "trains", "evaluates"),
    [
        ({"world": WorldData(people=8, pretraining_texts=1, train=1, evaluation=1)},
         sorted(SIDES)[0], sorted(PROBES)[0]),
        ({"real": RealData(sets={"squad": {"train": 1}, "vicuna": {"evaluation": 1}})},
         "squad", "vicuna"),
        ({"sets": {"one": TEXT_SET}}, "one", "nothing"),
    ],
)  # fmt: skip
def test_a_mixture_has_only_training_sets(
    data: dict[str, Any], trains: str, evaluates: str
) -> None:
    settings = Data(seed=0, **data)
    check_data_sets(settings, arm(**{trains: 1.0}))
    message = config_error(lambda: check_data_sets(settings, arm(**{evaluates: 1.0})))
    assert "arms.MTL" in message and f"'{evaluates}'" in message


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"squat": {}}, ("squat", "mt-bench")),
        ({"squad": {"test": 1}}, ("squad", "test", "context_words")),
        ({"squad-joint": {"train": 1}}, ("squad-joint.train",)),
    ],
)
def test_an_unknown_data_set_or_limit_is_named_before_any_work(
    sets: dict[str, dict[str, int]], words: tuple[str, ...]
) -> None:
    data = Data(seed=0, real=RealData(sets=sets))
    message = config_error(lambda: check_data_sets(data, {}))
    assert all(word in message for word in ("data.real.sets", *words))
