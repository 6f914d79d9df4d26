"""Constraints: the reference response follows them, and the prompt says them."""

import random

import pytest

from reproduce.data.constraints import WORDINGS, constrain
from reproduce.judges.instructions import check_strict
from reproduce.schema import Example

RESPONSES = [
    "Tea.",
    "Walk every day. Sleep eight hours, and drink enough water.",
    'She said "yes" and left the garden before the evening rain came down.',
    "- Bread\n- Milk\n- Apples",
    "1. Open the window.\n2. Close the door.",
    "def add(a, b):\n    return a + b",
    "Bees carry pollen between flowers. " * 30,
]


def example(prompt: str, response: str) -> Example:
    return Example("alpaca", "instruction", prompt, response.strip(), split_group="g")


@pytest.mark.parametrize("response", RESPONSES)
def test_the_reference_response_follows_its_constraints(response: str) -> None:
    ids = set()
    plain = example("Help me.", response)
    for seed in range(120):
        made = constrain(plain, random.Random(seed))
        assert all(check_strict(made.response, made.instructions))
        assert 1 <= len(made.instructions) <= 2
        assert made.prompt.startswith("Help me. ") and made.id != plain.id
        assert made.response == plain.response or "return" not in response  # Code stays as it is.
        ids |= {instruction["id"] for instruction in made.instructions}
    assert ids and ids <= set(WORDINGS)
    assert len(ids) >= 6 or len(response.split()) < 10


LONG = RESPONSES[2:3] + RESPONSES[4:5] + RESPONSES[6:]
CONTENT = {"sentences", "includes", "bullets", "numbered", "starts_with", "ends_with"}


@pytest.mark.parametrize("response", [*LONG, ""])
def test_every_prompt_asks_for_content_and_no_upper_limit_stands_alone(response: str) -> None:
    for seed in range(150):
        plain = example("Why do old bridges sway in strong winds?", response)
        made = constrain(plain, random.Random(seed), any_response=not response).instructions
        assert any(each["id"] in CONTENT or each.get("relation") == "at least" for each in made)
        assert "at most" not in [each.get("relation") for each in made[:1]]


def test_prose_may_become_a_list_and_a_list_one_of_the_other_kind() -> None:
    prose, listed = "Walk every day. Sleep eight hours.", "- Bread\n- Milk"
    made = [constrain(example("Help.", text), random.Random(seed)).response
            for text in (prose, listed) for seed in range(60)]  # fmt: skip
    assert {"- Walk every day.\n- Sleep eight hours.", "1. Walk every day.\n2. Sleep eight hours.",
            "1. Bread\n2. Milk"} <= set(made)  # fmt: skip


PASSAGE = "The mill is older than the bridge. It was built by monks in 1702."


@pytest.mark.parametrize("question", ["Which people built the mill?", "By whom?"])
def test_joint_prompts_ask_for_what_no_copied_text_and_no_constant_follows(question: str) -> None:
    plain = Example("joint", "extractive", f"{PASSAGE}\n\nQuestion: {question}", "monks", PASSAGE,
                    ("monks", "The monks"), is_joint=True)  # fmt: skip
    asked = []
    for seed in range(60):
        made = constrain(plain, random.Random(seed))
        assert made.prompt.startswith(f"{plain.prompt}\n\n") and len(made.instructions) == 2
        assert (made.response, made.references, made.side) == ("", plain.references, "both")
        for copied in ("monks", "The mill is older than the bridge.", PASSAGE, made.prompt, "yes"):
            assert not all(check_strict(copied, made.instructions))
        asked.append(made.instructions)
    constant = "Well, it was people who built it in those days."
    followed = [all(check_strict(constant, instructions)) for instructions in asked]
    assert 0 < sum(followed) < 20  # Any start can be followed in a sentence, but no two at once.


@pytest.mark.parametrize(
    "response",
    ["def f(a):\n    return a.", "x = 5. y = 7.", "- Bread.\n- Milk.", "1) Stir.\n2) Pour.",
     "Roses are red\nViolets are blue.", "Bread\nMilk"],
)  # fmt: skip
def test_sentences_of_code_lists_and_poems_are_not_counted(response: str) -> None:
    for seed in range(80):
        made = constrain(example("Write.", response), random.Random(seed))
        assert "sentences" not in {each["id"] for each in made.instructions}


@pytest.mark.parametrize("prompt", ["Write a poem.", "Give me a Python function.", "List 3 foods."])
def test_no_number_of_sentences_is_asked_of_them_either(prompt: str) -> None:
    for seed in range(80):
        made = constrain(example(prompt, "unused"), random.Random(seed), any_response=True)
        assert "sentences" not in {each["id"] for each in made.instructions}


def test_sentences_are_asked_of_prose_in_paragraphs() -> None:
    plain = example("Write.", "It rained. We stayed in.\n\nThe sun came out at five p.m.")
    asked = [constrain(plain, random.Random(seed)).instructions for seed in range(80)]
    counts = {each["n"] for made in asked for each in made if each["id"] == "sentences"}
    assert counts == {3}


def test_an_empty_response_is_an_error_and_a_cd_example_is_left_alone() -> None:
    plain = example("Help.", "")
    with pytest.raises(ValueError, match=plain.id):
        constrain(plain, random.Random(0))
    question = Example("squad", "extractive", "Mara.\n\nWho?", "Mara", "Mara.")
    assert constrain(question, random.Random(0)) is question


def test_constraints_of_evaluation_only_sets_are_said_in_the_prompt() -> None:
    plain = example("Why do\nbridges sway?", "unused")
    for seed in range(100):
        made = constrain(plain, random.Random(seed), any_response=True)
        assert made.response == "" and made.split_group == "g"
        for each in made.instructions:
            check_strict("Anything.", [each])  # It is an instruction that the judge can check.
            arguments = [str(each.get(key, "")) for key in ("n", "phrase")] + each.get("words", [])
            assert all(argument in made.prompt for argument in arguments)
        names = {each["id"] for each in made.instructions}
        assert 1 <= len(names) <= 2 and names <= set(WORDINGS)
