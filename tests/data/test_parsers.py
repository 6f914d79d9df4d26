"""Rows of public data sets: each format gives its example, or is skipped or invalid."""

from typing import Any

import pytest

from reproduce.data.parsers import FORMATS, Skipped
from reproduce.schema import Example

TEXT = 'Mara keeps bees in Oldham.\n\nHer brother Tom is a "seller".'
ASKED = f"{TEXT}\n\nQuestion: "
SUMMARIZE = "\n\nWrite a short summary of the text above."


def parsed(row_format: str, row: dict[str, Any]) -> Example:
    return FORMATS[row_format][1]("set", row)


def t0(prompt: str, completion: str) -> dict[str, Any]:
    return {"prompt": prompt, "completion": f"{completion}<|endoftext|>"}


def squad(*answers: str, impossible: bool = False) -> dict[str, Any]:
    return {"title": "Bees", "context": TEXT, "question": "Who keeps bees?",
            "answers": [{"text": answer} for answer in answers],
            "is_impossible": impossible}  # fmt: skip


def marco(answers: list[str], selected: list[int]) -> dict[str, Any]:
    passages = {"passage_text": ["It is ten metres.", "Else."], "is_selected": selected}
    return {"query": "how long", "answers": answers, "passages": passages}


def turn(**more: Any) -> dict[str, Any]:
    return {"category": "math", "turns": ["One?", "Two?"], **more}


def talk(*turns: tuple[str, str]) -> dict[str, Any]:
    return {"conversations": [{"from": who, "value": text} for who, text in turns]}


def task(given: str | None, response: str = "La.", key: str = "input") -> dict[str, Any]:
    return {"instruction": "Sing.", key: given, "output": response, "response": response}


RULES = {
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [{"num_words": None}, {"num_words": 9, "relation": "at least"}],
}
ADVERSARIAL = f'Question: "Who is "Tom"?"\n\nContext: "{TEXT}"\n\nAnswer:\n'
CRLF = TEXT.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("row_format", "row", "prompt", "references"),
    [
        ("squad", squad("Mara", "Mara", "Her", " "), f"{ASKED}Who keeps bees?", ("Mara", "Her")),
        ("t0-adversarial-qa", t0(ADVERSARIAL, "Her brother"), f'{ASKED}Who is "Tom"?',
         ("Her brother",)),
        ("t0-summarize", t0(f"Summarize: {CRLF}\n", "Bees .\nTom sells ."), f"{TEXT}{SUMMARIZE}",
         ("Bees.\nTom sells.",)),
        ("cnn-dailymail", {"article": TEXT, "highlights": "Bees .\nTom ."}, f"{TEXT}{SUMMARIZE}",
         ("Bees.\nTom.",)),
        ("dialogsum", {"dialogue": TEXT, "summary1": "A", "summary2": "B", "summary3": "A"},
         f"{TEXT}{SUMMARIZE}", ("A", "B")),
        ("dialogsum", {"dialogue": TEXT, "summary": "C"}, f"{TEXT}{SUMMARIZE}", ("C",)),
        ("mrqa-nq", {"subset": "NaturalQuestionsShort", "context": "<P> Mara  keeps bees . </P>",
                     "question": "who", "answers": [" Mara "]},
         "Mara keeps bees .\n\nQuestion: who", ("Mara",)),
        ("ms-marco", marco(["Ten metres", "no idea"], [1, 0]),
         "It is ten metres.\n\nQuestion: how long", ("Ten metres",)),
        ("alpaca", task("", "La. "), "Sing.", ("La.",)),
        ("seed-tasks", {"instruction": "Sing.", "instances": [task("")]}, "Sing.", ("La.",)),
        ("dolly", task("", key="context"), "Sing.", ("La.",)),
        ("sharegpt", talk(("human", "Hi?"), ("gpt", "Hello."), ("human", "More")), "Hi?",
         ("Hello.",)),
        ("mt-bench", turn(reference=["1", "2"]), "One?", ("1",)),
        ("mt-bench", turn(), "One?", ()),
        ("ifeval", {"prompt": "Sing. ", **RULES}, "Sing.", ()),
    ],
)  # fmt: skip
def test_a_row_becomes_an_example(
    row_format: str, row: dict[str, Any], prompt: str, references: tuple[str, ...]
) -> None:
    example = parsed(row_format, row)
    assert (example.prompt, example.references) == (prompt, references)
    assert example.response == "".join(references[:1])
    assert example.side == FORMATS[row_format][0]
    assert example.prompt.startswith(example.context)
    assert bool(example.context) == (example.side == "CD")


