"""Data sets and models of a hub: a commit and no other, counted, refused by name."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub
import pytest
import yaml
from nested import block_of

from reproduce.config import HubSet, PublishedBase, Shape
from reproduce.data import layouts
from reproduce.data.hub import hub_examples
from reproduce.data.rows import Unparsed
from reproduce.models.published import import_published
from reproduce.schema import read_examples
from reproduce.utils.files import UnusableFile

ROOT = Path(__file__).parent.parent
NANO = ROOT / "tests" / "nano" / "params.yaml"
TEXT = "The {0} bridge was built in {1}. It is {2} metres long, and a river runs below it."


def alpaca(count: int) -> list[dict[str, Any]]:
    """Return rows of which every third has an input, an inherent context."""
    return [
        {"instruction": f"Name {i} rivers, please.", "input": "" if i % 3 else "some text",
         "output": f"Here are {i} rivers of the world."}
        for i in range(count)
    ]  # fmt: skip


def mrqa(count: int) -> list[dict[str, Any]]:
    rows = []
    for i in range(count):
        context = "<P> " + TEXT.format(f"number-{i}", 1800 + i, i + 5) + " </P>"
        rows.append(
            {"subset": "NaturalQuestionsShort" if i % 5 else "SQuAD", "context": context,
             "question": f"when was the number-{i} bridge built", "answers": [str(1800 + i)]}
        )  # fmt: skip
    return rows


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "train.jsonl").write_text(lines, encoding="utf-8")


def settings(repo: str, layout: str, **more: Any) -> dict[str, Any]:
    return {
        "repo": repo, "layout": layout, "train": "train", "evaluation": "train",
        "counts": {"train": 12, "evaluation": 6}, **more,
    }  # fmt: skip


@pytest.fixture
def local(tmp_path: Path) -> dict[str, HubSet]:
    write(tmp_path / "alpaca", alpaca(60))
    write(tmp_path / "nq", mrqa(80))
    return {
        "alpaca": HubSet(**settings(str(tmp_path / "alpaca"), "alpaca")),
        "nq": HubSet(**settings(str(tmp_path / "nq"), "mrqa-nq")),
    }


def test_rows_are_chosen_counted_and_kept_apart(local: dict[str, HubSet]) -> None:
    train, held_out, counts = hub_examples(local, 0, verifiable=False)
    told = {row["dataset"]: row for row in counts}
    # Both sides read the one split: each row is counted twice.
    assert (told["alpaca"]["rows"], told["alpaca"]["left_out"]) == (120, 40)
    assert (told["nq"]["rows"], told["nq"]["left_out"]) == (160, 32)
    assert all(len(train[name]) == 12 and len(held_out[name]) == 6 for name in local)
    for name in local:
        groups = {each.group for each in train[name]}, {each.group for each in held_out[name]}
        assert groups[0].isdisjoint(groups[1])
    assert "<P>" not in train["nq"][0].prompt and train["nq"][0].kind == "extractive"
    assert all("some text" not in each.prompt for each in train["alpaca"])


def test_the_choice_does_not_depend_on_the_order_of_the_rows(
    local: dict[str, HubSet], tmp_path: Path
) -> None:
    expected = hub_examples(local, 3, verifiable=False)
    for name in ("alpaca", "nq"):
        path = tmp_path / name / "train.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(reversed(lines)), encoding="utf-8")
    assert hub_examples(local, 3, verifiable=False) == expected
    assert hub_examples(local, 4, verifiable=False)[0] != expected[0]


def test_a_prompt_of_more_bytes_than_allowed_is_left_out(tmp_path: Path) -> None:
    rows = alpaca(60)
    for row in rows[::2]:
        row["instruction"] += " é" * 50  # Two bytes each, so words and characters are fewer.
    write(tmp_path / "one", rows)
    bound = len("Name 10 rivers, please.") + 100
    sets = {"one": HubSet(**settings(str(tmp_path / "one"), "alpaca", prompt_bytes=bound))}
    train, held_out, (told,) = hub_examples(sets, 0, verifiable=False)
    assert told["too_long"] == 2 * 20  # Those with an input are left out before; two passes.
    assert all("é" not in each.prompt for each in train["one"] + held_out["one"])


def test_memory_does_not_grow_with_the_data_set(local: dict[str, HubSet], tmp_path: Path) -> None:
    """Three times the rows, of 5 kB each, take the same room."""
    hub_examples(local, 0, verifiable=False)  # Imports are no part of it.
    peaks, rows = [], (3000, 9000)
    for count in rows:
        text = " ".join(["word"] * 1000)
        found = [{**row, "output": f"{n} {text}"} for n, row in enumerate(alpaca(count))]
        write(tmp_path / str(count), found)
        del found
        sets = {"x": HubSet(**settings(str(tmp_path / str(count)), "alpaca"))}
        tracemalloc.start()
        train, held_out, _ = hub_examples(sets, 0, verifiable=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (len(train["x"]), len(held_out["x"])) == (12, 6)
    assert peaks[1] - peaks[0] < 0.05 * (rows[1] - rows[0]) * 5000


def test_what_evaluation_has_is_left_out_of_training(tmp_path: Path) -> None:
    write(tmp_path / "one", alpaca(40))
    write(tmp_path / "other", alpaca(40))
    one = HubSet(**settings(str(tmp_path / "one"), "alpaca", evaluation=None, counts={"train": 12}))
    other = settings(str(tmp_path / "other"), "alpaca", train=None, counts={"evaluation": 6})
    sets = {"one": one, "other": HubSet(**other)}
    train, held_out, counts = hub_examples(sets, 0, verifiable=False)
    assert not {e.prompt for e in train["one"]} & {e.prompt for e in held_out["other"]}
    assert {row["dataset"]: row["shared"] for row in counts} == {"one": 6, "other": 0}


def test_verifiable_instructions_are_met_by_the_gold_response(local: dict[str, HubSet]) -> None:
    from reproduce.judges.instructions import follow

    train, held_out, _ = hub_examples(local, 0, verifiable=True)
    for each in train["alpaca"] + held_out["alpaca"]:
        assert each.instructions and all(follow(each.response, each.instructions))
    assert not any(each.instructions for each in train["nq"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layout": "dolly"}, r"120 of 120 rows are not in the layout 'dolly'.*KeyError"),
        ({"counts": {"train": 99, "evaluation": 6}}, r"counts\.train asks for 99"),
        ({"response_words": 1}, r"0 examples for evaluation|0 examples for train"),
        ({"train": "validation"}, r"validation"),
    ],
)
def test_a_data_set_that_does_not_do_is_named(
    local: dict[str, HubSet], change: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnusableFile, match=said):
        hub_examples({"alpaca": local["alpaca"].model_copy(update=change)}, 0, verifiable=False)


ROWS: list[tuple[Any, dict[str, Any], str, str]] = [
    ("dolly", {"instruction": "Say hi.", "context": "", "response": "Hi."}, "Say hi.", "Hi."),
    ("sharegpt", {"conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt",
     "value": "Hello."}, {"from": "human", "value": "More"}]}, "Hi?", "Hello."),
    ("cnn-dailymail", {"article": "A long story.", "highlights": "Short .\nShorter ."},
     "A long story.\n\nWrite a short summary of the text above.", "Short.\nShorter."),
    ("ms-marco", {"query": "how long", "answers": ["Ten metres", "no idea"], "passages": {
     "passage_text": ["It is ten metres.", "Else."], "is_selected": [1, 0]}},
     "It is ten metres.\n\nQuestion: how long", "Ten metres"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "row", "prompt", "response"), ROWS)
def test_a_row_of_each_layout_is_read(
    layout: Any, row: dict[str, Any], prompt: str, response: str
) -> None:
    found = layouts.example(layout, "set", row)
    assert (found.prompt, found.response, found.side) == (prompt, response, layouts.side(layout))


@pytest.mark.parametrize(
    ("layout", "row"),
    [
        ("dolly", {"instruction": "Say hi.", "context": "text", "response": "Hi."}),
        ("sharegpt", {"conversations": [{"from": "gpt", "value": "Hello."}]}),
        ("ms-marco", {"query": "q", "answers": ["No Answer Present."], "passages": {
         "passage_text": ["It is ten metres."], "is_selected": [0]}}),
    ],
)  # fmt: skip
def test_rows_are_left_out_by_rule(layout: Any, row: dict[str, Any]) -> None:
    with pytest.raises(layouts.LeftOut):
        layouts.example(layout, "set", row)


def test_an_empty_response_is_no_row() -> None:
    with pytest.raises(Unparsed):
        layouts.example("alpaca", "set", {"instruction": "Hi", "input": "", "output": " "})


# The hub itself: a server in this process, the commands in others.


@pytest.fixture
def profile(tmp_path: Path, make_model: Any, tokenizer: Any) -> Iterator[Path]:
    """Yield the folder of a profile whose text and model come from a hub of the test's own."""
    import torch

    root, folder = tmp_path / "hub", tmp_path / "profile"
    write(root / "datasets" / "o" / "alpaca" / hub.REVISION, alpaca(60))
    write(root / "datasets" / "o" / "alpaca" / hub.OLD, alpaca(9))
    write(root / "datasets" / "o" / "nq" / hub.REVISION, mrqa(80))
    model = root / "models" / "o" / "llama" / hub.REVISION
    made = make_model()
    made.save_pretrained(model)
    tokenizer.save_pretrained(model)
    (model / "model.safetensors").unlink()
    torch.save(made.state_dict(), model / "pytorch_model.bin")
    folder.mkdir()
    params = yaml.safe_load(NANO.read_text(encoding="utf-8"))
    params["data"] = {"seed": 0, "hub": {"verifiable": True, "sets": {
        "alpaca": settings("o/alpaca", "alpaca", revision=hub.REVISION),
        "nq": settings("o/nq", "mrqa-nq", revision=hub.REVISION),
    }}}  # fmt: skip
    params["base"] = {"published": {"model": "o/llama", "revision": hub.REVISION}}
    params["claims"] = str(ROOT / "paper" / "claims.yaml")
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    arms = yaml.safe_load((ROOT / "experiments.yaml").read_text(encoding="utf-8"))
    for experiment in arms["experiments"].values():
        for arm in experiment.values():
            parts = arm.get("mixture") or {}
            arm |= {"mixture": {name.split("/")[0]: 1.0 for name in parts}} if parts else {}
    (folder / "experiments.yaml").write_text(yaml.safe_dump(arms), encoding="utf-8")
    with hub.served(root) as (address, _):
        (folder / "address").write_text(address, encoding="utf-8")
        yield folder


