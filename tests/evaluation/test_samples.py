"""What tables and published results contain of other people's text."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.profiles import ROOT
from support.synthetic_study import rewrite

from reproduce.config import RealData
from reproduce.evaluation.results import Results, load_results
from reproduce.evaluation.tables.samples import export_seed, generations, samples, without_copies
from reproduce.schema import Example, JudgedResponse, read_records
from reproduce.study import Study

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
    texts = {row["response"] for row in generations(changed, ["MTL"]).rows}
    assert texts == {"so [14 words copied]"}


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
    responses = read_records(target / "evaluation.jsonl", JudgedResponse)
    copied = [r for r in responses if r.response == by_id[r.example].prompt]
    lengths = {len(by_id[r.example].prompt.split()) for r in copied}
    assert (max(lengths) >= 13) == own
    assert {path.name for path in target.iterdir()} == {
        "evaluation.jsonl", "history.json", "record.json"
    }  # fmt: skip


@pytest.mark.parametrize("tables", ROOT.glob("profiles/*/paper/tables"), ids=lambda p: p.parts[-3])
def test_no_committed_profile_has_other_peoples_texts(tables: Path) -> None:
    assert not (tables / "prompts.csv").exists()
    assert "Reference response" not in (tables / "samples.md").read_text(encoding="utf-8")
