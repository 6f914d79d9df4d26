"""Real data: rows parsed, sets disjoint, constraints right for gold."""

import hashlib
import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pinned import entry, put

from reproduce import download as fetch
from reproduce.data import parsers as parse
from reproduce.data.constraints import WORDINGS, constrain_gold, constrain_open
from reproduce.data.datasets import DATASETS, pools, real_examples
from reproduce.judges.instructions import follow
from reproduce.schema import Example
from reproduce.utils.files import UnusableFile

END = "<|endoftext|>"
TEXT = "Mara keeps bees in Oldham.\nHer brother Tom sells the honey."


# Rows.


def t0(prompt: str, completion: str) -> dict[str, str]:
    return {"prompt": prompt, "completion": completion + END}


def squad(*articles: tuple[str, str, list[tuple[str, list[str]]]]) -> str:
    def question(number: int, text: str, answers: list[str]) -> dict[str, Any]:
        found = [{"text": each, "answer_start": 0} for each in answers]
        return {"question": text, "id": str(number), "answers": found, "is_impossible": not found}

    data = [
        {
            "title": title,
            "paragraphs": [
                {"context": context, "qas": [question(i, *each) for i, each in enumerate(asked)]}
            ],
        }
        for title, context, asked in articles
    ]
    return json.dumps({"version": "v2.0", "data": data})


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def parsed(tmp_path: Path, dataset: str, content: str) -> list[Example]:
    return parse.parse(put(tmp_path, "rows", content), dataset).examples


def test_squad_gives_answerable_questions_with_distinct_answers(tmp_path: Path) -> None:
    asked = [("Who keeps bees?", ["Mara", "Mara", "Her"]), ("Who flies?", [])]
    [example] = parsed(tmp_path, "squad", squad(("Bees", TEXT, asked)))
    assert example.prompt == f"{TEXT}\n\nQuestion: Who keeps bees?"
    assert example.references == ("Mara", "Her") and example.response == "Mara"
    assert (example.group, example.context, example.kind) == ("Bees", TEXT, "extractive")


@pytest.mark.parametrize(
    ("dataset", "prompt"),
    [
        ("adversarial-qa", 'Question: "Who is "Tom"?"\n\nContext: "{}"\n\nAnswer:\n'),
        (
            "quoref",
            'Who is "Tom"?\n\nAnswer the above question based on the context below:\n\n{}\n',
        ),
    ],
)
def test_t0_questions_are_taken_apart(tmp_path: Path, dataset: str, prompt: str) -> None:
    text = f'{TEXT}\n\nHe is a "seller".'
    [example] = parsed(tmp_path, dataset, lines(t0(prompt.format(text), "Her brother")))
    assert example.context == text
    assert example.prompt == f'{text}\n\nQuestion: Who is "Tom"?'
    assert example.references == (example.response,) == ("Her brother",)


@pytest.mark.parametrize(
    ("dataset", "prompt"),
    [
        ("xsum", "Summarize: {}\n"),
        ("samsum", "Summarize: {}\n"),
        ("cnn-dailymail", "Summarise the article:\n\n{}\n"),
    ],
)
def test_t0_summaries_are_taken_apart(tmp_path: Path, dataset: str, prompt: str) -> None:
    rows = lines(t0(prompt.format(TEXT.replace("\n", "\r\n")), "Bees are kept .\nTom sells ."))
    [example] = parsed(tmp_path, dataset, rows)
    assert example.context == TEXT
    assert example.prompt == f"{TEXT}\n\nWrite a short summary of the text above."
    assert example.response == "Bees are kept.\nTom sells."
    assert example.kind == "abstractive"


def test_a_context_that_was_cut_short_gives_no_summary(tmp_path: Path) -> None:
    rows = lines(t0("Summarize: Whole.\n", "All."), t0("Summarize: Cut...\n", "More than that."))
    result = parse.parse(put(tmp_path, "rows", rows), "xsum")
    assert (len(result.examples), result.cut_off, result.refused) == (1, 1, 0)


def test_dialogsum_keeps_all_references(tmp_path: Path) -> None:
    row = {"fname": "a", "dialogue": "#Person1#: Hi.\u2028Ho.", "summary1": "A", "summary2": "B"}
    rows = lines(row | {"summary3": "A"}, {"fname": "b", "dialogue": "Hm.", "summary": "C"})
    several, single = parsed(tmp_path, "dialogsum", rows)
    assert several.references == ("A", "B") and several.response == "A"
    assert single.references == ("C",) and single.group != several.group


def test_instructions_with_an_inherent_context_are_left_out(tmp_path: Path) -> None:
    alpaca = [{"instruction": "Sing.", "input": given, "output": "La."} for given in ("", "x")]
    [example] = parsed(tmp_path, "alpaca", json.dumps(alpaca))
    assert (example.prompt, example.response, example.context) == ("Sing.", "La.", "")
    seeds = [
        {"instruction": "Sing.", "instances": [{"input": given, "output": "La."}]}
        for given in ("", "x")
    ]
    for dataset in ("self-instruct", "user-oriented"):
        assert len(parsed(tmp_path, dataset, lines(*seeds))) == 1