def carried_out(profile: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "HF_ENDPOINT": (profile / "address").read_text(encoding="utf-8"),
        "HF_HOME": str(profile / "home"), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "reproduce", *command], cwd=profile, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def changed(profile: Path, place: str, **values: Any) -> None:
    path = profile / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, value in values.items():
        block, last = block_of(params, f"{place}.{name}")
        block[last] = value
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def test_data_and_base_come_from_the_hub_at_their_commit(profile: Path) -> None:
    for command in ("data", "base"):
        done = carried_out(profile, command)
        assert done.returncode == 0, done.stderr
    assert "  alpaca: rows 120, left out 40, refused 0, " in carried_out(profile, "data").stdout
    with (profile / "artifacts" / "training" / "counts.csv").open(encoding="utf-8") as file:
        told = {row["dataset"]: row for row in csv.DictReader(file)}
    assert (told["alpaca"]["left_out"], told["nq"]["train"]) == ("40", "12")
    assert len(read_examples(profile / "artifacts" / "training" / "nq.jsonl")) == 12
    model = profile / "artifacts" / "base" / "model"
    assert not list(model.glob("*.bin"))
    assert (model / "model-00001-of-00001.safetensors").is_file()


@pytest.mark.parametrize(
    ("place", "values", "command", "said"),
    [
        ("data.hub.sets.alpaca", {"revision": "c" * 40}, "data", "no such revision;"),
        ("data.hub.sets.alpaca", {"repo": "o/gated"}, "data", "accept the licence on its page"),
        ("data.hub.sets.alpaca", {"revision": None}, "data",
         "data.hub.sets.alpaca: 'o/alpaca' is no local folder and has no 'revision'; "
         "`reproduce pin --dataset o/alpaca`"),
        ("base.published", {"model": "o/none"}, "base", "there is none, or it asks for a login"),
        ("base.published", {"shape": {"hidden_size": 16, "intermediate_size": 24, "layers": 2,
         "heads": 2, "max_positions": 256, "vocabulary": 9}}, "base", "is of the shape"),
    ],
)  # fmt: skip
def test_what_the_hub_does_not_give_is_one_clear_message(
    profile: Path, place: str, values: dict[str, Any], command: str, said: str
) -> None:
    if command == "base":
        for name in ("training", "pretraining"):
            (profile / "artifacts" / name).mkdir(parents=True)
    changed(profile, place, **values)
    done = carried_out(profile, command)
    assert done.returncode == 1
    assert said in done.stderr and "Traceback" not in done.stderr


