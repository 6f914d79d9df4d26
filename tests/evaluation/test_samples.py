"""What tables and published results contain of other people's text."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.profiles import ROOT, nano_params
from support.synthetic_study import rewrite

from reproduce.config import RealData
from reproduce.evaluation.results import Results, load_results, read_responses
from reproduce.evaluation.tables.samples import (
    export_seed,
    generations,
    in_words,
    labelled,
    prompts,
    samples,
    without_copies,
)
from reproduce.judges.judge import JudgePanel
from reproduce.judges.text import has_words
from reproduce.reset.select import FAITHFUL
from reproduce.schema import Example, JudgedResponse, Sets
from reproduce.study import Study, load_study

PASSAGE = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
EXAMPLE = Example("answers", "extractive", f"{PASSAGE}\nWhat?", "gold", PASSAGE, ("gold",))


def of_others(study: Study) -> Study:
    """Return the study as if its data were downloaded."""
    data = study.params.data.model_copy(update={"world": None, "real": RealData(sets={})})
    return replace(study, params=study.params.model_copy(update={"data": data}))


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("twelve words of it: " + PASSAGE[:60], "twelve words of it: " + PASSAGE[:60]),
        (f"It says {PASSAGE.upper()} and ends.", "It says [14 words copied] and ends."),
        (PASSAGE.rsplit(" ", 1)[0], "[13 words copied]"),
        (f"{PASSAGE} {PASSAGE}", "[28 words copied]"),
        (f"{PASSAGE} or {PASSAGE}", "[14 words copied] or [14 words copied]"),
        ("", ""),
        ("a short\nanswer", "a short\nanswer"),
    ],
)
def test_long_copies_are_removed(response: str, expected: str) -> None:
    assert without_copies(response, EXAMPLE) == expected
    assert without_copies(expected, EXAMPLE) == expected


def test_other_peoples_texts_are_not_in_the_samples(results: Results, study: Study) -> None:
    own = samples(results, ["MTL"], texts=True)
    other = samples(results, ["MTL"], texts=False)
    assert own.count("###") == other.count("###") and own.count("**") == other.count("**")
    assert "Reference response" in own and "Reference response" not in other
    copying = results.scores.assign(response=f"so {PASSAGE}")
    sets = {name: [Example(e.dataset, e.kind, f"{PASSAGE} {n}", "x", id=e.id)
                   for n, e in enumerate(examples)]
            for name, examples in results.sets.items()}  # fmt: skip
    changed = replace(results, study=of_others(study), scores=copying, sets=sets)
    texts = {row["response"] for row in generations(changed, ["MTL"], texts=False).rows}
    assert texts == {"so [14 words copied]"}
    texts = {row["response"] for row in generations(changed, ["MTL"], texts=True).rows}
    assert texts == {f"so {PASSAGE}"}


def test_responses_are_those_of_the_first_prompts_with_what_judges_say(
    results: Results, final: Callable[..., list[JudgedResponse]]
) -> None:
    by_id = {e.id: e for examples in results.sets.values() for e in examples}
    rows = generations(results, ["MTL"], texts=True).rows
    responses = final("MTL")
    assert [(row["example"], row["response"]) for row in rows] == [
        (r.example, r.response) for r in responses
    ]
    for row, response in zip(rows, responses, strict=True):
        example, judged = by_id[response.example], response.judgement
        assert [row[name] for name in ("task", "faithfulness", "instruction")] == [
            judged.task, judged.faithfulness, judged.instruction
        ]  # fmt: skip
        flags = [judged.details[f"followed_{n}"] == 1 for n in range(len(example.instructions))]
        assert row["followed"] == "".join("ny"[flag] for flag in flags)
        correct = all(flags)
        if example.context:
            correct &= judged.faithfulness > FAITHFUL
        if example.kind == "extractive":
            correct &= judged.details["states_answer"] == 1
        assert row["correct"] == correct
        is_memory = bool(example.parametric_answer) and response.response in (
            example.parametric_answer, f"{example.parametric_answer}."
        )  # fmt: skip
        assert (row["states_memorised"] == "y") == is_memory
    by_set = {name: examples * 4 for name, examples in results.sets.items()}
    assert len(prompts(replace(results, sets=by_set)).rows) <= 30 * len(by_set)


def test_a_prompt_is_in_parts(results: Results) -> None:
    by_id = {e.id: e for examples in results.sets.values() for e in examples}
    for row in prompts(results).rows:
        example = by_id[row["example"]]
        assert row["passage"] == example.context and row["reference"] == example.response
        parts = example.prompt.split(example.context) if example.context else [example.prompt]
        assert row["question"] == "".join(parts).strip()
        assert len(row["instructions"].splitlines()) == len(example.instructions)


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ({"id": "words", "n": 20, "relation": "at least"}, "at least 20 words"),
        ({"id": "bullets", "n": None, "mark": "-"}, "bullet points"),
        ({"id": "excludes", "words": ["cat", "dog"]}, "does not mention cat, dog"),
        ({"id": "ends_with", "phrase": "The\nend."}, "ends with “The end.”"),
        ({"id": "starts_with", "phrase": "{n}_a"}, "starts with “{n}_a”"),
        ({"id": "keywords:frequency", "frequency": 2, "keyword": "sea", "relation": "at least"},
         "frequency, frequency 2, keyword sea, relation at least"),
    ],
)  # fmt: skip
def test_an_instruction_in_words(instruction: dict, expected: str) -> None:
    assert in_words(instruction) == expected


ANN = "Ann owns a cat. Ann lives in Oslo."
QUESTION = Example("qa", "extractive", f"{ANN}\nWhich pet does Ann own?", "cat", ANN, ("cat",))
DESCRIPTION = Example("all", "abstractive", f"{ANN}\nDescribe Ann.", ANN, ANN, (ANN,))


@pytest.mark.parametrize(
    ("example", "response", "expected"),
    [
        (QUESTION, "cat", "e0-3"),
        (QUESTION, "dog.", "c0-4"),
        (QUESTION, "blue", "n0-4"),
        (QUESTION, "cat. Ann lives in Rome.", "e0-4 c5-23"),
        (DESCRIPTION, "The pet of Ann is a cat.\nYes. Ann owns a goat. Ann wept a lot.",
         "e0-24 c30-46 n47-62"),
        (DESCRIPTION, "Ann owns a cat. Ann owns a cat.", "e0-15 e16-31"),
        (DESCRIPTION, "", ""),
    ],
)  # fmt: skip
def test_sentences_are_labelled(example: Example, response: str, expected: str) -> None:
    assert labelled(example, response) == expected


def test_labels_add_up_to_the_faithfulness_that_is_judged(held_out: Sets) -> None:
    examples = [e for members in held_out.values() for e in members if e.context]
    panel = JudgePanel(nano_params(), Path())
    for texts in ([e.response for e in examples], [e.flawed_response for e in examples],
                  [e.response for e in examples[1:]] + ["What? It."]):  # fmt: skip
        pairs = [pair for pair in zip(examples, texts, strict=True) if has_words(pair[1])]
        judgements = panel.judge([example for example, _ in pairs], [text for _, text in pairs])
        for (example, text), judged in zip(pairs, judgements, strict=True):
            values = ["cne".index(label[0]) / 2 for label in labelled(example, text).split()]
            assert judged.faithfulness == pytest.approx(np.mean(values or [0.5]))


@pytest.mark.parametrize("own", [True, False])
def test_a_published_seed_has_the_same_scores_and_no_copies(partial_study: Study, own) -> None:
    study = partial_study if own else of_others(partial_study)
    sets = load_results(partial_study).sets
    by_id = {e.id: e for examples in sets.values() for e in examples}

    def copy_prompts(rows: list[dict]) -> list[dict]:
        return [{**row, "response": by_id[row["example"]].prompt} for row in rows]

    rewrite(study.results_dir("MTL", 1) / "evaluation.jsonl", copy_prompts)
    expected = load_results(partial_study).scores
    target = export_seed(study, "MTL", 1)
    assert target == study.paper / "results" / "MTL" / "seed-1"
    shutil.rmtree(study.results_dir("MTL", 1))
    published = load_results(partial_study).scores
    assert published.drop(columns="response").equals(expected.drop(columns="response"))
    responses = read_responses(target)
    copied = [r for r in responses if r.response == by_id[r.example].prompt]
    lengths = {len(by_id[r.example].prompt.split()) for r in copied}
    assert (max(lengths) >= 13) == own
    assert {path.name for path in target.iterdir()} == {
        "evaluation.jsonl.bz2", "history.json", "record.json"
    }  # fmt: skip


@pytest.mark.parametrize("tables", ROOT.glob("profiles/*/paper/tables"), ids=lambda p: p.parts[-3])
def test_no_committed_profile_has_other_peoples_texts(tables: Path) -> None:
    if not load_study(tables.parents[1]).own_texts:
        assert not (tables / "prompts.csv").exists()
        assert "Reference response" not in (tables / "samples.md").read_text(encoding="utf-8")