def test_only_first_turns_are_taken(tmp_path: Path) -> None:
    row = {"question_id": 1, "category": "math", "turns": ["One?", "Two?"], "reference": ["1", "2"]}
    rows = lines(row, row | {"category": "extraction"})
    [example] = parsed(tmp_path, "mt-bench", rows)
    assert (example.prompt, example.references) == ("One?", ("1",))
    bare = {"category": "generic", "turns": ["One?"]}
    assert parsed(tmp_path, "vicuna", lines(bare))[0].references == ()


def test_few_bad_rows_are_counted_and_many_refused_by_name(tmp_path: Path) -> None:
    good = [t0(f"Summarize: Text {number}.\n", "Short.") for number in range(99)]
    bad = {"prompt": "Shorten: Text.\n", "completion": f"Short.{END}"}
    few = put(tmp_path, "few", lines(*good, bad))
    assert parse.parse(few, "xsum").refused == 1
    many = put(tmp_path, "many", lines(*good, bad, {"prompt": "Summarize: x\n"}))
    with pytest.raises(UnusableFile, match=r"many: 2 of 101 rows do not parse as xsum.*row 100"):
        parse.parse(many, "xsum")


@pytest.mark.parametrize(
    "row",
    [
        t0('Question: "Who?"\n\nContext: "Mara."\n\nAnswer:\n', "Tom"),
        {"prompt": 'Question: "Who?"\n\nContext: "Mara."\n\nAnswer:\n', "completion": "Mara"},
        t0('Question: ""\n\nContext: "Mara."\n\nAnswer:\n', "Mara"),
    ],
)
def test_an_unfounded_unfinished_or_empty_row_is_refused(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    with pytest.raises(UnusableFile, match="1 of 1 rows"):
        parsed(tmp_path, "adversarial-qa", lines(row))


@pytest.mark.parametrize("content", ['{"data": [', "[1]", ""])
def test_an_unreadable_file_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(UnusableFile, match="rows: "):
        parsed(tmp_path, "squad", content)


# Constraints.

GOLDS = [
    "Tea.",
    "Walk every day. Sleep eight hours, and drink enough water.",
    'She said "yes" and left the garden before the evening rain came down.',
    "- Bread\n- Milk\n- Apples",
    "1. Open the window.\n2. Close the door.",
    "def add(a, b):\n    return a + b",
    "Bees carry pollen between flowers. " * 30,
]


@pytest.mark.parametrize("gold", GOLDS)
def test_gold_follows_its_constraints(gold: str) -> None:
    seen = set()
    for seed in range(120):
        plain = Example("alpaca", "instruction", "Help me.", gold.strip())
        made = constrain_gold(plain, random.Random(seed))
        assert all(follow(made.response, made.instructions))
        assert 1 <= len(made.instructions) <= 2
        assert made.prompt.startswith("Help me. ") and made.id != plain.id
        seen |= {each["id"] for each in made.instructions}
    assert len(seen) >= 3 and seen <= set(WORDINGS)


def test_code_is_not_transformed() -> None:
    plain = Example("alpaca", "instruction", "Add.", GOLDS[5])
    for seed in range(50):
        assert constrain_gold(plain, random.Random(seed)).response == GOLDS[5]


def test_lists_are_asked_for_as_lists() -> None:
    seen = set()
    for gold in GOLDS[3:5]:
        plain = Example("alpaca", "instruction", "List.", gold)
        for seed in range(60):
            made = constrain_gold(plain, random.Random(seed))
            seen |= {(each["id"], each.get("n")) for each in made.instructions}
    assert {("bullets", 3), ("numbered", 2)} <= seen


def test_an_empty_gold_is_refused() -> None:
    with pytest.raises(ValueError, match="no constraint fits"):
        constrain_gold(Example("alpaca", "instruction", "Help.", ""), random.Random(0))


def test_open_constraints_can_be_met_and_are_said_in_the_prompt() -> None:
    plain = Example("vicuna", "instruction", "Why do\nbridges sway?", "unused", group="g")
    for seed in range(100):
        made = constrain_open(plain, random.Random(seed))
        assert made.response == "" and made.group == "g"
        for each in made.instructions:
            follow("Anything.", [each])  # It is an instruction that the judge can check.
            said = [str(each.get(key, "")) for key in ("n", "phrase")] + each.get("words", [])
            assert all(part in made.prompt for part in said)
        names = {each["id"] for each in made.instructions}
        assert 1 <= len(names) <= 2 and names & set(WORDINGS) == names


def test_who_says_little_keeps_no_more_bounds_than_who_says_much() -> None:
    plain = Example("vicuna", "instruction", "Why do bridges sway?", "unused", group="g")
    made = [constrain_open(plain, random.Random(seed)).instructions for seed in range(600)]
    bounds = [each["relation"] for found in made for each in found if each["id"] == "words"]
    assert len(bounds) > 150 and 0.4 < bounds.count("at least") / len(bounds) < 0.6


def test_every_wording_says_its_arguments() -> None:
    values = {"n": 3, "relation": "at most", "sentence": "sentences", "phrase": "P", "word": "W"}
    for wordings in WORDINGS.values():
        assert len({wording.format(**values) for wording in wordings}) == len(wordings) >= 2


# Sets.


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up mirror of three data sets, with prompts that occur on both sides."""
    asked = [(f"Question {number}?", ["one"]) for number in range(3)]
    alpaca = [
        {"instruction": f"Name {number} things.", "input": "", "output": f"Thing {number}."}
        for number in range(40)
    ]
    shared = {"category": "generic", "turns": ["name  7 things."]}
    files = {
        "squad-dev": squad(
            *((f"Title {n}", f"Text {n} has one. " * n, asked) for n in range(1, 11))
        ),
        "alpaca-demo": json.dumps(alpaca),
        "vicuna-bench": lines(shared, {"category": "generic", "turns": ["Why do bridges sway?"]}),
    }
    known = {}
    for name, text in files.items():
        put(tmp_path, name, text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        known[name] = entry(name=name, path=name, sha256=digest)
    monkeypatch.setattr(fetch, "entries", lambda: known)
    return tmp_path


LIMITS = {
    "vicuna": {"evaluation": 9},
    "squad": {"train": 99, "evaluation": 99, "context_words": 32},
    "alpaca": {"train": 99, "evaluation": 99},
}


def sampled(
    limits: Mapping[str, Mapping[str, int]], mirror: Path | None, cache: Path, seed: int
) -> Any:
    return real_examples(pools(limits, mirror, cache), limits, seed)


def test_train_and_evaluation_share_no_group_and_no_prompt(mirror: Path) -> None:
    train, evaluation, counts = sampled(LIMITS, mirror, mirror, seed=1)
    for name in ("squad", "alpaca"):
        assert train[name] and evaluation[name]
        groups = [{each.group for each in side[name]} for side in (train, evaluation)]
        assert not groups[0] & groups[1]
    assert not [each for each in train["alpaca"] if each.prompt.startswith("Name 7 things")]
    rows = {row["dataset"]: row for row in counts}
    assert rows["squad"]["parsed"] == 30 and rows["squad"]["too_long"] == 6
    assert rows["squad"]["train"] + rows["squad"]["evaluation"] == 24
    alpaca = rows["alpaca"]
    assert alpaca["train"] + alpaca["evaluation"] + alpaca["shared"] == 40


def test_sampling_follows_the_seed_and_not_the_order_of_names(mirror: Path) -> None:
    limits = {name: limit | {"evaluation": 2} for name, limit in LIMITS.items()}
    first = sampled(limits, mirror, mirror, seed=1)
    turned = sampled(dict(reversed(limits.items())), mirror, mirror, seed=1)
    assert first == turned and list(first[0]) == list(turned[0])
    assert first != sampled(limits, mirror, mirror, seed=2)
    alone = sampled({"squad": limits["squad"]}, mirror, mirror, seed=1)
    assert alone[1]["squad"] == first[1]["squad"]


def test_the_split_is_the_same_for_every_seed(mirror: Path) -> None:
    held_out = [
        {each.group for each in sampled(LIMITS, mirror, mirror, seed)[1]["squad"]}
        for seed in (1, 2)
    ]
    assert held_out[0] == held_out[1]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"squat": {}}, "unknown data set 'squat'; allowed: squad, .*mt-bench"),
        ({"squad": {"test": 1}}, r"squad: unknown \['test'\]; allowed: train"),
        ({"vicuna": {"train": 1}}, "vicuna: for evaluation only"),
    ],
)
def test_limits_that_mean_nothing_are_refused(
    limits: dict[str, dict[str, int]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        sampled(limits, None, Path(), seed=0)


@pytest.mark.skipif("REPRODUCE_MIRROR" not in os.environ, reason="REPRODUCE_MIRROR is not set")
def test_the_real_files_give_disjoint_sets_with_right_gold(tmp_path: Path) -> None:
    whole = {"train": 10**6, "evaluation": 10**6, "context_words": 300}
    limits = {
        name: whole if source.train or source.split else {"evaluation": 10**6}
        for name, source in DATASETS.items()
    }
    mirror = Path(os.environ["REPRODUCE_MIRROR"])
    train, evaluation, counts = sampled(limits, mirror, tmp_path, seed=0)
    contexts = {each.context for side in evaluation.values() for each in side} - {""}
    assert not contexts & {each.context for side in train.values() for each in side}
    for name in ("alpaca", "self-instruct"):
        for each in train[name] + evaluation[name]:
            assert all(follow(each.response, each.instructions))
    assert all(row["evaluation"] > 0 for row in counts)