def test_the_newest_commit_is_asked_for(profile: Path) -> None:
    assert carried_out(profile, "pin", "o/llama").stdout == f"revision: {hub.REVISION}\n"
    assert "there is none" in carried_out(profile, "pin", "--dataset", "o/llama").stderr


def test_pickled_shards_become_safetensors_once(
    tmp_path: Path, make_model: Any, tokenizer: Any
) -> None:
    import torch

    from reproduce.config import Hardware
    from reproduce.models.load import load_model

    source, made = tmp_path / "source", make_model(4)
    made.save_pretrained(source)
    tokenizer.save_pretrained(source)
    (source / "model.safetensors").unlink()
    state = made.state_dict()
    for number, names in enumerate((list(state)[::2], list(state)[1::2]), 1):
        torch.save(
            {key: state[key] for key in names}, source / f"pytorch_model-0000{number}-of-00002.bin"
        )
    import_published(PublishedBase(model=str(source)), tmp_path / "model")
    found = load_model(tmp_path / "model", Hardware(workers=1, threads=1, threads_alone=1))
    for name, tensor in found.state_dict().items():
        assert torch.equal(tensor.cpu(), state[name]), name


class Planted:
    """What a pickle that runs code on loading looks like."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("planted",))


def test_a_pickle_that_would_run_code_is_refused(
    tmp_path: Path, make_model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    import torch

    monkeypatch.chdir(tmp_path)
    source = tmp_path / "source"
    make_model().save_pretrained(source)
    tokenizer.save_pretrained(source)
    (source / "model.safetensors").unlink()
    torch.save({"weight": Planted()}, source / "pytorch_model.bin")
    with pytest.raises(pickle.UnpicklingError):
        import_published(PublishedBase(model=str(source)), tmp_path / "model")
    assert not (tmp_path / "planted").exists() and not (tmp_path / "model").exists()


def test_a_model_without_weights_or_template_is_named(
    tmp_path: Path, make_model: Any, tokenizer: Any
) -> None:
    source = tmp_path / "source"
    make_model().save_pretrained(source)
    tokenizer.save_pretrained(source)
    for path in source.glob("chat_template*"):
        path.unlink()
    written = source / "tokenizer_config.json"
    told = json.loads(written.read_text(encoding="utf-8"))
    written.write_text(json.dumps({**told, "chat_template": None}), encoding="utf-8")
    with pytest.raises(UnusableFile, match=r"no chat template; choose one \(base\.published\.chat"):
        import_published(PublishedBase(model=str(source)), tmp_path / "model")
    import_published(PublishedBase(model=str(source), chat="vicuna"), tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    (source / "model.safetensors").unlink()
    with pytest.raises(UnusableFile, match="no weights"):
        import_published(PublishedBase(model=str(source)), tmp_path / "model")


def test_the_shape_of_llama_7b_has_its_number_of_parameters() -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    for name in ("llama-7b", "vicuna-7b"):
        text = (ROOT / "profiles" / name / "params.yaml").read_text(encoding="utf-8")
        shape = Shape(**yaml.safe_load(text)["base"]["published"]["shape"])
        config = LlamaConfig(
            vocab_size=shape.vocabulary, hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size, num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads, max_position_embeddings=shape.max_positions,
        )  # fmt: skip
        with torch.device("meta"):
            model = LlamaForCausalLM(config)
        assert sum(weight.numel() for weight in model.parameters()) == 6_738_415_616
