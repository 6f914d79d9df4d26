"""Real text: read, counted, split, sampled; no group, context or prompt is on both sides."""

import http.server
import itertools
import json
import os
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.manifest_files import entry, put
from transformers import AutoModel

from reproduce import download
from reproduce.config import HubModel, TextSet
from reproduce.data import datasets
from reproduce.data.datasets import (
    Counts,
    RealText,
    asked_words,
    file_rows,
    parse_rows,
    pinned_sets,
    text_sets,
)
from reproduce.judges.instructions import check_strict
from reproduce.models.pretrained import load_published
from reproduce.utils.files import UnusableFile
from reproduce.validation.trials import trivial_responses

# Reading.


def lines(*rows: Mapping[str, Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_files_give_rows(tmp_path: Path) -> None:
    row = {"text": "one\u2028line"}
    for name, content in (("a.jsonl", lines(row, row)), ("a.json", json.dumps([row, row]))):
        assert list(file_rows(put(tmp_path, name, content))) == [row, row]
    paragraph = {"context": "Mara.", "qas": [{"question": "Who?"}, {"question": "What?"}]}
    squad = {"data": [{"title": "Bees", "paragraphs": [paragraph]}]}
    assert list(file_rows(put(tmp_path, "squad.json", json.dumps(squad)))) == [
        {"title": "Bees", "context": "Mara.", "question": question}
        for question in ("Who?", "What?")
    ]


ODD_LINES = [b"{cut off", b"7", b'["a"]', "é".encode("latin-1"), b"\xff\xfe", b"[" * 100_000,
             b'{"instruction": "Say \\ud83d.", "input": "", "output": "Yes."}',
             b'{"instruction": "Say.", "input": "", "output": "Yes \\udc00"}',
             b"null", b"{}"]  # fmt: skip


@pytest.mark.parametrize("odd", ODD_LINES, ids=str)
def test_one_odd_line_costs_one_row(tmp_path: Path, odd: bytes) -> None:
    good = [{"instruction": f"Say {n}.", "input": "", "output": "Yes."} for n in range(3)]
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + lines(*good).encode() + odd + b"\r\n\n")
    counts = Counts("own")
    assert len(list(parse_rows(file_rows(path), "own", "alpaca", counts))) == 3
    assert (counts.rows, counts.invalid) == (4, 1)


def test_references_of_a_repeated_question_are_joined(tmp_path: Path) -> None:
    rows = [
        {"subset": "NaturalQuestionsShort", "context": f"Text {n} has one and two.",
         "question": "Which?", "answers": answers}
        for n in range(4) for answers in (["one"], ["two", "one"])
    ]  # fmt: skip
    put(tmp_path, "own/train.jsonl", lines(*rows))
    own = text_set(tmp_path / "own", "mrqa-nq", evaluation=None, counts={"train": 4})
    train, _, [counts] = sampled({"own": own})
    assert [e.references for e in train["own"]] == [("one", "two")] * 4 and counts.repeated == 4


def test_few_invalid_rows_are_counted_and_many_are_an_error() -> None:
    good = [{"instruction": f"Say {n}.", "input": "", "output": "Yes."} for n in range(99)]
    counts = Counts("alpaca")
    assert len(list(parse_rows([*good, {}], "file", "alpaca", counts))) == 99
    assert (counts.rows, counts.invalid) == (100, 1)
    bad: list[dict[str, Any]] = [{"input": ""}] * 12
    with pytest.raises(UnusableFile, match=r"file: 12 of 111 .*row 1 .*instruction"):
        list(parse_rows([*bad, *good], "file", "alpaca", Counts("alpaca")))
    with pytest.raises(UnusableFile, match="0 of 0"):
        list(parse_rows([], "file", "alpaca", Counts("alpaca")))


# Pinned files.

LIMITS = {
    "vicuna": {"evaluation": 9},
    "squad": {"train": 99, "evaluation": 99, "context_words": 32},
    "alpaca": {"train": 99, "evaluation": 99},
}


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A made-up mirror of three data sets, with prompts that occur on both sides."""
    answers = [{"text": "one"}]
    squad = [
        {"title": f"Title {n}", "paragraphs": [{"context": f"Text {n} has one. " * n, "qas": [
            {"question": f"Question {q}?", "answers": answers, "is_impossible": q == 3}
            for q in range(4)]}]}
        for n in range(1, 11)
    ]  # fmt: skip
    tasks = [{"instruction": f"Name {n} things.", "input": "", "output": "Some bread, butter."}
             for n in range(40)]  # fmt: skip
    turns = [{"category": "generic", "turns": [text]} for text in ("name  7 things.", "Why?")]
    files = {
        "squad-dev": ("squad.json", json.dumps({"data": squad})),
        "alpaca-demo": ("alpaca.json", json.dumps([*tasks, tasks[0]])),
        "vicuna-bench": ("vicuna.jsonl", lines(*turns)),
    }
    manifest = {}
    for name, (path, text) in files.items():
        put(tmp_path, path, text)
        manifest[name] = entry(text.encode(), name=name, path=path)
    monkeypatch.setattr(download, "entries", lambda: manifest)
    monkeypatch.setenv("REPRODUCE_MIRROR", str(tmp_path))


def by_name(text: RealText) -> dict[str, Counts]:
    return {counts.dataset: counts for counts in text[2]}


def test_pinned_sets_share_no_group_and_no_prompt(mirror: None) -> None:
    train, evaluation, _ = text = pinned_sets(LIMITS, seed=1)
    for name in ("squad", "alpaca"):
        groups = [{e.split_group for e in sets[name]} for sets in (train, evaluation)]
        assert groups[0] and groups[1] and groups[0].isdisjoint(groups[1])
    assert not [e for e in train["alpaca"] if e.prompt.startswith("Name 7 things")]
    counts = by_name(text)
    squad, alpaca = counts["squad"], counts["alpaca"]
    assert (squad.rows, squad.left_out, squad.too_long) == (40, {"unanswerable": 10}, 6)
    assert squad.train + squad.evaluation == 24 and len(evaluation["squad"]) == squad.evaluation
    assert alpaca.train + alpaca.evaluation + alpaca.shared + alpaca.repeated == alpaca.rows == 41


def test_pinned_samples_depend_on_the_seed_and_not_on_the_order_of_names(mirror: None) -> None:
    limits = {name: limit | {"evaluation": 2} for name, limit in LIMITS.items()}
    first = pinned_sets(limits, seed=1)
    assert pinned_sets(dict(reversed(limits.items())), seed=1) == first
    assert pinned_sets({"squad": limits["squad"]}, seed=1)[1]["squad"] == first[1]["squad"]
    assert pinned_sets(limits, seed=2) != first
    # The split itself is the same for every seed.
    groups = [{e.split_group for e in pinned_sets(LIMITS, seed)[1]["squad"]} for seed in (1, 2)]
    assert groups[0] == groups[1]


@pytest.mark.skipif("REPRODUCE_MIRROR" not in os.environ, reason="REPRODUCE_MIRROR is not set")
def test_the_real_files_give_disjoint_sets_with_right_responses() -> None:
    everything = {"train": 10**6, "evaluation": 10**6, "context_words": 300}
    limits = {
        name: everything if source.can_train else {"evaluation": 10**6}
        for name, source in datasets.PINNED_SETS.items()
    }
    limits["squad"] = {**everything, "evaluation": 900}  # The others are for joint prompts.
    train, evaluation, counts = pinned_sets(limits, seed=0)
    contexts = {e.context for sets in evaluation.values() for e in sets} - {""}
    assert contexts.isdisjoint(e.context for sets in train.values() for e in sets)
    assert len(evaluation["ifeval"]) == 541
    assert sum(len(e.instructions) for e in evaluation["ifeval"]) == 834
    for name in ("alpaca", "self-instruct"):
        for example in train[name] + evaluation[name]:
            assert all(check_strict(example.response, example.instructions))
    assert all(row.evaluation > 0 for row in counts)


def test_joint_prompts_are_other_questions_on_passages_that_training_has_not(mirror: None) -> None:
    limits = {"squad": {"train": 99, "evaluation": 4}, "squad-joint": {"evaluation": 99}}
    train, evaluation, _ = pinned_sets(limits, seed=1)
    joint, single = evaluation["squad-joint"], evaluation["squad"]
    assert (len(joint), len(single), train["squad-joint"]) == (5, 4, [])  # 3 titles of 3 questions.
    assert not [j for j in joint for e in single if j.prompt.startswith(e.prompt)]
    assert {e.side for e in joint} == {"both"} and all(e.references == ("one",) for e in joint)
    groups = {e.split_group for e in train["squad"]}
    assert groups and groups.isdisjoint(e.split_group for e in joint)
    assert pinned_sets({"squad": limits["squad"]}, seed=1)[1]["squad"] == single


def test_a_prompt_may_be_drawn_again_with_other_instructions(mirror: None) -> None:
    train, _, [counts] = pinned_sets({"alpaca": {"train": 60, "draws": 3}}, seed=1)
    assert 28 < counts.train == len({e.id for e in train["alpaca"]}) <= 60
    assert len({e.split_group for e in train["alpaca"]}) <= 28


def test_a_response_that_fits_no_instruction_is_left_out(
    mirror: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"instruction": f"Name {n}.", "input": "", "output": output}
            for n, output in enumerate(["Ok."] * 10 + ["Some bread, butter."] * 10)]  # fmt: skip
    text = json.dumps(rows)
    manifest = {"alpaca-demo": entry(text.encode(), name="alpaca-demo", path="alpaca.json")}
    put(tmp_path, "alpaca.json", text)
    monkeypatch.setattr(download, "entries", lambda: manifest)
    _, _, [counts] = pinned_sets({"alpaca": {"train": 99, "evaluation": 99}}, seed=1)
    assert counts.train + counts.evaluation == 10
    assert counts.columns()["left_out"] == "10 response that fits no instruction"


@pytest.mark.skipif("REPRODUCE_MIRROR" not in os.environ, reason="REPRODUCE_MIRROR is not set")
def test_training_and_evaluation_ask_for_the_same_and_no_constant_will_do() -> None:
    limits = {
        "alpaca": {"train": 700, "evaluation": 99, "draws": 5, "response_words": 120},
        **{name: {"evaluation": 99} for name in ("vicuna", "mt-bench", "user-oriented")},
    }
    train, evaluation, _ = pinned_sets(limits, seed=0)
    shares = []
    for sets in (train, evaluation):
        asked = [each for e in itertools.chain(*sets.values()) for each in e.instructions]
        kinds = Counter((each["id"], each.get("relation")) for each in asked)
        shares.append({kind: count / len(asked) for kind, count in kinds.items()})
    assert all(abs(shares[0][kind] - shares[1][kind]) < 0.06 for kind in shares[0] | shares[1])
    constant = [t for t in trivial_responses(train, evaluation) if t.variant == "best constant"]
    followed = [check_strict(t.response, t.example.instructions) for t in constant]
    assert sum(sum(each) / len(each) for each in followed) / len(followed) < 0.35


# Data sets of the Hub, from local folders.


def alpaca(count: int) -> list[dict[str, Any]]:
    """Return rows of which every third has an input."""
    return [
        {"instruction": f"Name {i} rivers, please.", "input": "" if i % 3 else "some text",
         "output": f"Here are {i} rivers of the world."}
        for i in range(count)
    ]  # fmt: skip


def mrqa(count: int) -> list[dict[str, Any]]:
    return [
        {"subset": "NaturalQuestionsShort" if i % 5 else "SQuAD",
         "context": f"<P> The number-{i} bridge was built in {1800 + i}. </P>",
         "question": f"when was the number-{i} bridge built", "answers": [str(1800 + i)]}
        for i in range(count)
    ]  # fmt: skip


def text_set(repo: Path | str, layout: str, **more: Any) -> TextSet:
    settings = {
        "repo": str(repo), "layout": layout, "train": "train", "evaluation": "train",
        "counts": {"train": 12, "evaluation": 6}, **more,
    }  # fmt: skip
    return TextSet(**settings)


def sampled(sets: dict[str, TextSet], seed: int = 0, verifiable: bool = False) -> RealText:
    return text_sets(sets, seed, verifiable)


@pytest.fixture
def local(tmp_path: Path) -> dict[str, TextSet]:
    put(tmp_path, "alpaca/train.jsonl", lines(*alpaca(60)))
    put(tmp_path, "nq/train.jsonl", lines(*mrqa(80)))
    return {
        "alpaca": text_set(tmp_path / "alpaca", "alpaca"),
        "nq": text_set(tmp_path / "nq", "mrqa-nq"),
    }


def test_rows_of_a_hub_are_sampled_counted_and_kept_apart(local: dict[str, TextSet]) -> None:
    train, evaluation, _ = text = sampled(local)
    counts = by_name(text)
    assert (counts["alpaca"].rows, counts["alpaca"].left_out) == (60, {"with a context": 20})
    assert (counts["nq"].rows, counts["nq"].left_out) == (80, {"of another set": 16})
    for name in local:
        assert (len(train[name]), len(evaluation[name])) == (12, 6)
        groups = [{e.split_group for e in sets[name]} for sets in (train, evaluation)]
        assert groups[0].isdisjoint(groups[1])
    assert "<P>" not in train["nq"][0].prompt
    assert all("some text" not in e.prompt for e in train["alpaca"])


def test_the_sample_does_not_depend_on_the_order_of_the_rows(
    local: dict[str, TextSet], tmp_path: Path
) -> None:
    expected = sampled(local, 3)
    put(tmp_path, "alpaca/train.jsonl", lines(*reversed(alpaca(60))))
    put(tmp_path, "nq/train.jsonl", lines(*reversed(mrqa(80))))
    assert sampled(local, 3) == expected
    assert sampled(local, 4)[0] != expected[0]


def test_a_prompt_of_more_bytes_than_allowed_is_left_out(tmp_path: Path) -> None:
    rows = [{**row, "instruction": f"{row['instruction']} {'é' * (n % 2 * 50)}"}
            for n, row in enumerate(alpaca(60))]  # fmt: skip
    put(tmp_path, "one/train.jsonl", lines(*rows))
    change = {"evaluation": None, "counts": {"train": 20}, "prompt_bytes": 100}
    train, _, [counts] = sampled({"one": text_set(tmp_path / "one", "alpaca", **change)})
    assert counts.too_long == 20  # "é" has two bytes. Those with an input are left out before.
    assert all("é" not in e.prompt for e in train["one"])


def test_memory_does_not_hold_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(*_: Any) -> Iterator[dict[str, Any]]:
        return ({**row, "output": "x" * 20_000 + row["output"]} for row in alpaca(2000))

    monkeypatch.setattr(datasets, "set_rows", rows)
    tracemalloc.start()
    train, _, _ = sampled({"x": text_set("o/x", "alpaca")})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(train["x"]) == 12 and peak < 0.3 * 2000 * 20_000


def test_what_evaluation_has_is_left_out_of_training(tmp_path: Path) -> None:
    for name in ("one", "other"):
        put(tmp_path, f"{name}/train.jsonl", lines(*alpaca(40)))
    one = text_set(tmp_path / "one", "alpaca", evaluation=None, counts={"train": 12})
    other = text_set(tmp_path / "other", "alpaca", train=None, counts={"evaluation": 6})
    train, evaluation, counts = sampled({"one": one, "other": other})
    prompts = {e.prompt for e in evaluation["other"]}
    assert prompts.isdisjoint(e.prompt for e in train["one"])
    assert [row.shared for row in counts] == [6, 0]


def test_the_reference_responses_follow_verifiable_instructions(local: dict[str, TextSet]) -> None:
    train, evaluation, _ = sampled(local, verifiable=True)
    for example in train["alpaca"] + evaluation["alpaca"]:
        assert example.instructions
        assert all(check_strict(example.response, example.instructions))
    assert train["nq"] == sampled(local)[0]["nq"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"layout": "dolly"}, "60 of 60"),
        ({"counts": {"train": 99, "evaluation": 6}}, "data.sets.alpaca.counts.train"),
        ({"response_words": 1}, "data.sets.alpaca.counts.evaluation"),
        ({"train": "validation"}, "validation"),
    ],
)
def test_a_data_set_that_does_not_do_is_named(
    local: dict[str, TextSet], change: dict[str, Any], word: str
) -> None:
    with pytest.raises(UnusableFile) as raised:
        sampled({"alpaca": local["alpaca"].model_copy(update=change)})
    assert word in str(raised.value) and local["alpaca"].repo in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [b"{broken\n", b'{"a": 1}\n{"a": 2', '{"é": 1}'.encode("utf-16"), '"é"'.encode("latin-1"), b"",
     b"[1]", b"{}", b"7"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["train.jsonl", "train.json"])
def test_a_broken_local_file_leads_to_no_advice_about_the_network(
    tmp_path: Path, content: bytes, name: str
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / name).write_bytes(content)
    with pytest.raises(UnusableFile, match=str(tmp_path / "one")) as raised:
        sampled({"one": text_set(tmp_path / "one", "alpaca")})
    words = ("network", "HF_", "connection", "login")
    assert not [word for word in words if word in str(raised.value)]


# Errors of the Hub's own libraries.


class Refusing(http.server.BaseHTTPRequestHandler):
    """A Hub that says no: "gated" asks for consent, "none" is not there, others have no commit."""

    def refuse(self) -> None:
        codes = {"gated": (403, "GatedRepo"), "none": (404, "RepoNotFound")}
        named = [codes[name] for name in codes if f"/{name}" in self.path]
        status, code = named[0] if named else (404, "RevisionNotFound")
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = refuse


@pytest.fixture
def refusing_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import datasets as library
    import huggingface_hub

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(library.config, "HF_ENDPOINT", address)
        yield
        server.shutdown()


@pytest.mark.parametrize(
    ("repo", "word", "has_advice"),
    [("o/gated", "gated", True), ("o/none", "o/none", False), ("o/x", "c" * 40, False)],
)
def test_what_the_hub_says_is_passed_on(
    refusing_hub: None, repo: str, word: str, has_advice: bool
) -> None:
    for ask in (
        lambda: sampled({"one": text_set(repo, "alpaca", revision="c" * 40)}),
        lambda: load_published(AutoModel, HubModel(model=repo, revision="c" * 40)),
    ):
        with pytest.raises(UnusableFile, match=word) as raised:
            ask()
        assert ("Accept the licence" in str(raised.value)) == has_advice


# Own rows.

PASSAGE = "The mill is old. It was built in 1702."


def own(tmp_path: Path, rows: list[dict[str, Any]], kind: str, **more: Any) -> RealText:
    put(tmp_path, "own/train.jsonl", lines(*rows))
    settings = {"repo": str(tmp_path / "own"), "kind": kind, "train": "train", **more}
    return sampled({"mine": TextSet(**settings)})


def exchange(**more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": "When?"}, {"role": "assistant", "content": "In 1702."}]
    return {"messages": turns, **more}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "When?", "response": "In 1702."},
        {"prompt": "When?", "completion": "In 1702."},
        {"instruction": "When?", "input": "", "output": "In 1702."},
        exchange(),
        {"question": "When?", "answer": "In 1702."},
    ],
)
def test_own_rows_are_recognised(tmp_path: Path, row: dict[str, Any]) -> None:
    names = {"prompt": "question", "response": "answer"}
    columns = {name: column for name, column in names.items() if column in row}
    train, _, [counts] = own(tmp_path, [row], "instruction", columns=columns)
    [example] = train["mine"]
    assert (example.prompt, example.response, example.side) == ("When?", "In 1702.", "IF")
    assert (counts.rows, counts.train) == (1, 1)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "When?", "response": "In 1702.", "context": PASSAGE},
        {"instruction": "When?", "input": PASSAGE, "output": "In 1702."},
        exchange(context=PASSAGE),
        {"prompt": f"{PASSAGE}\n\nWhen?", "response": "In 1702.", "context": PASSAGE},
    ],
)
def test_own_rows_with_a_context_are_judged_for_faithfulness(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    row = {**row, "references": ["1702", "In 1702."], "group": "mills"}
    train, _, _ = own(tmp_path, [row], "extractive")
    [example] = train["mine"]
    assert example.prompt == f"{PASSAGE}\n\nWhen?" and example.context == PASSAGE
    assert (example.kind, example.references) == ("extractive", ("1702", "In 1702."))
    assert example.split_group == "mills"


def test_own_rows_that_lack_what_their_kind_needs_are_counted(tmp_path: Path) -> None:
    good = {"prompt": "Why?", "response": "So."}
    odd = [{**good, "context": PASSAGE}, {"prompt": "Why?"}, {**good, "response": " "},
           {**good, "instructions": [{"id": "nothing"}]}, exchange(messages=[])]  # fmt: skip
    rows = [{**good, "prompt": f"Why {n}?"} for n in range(40)]
    train, _, [counts] = own(tmp_path, [*rows, *odd], "instruction")
    assert (len(train["mine"]), counts.invalid) == (40, 3)
    assert counts.left_out == {"with a context": 1, "does not begin with an exchange": 1}
    with pytest.raises(UnusableFile, match="0 examples are usable .*40 without a context"):
        own(tmp_path, rows, "abstractive")


def test_own_rows_are_split_by_their_group(tmp_path: Path) -> None:
    rows = [{"prompt": f"Why {n}?", "response": "So.", "url": f"page {n // 4}"} for n in range(80)]
    columns = {"group": "url"}
    train, evaluation, _ = own(tmp_path, rows, "instruction", evaluation="train", columns=columns)
    groups = [{e.split_group for e in sets["mine"]} for sets in (train, evaluation)]
    assert groups[0] and groups[1] and groups[0].isdisjoint(groups[1])
    assert len(train["mine"]) + len(evaluation["mine"]) == 80


ALL_LOW = {"id": "change_case:english_lowercase"}
LONG = {"id": "length_constraints:number_words", "num_words": 300, "relation": "at least"}


def ifeval(prompt: str, *rules: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a row in IFEval's layout, its arguments padded as the Hub pads them."""
    padded: dict[str, Any] = {"num_words": None, "relation": None}
    arguments = [padded | {key: rule[key] for key in rule if key != "id"} for rule in rules]
    ids = [rule["id"] for rule in rules]
    return {"key": 1, "prompt": prompt, "instruction_id_list": ids, "kwargs": arguments, **more}


@pytest.mark.parametrize("row", [
    {"prompt": "Why?", "instructions": [ALL_LOW, {**LONG, "num_bullets": None}]},
    ifeval("Why?", ALL_LOW, LONG),
])  # fmt: skip
def test_own_prompts_with_instructions_of_ifeval_need_no_response_to_be_evaluated(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    put(tmp_path, "own/train.jsonl", lines(row, {**row, "prompt": "Who?", "response": "the elbe."}))
    settings = {"repo": str(tmp_path / "own"), "kind": "instruction"}
    _, evaluation, _ = sampled({"mine": TextSet(**settings, evaluation="train")}, verifiable=True)
    examples = {e.prompt: e for e in evaluation["mine"]}
    assert examples["Why?"].instructions == examples["Who?"].instructions == (ALL_LOW, LONG)
    assert [(e.response, e.references) for _, e in sorted(examples.items())] == [
        ("the elbe.", ("the elbe.",)), ("", ()),
    ]  # fmt: skip
    train, _, [counts] = sampled({"mine": TextSet(**settings, train="train")})
    assert [e.prompt for e in train["mine"]] == ["Who?"]
    assert counts.left_out == {"without a response": 1}


def test_rows_in_the_layout_of_ifeval_are_rejected_by_name(tmp_path: Path) -> None:
    for rule, word in (({"id": "keywords:exist"}, "keywords:exist"), ({**LONG, "n": 3}, "'n'")):
        put(tmp_path, "own/train.jsonl", lines(ifeval("Why?", rule)))
        settings = {"repo": str(tmp_path / "own"), "kind": "instruction", "evaluation": "train"}
        with pytest.raises(UnusableFile, match=word):
            sampled({"mine": TextSet(**settings)})


def test_prompts_that_ask_for_more_words_than_allowed_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, "own/test.jsonl", lines(ifeval("Why?", ALL_LOW), ifeval("Who?", LONG)))
    settings = {"repo": str(tmp_path / "own"), "kind": "instruction", "evaluation": "test"}
    _, evaluation, [counts] = sampled({"mine": TextSet(**settings, asked_words=100)})
    assert [e.prompt for e in evaluation["mine"]] == ["Why?"] and counts.too_long == 1


@pytest.mark.parametrize(
    ("instructions", "words"),
    [
        ([LONG], 300),
        ([{**LONG, "relation": "less than"}], 0),
        ([{"id": "length_constraints:number_sentences", "num_sentences": 7, "relation": "at least"},
          {"id": "length_constraints:number_paragraphs", "num_paragraphs": 4}], 80),
        ([{"id": "combination:repeat_prompt", "prompt_to_repeat": "a b c", "num_words": None}], 3),
    ],
)  # fmt: skip
def test_words_that_instructions_ask_for(instructions: list[dict[str, Any]], words: int) -> None:
    assert asked_words(instructions) == words


@pytest.mark.skipif("REPRODUCE_MIRROR" not in os.environ, reason="REPRODUCE_MIRROR is not set")
def test_ifeval_keeps_its_prompts_and_may_be_limited() -> None:
    _, evaluation, [counts] = pinned_sets({"ifeval": {"evaluation": 541, "asked_words": 70}}, 0)
    assert (counts.rows, counts.too_long, len(evaluation["ifeval"])) == (541, 77, 464)
    assert not any(e.response or e.references for e in evaluation["ifeval"])