def test_the_group_is_the_article_or_else_the_text() -> None:
    assert parsed("squad", squad("Mara")).split_group == "Bees"
    rows = ({"article": text, "highlights": "x"} for text in ("one", "two", "one"))
    first, second, again = (parsed("cnn-dailymail", row).split_group for row in rows)
    assert first == again != second


LONG = "word " * 310


@pytest.mark.parametrize(
    ("row_format", "row", "rule"),
    [
        ("squad", squad(impossible=True), "unanswerable"),
        ("t0-summarize", t0(f"Summarize: {LONG}...\n", "More."), "truncated context"),
        ("mrqa-nq", {"subset": "SQuAD"}, "of another set"),
        ("mrqa-nq", {"subset": "NaturalQuestionsShort", "context": "The mill is old.",
                     "question": "who", "answers": ["nobody"]}, "answer not in the context"),
        ("ms-marco", marco(["No Answer Present."], [0, 0]), "answer not in the context"),
        ("t0-adversarial-qa", t0(ADVERSARIAL, "Anna"), "answer not in the context"),
        ("alpaca", task("x"), "with a context"),
        ("alpaca", task("", "…"), "response without a word"),
        ("squad", squad("£"), "response without a word"),
        ("self-instruct", task(" ", "nan"), "placeholder as response"),
        ("dolly", task("x", key="context"), "with a context"),
        ("sharegpt", talk(("gpt", "Hello.")), "does not begin with an exchange"),
        ("sharegpt", talk(("human", "Hi"), ("gpt", "<div class=x><p>Elbe</p></div>")),
         "text of a web page"),
        ("mt-bench", turn(category="extraction"), "with a context"),
    ],
)  # fmt: skip
def test_a_row_is_skipped_by_rule(row_format: str, row: dict[str, Any], rule: str) -> None:
    with pytest.raises(Skipped) as raised:
        parsed(row_format, row)
    assert raised.value.args == (rule,)


@pytest.mark.parametrize("end", ["...", "Bob: Not sure...", "…"])
def test_a_short_text_that_ends_in_an_ellipsis_is_whole(end: str) -> None:
    example = parsed("t0-summarize", t0(f"Summarize: Ann: Are you coming?\r\n{end}\n", "Maybe."))
    assert example.context.endswith(end)


@pytest.mark.parametrize("given", ["", " ", "<noinput>", "N/A", "nan", "No input"])
def test_a_placeholder_is_no_context(given: str) -> None:
    assert parsed("alpaca", task(given)).prompt == "Sing."


def test_marks_of_wikipedia_are_removed_from_dolly() -> None:
    row = {
        "instruction": "Which?",
        "context": "",
        "response": "Elbe[1] and Oder.[2][citation needed]",
    }
    assert parsed("dolly", row).response == "Elbe and Oder."


@pytest.mark.parametrize(
    "turns",
    [
        [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Hi?"},
         {"from": "gpt", "value": "Hello."}],
        [{"role": "system", "content": ""}, {"role": "user", "content": "Hi?"},
         {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "More"}],
    ],
)  # fmt: skip
def test_conversations_name_their_speakers_in_several_ways(turns: list[dict[str, str]]) -> None:
    example = parsed("sharegpt", {"conversations": turns})
    assert (example.prompt, example.response) == ("Hi?", "Hello.")


@pytest.mark.parametrize(
    ("row_format", "row"),
    [
        ("squad", squad(" ")),
        ("t0-adversarial-qa", {"prompt": ADVERSARIAL, "completion": "Her brother"}),
        ("t0-adversarial-qa", t0('Question: ""\n\nContext: "Mara."\n\nAnswer:\n', "Mara")),
        ("t0-summarize", t0("Shorten: Text.\n", "Short.")),
        ("alpaca", task("", " ")),
        ("alpaca", task(None)),
        ("ifeval", {"prompt": "Sing.", **RULES, "kwargs": [{}]}),
        ("ifeval", {"prompt": "Sing.", **RULES, "kwargs": [{}, {"num_words": 9}]}),
    ],
)
def test_a_row_that_is_not_in_its_format_is_invalid(row_format: str, row: dict[str, Any]) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        parsed(row_format, row)
