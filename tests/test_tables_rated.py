"""What the tables say of a study whose instruction following is rated by a served judge."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
import synthetic

from reproduce.config.params import TableName
from reproduce.evaluation.results import INSTRUCTION, load
from reproduce.evaluation.tables.health import health
from reproduce.evaluation.tables.judges import judges
from reproduce.evaluation.tables.make import make_tables
from reproduce.judges.judge import judge
from reproduce.judges.lexical import lexical_entailment
from reproduce.judges.panel import judged
from reproduce.reporting.figures import make_figures
from reproduce.reporting.plotting import faith_axis, if_axis
from reproduce.schema import Example, write_examples
from reproduce.utils.files import read_csv, sealed_folder, write_rows

CARRIERS = {"extractive": "coverage", "abstractive": "coverage"}
ORDER = Example("orders", "instruction", "Say hello.", "Hello.")
QUESTION = Example("qa", "extractive", "Where? On a mat.", "a mat", "On a mat.", ("a mat",))


def test_the_tables_count_what_was_rated_and_what_could_not_be_read(tmp_path: Path) -> None:
    def rater(asked: Sequence[tuple[str, str]]) -> list[float | None]:
        return [None if text.startswith("no") else 10.0 for _, text in asked]

    by = partial(judge, entailment=lexical_entailment, carriers=CARRIERS, rater=rater)
    params = synthetic.small_params().model_copy(update={"seeds": [0]})
    held_out = [ORDER, replace(ORDER, prompt="Say no.", id="no"), QUESTION]
    responses = ["yes", "no", "a mat"]
    with sealed_folder(tmp_path / "evaluation") as draft:
        write_examples(draft / "orders.jsonl", held_out[:2])
        write_examples(draft / "qa.jsonl", held_out[2:])
    answers = [{"example": e.id, "dataset": e.dataset, "response": text, "ended": True,
                "progress": 1.0}
               for e, text in zip(held_out, responses, strict=True)]  # fmt: skip
    with sealed_folder(tmp_path / "two-stage" / "base") as draft:
        found = judged(answers, {e.id: e for e in held_out}, by)
        write_rows(draft / "seed-0" / "evaluation.jsonl", found)
    with sealed_folder(tmp_path / "validation") as draft:
        wrong = {**found[-1], "variant": "same passage", "details": {"entailed": 0.0}}
        right = {**found[-1], "variant": "right", "details": {"entailed": 1.0}}
        rows = [{**row, "kind": "extractive", "example": f"q{n}"}
                for n in range(12) for row in (right, wrong)]  # fmt: skip
        write_rows(draft / "judged.jsonl", rows)
    arms = {"two-stage": {"base": synthetic.all_arms()["two-stage"]["base"]}}
    results = load(tmp_path, arms, params)
    assert results.rated
    untrained = pd.DataFrame(columns=["key"])
    (row,) = health(replace(results, training=untrained, losses=untrained)).rows
    assert (row["rated"], row["unrated"], row["unscored"]) == (2, 1, 1)
    estimate = results.estimate(INSTRUCTION, "two-stage/base")
    assert estimate and (estimate.interval.mean, estimate.dropped) == (1.0, 1)


def test_the_table_of_the_judges_measures_the_rating() -> None:
    trials = [
        {"dataset": "orders", "kind": "instruction", "example": f"e{n}", "variant": variant,
         "response": "x", "details": details}
        for n in range(12)
        for variant, details in (
            ("right", {"rating": 9.0, "unrated": 0.0, "instruction_strict": 1.0}),
            ("other passage", {"unrated": 1.0} if n == 0 else {"rating": 2.0, "unrated": 0.0}),
        )
    ]  # fmt: skip
    table = judges(trials, synthetic.small_params())
    (row,) = table.rows
    assert row["measure"] == "rating" and row["other passage"].interval.mean == 1.0
    assert row["other passage"].interval.prompts == 11
    assert "24 ratings were asked for; 1 are unreadable" in table.caption


def test_a_study_without_verifiable_instructions_has_all_other_tables_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, params = synthetic._examples, synthetic.small_params()
    monkeypatch.setattr(
        synthetic, "_examples", lambda *asked: [replace(e, instructions=()) for e in made(*asked)]
    )

    def rater(asked: Sequence[tuple[str, str]]) -> list[float | None]:
        return [float(1 + len(text) % 10) for _, text in asked]

    monkeypatch.setattr(synthetic, "JUDGES", partial(synthetic.JUDGES, rater=rater))
    artifacts, tables, arms = tmp_path / "artifacts", tmp_path / "tables", synthetic.all_arms()
    synthetic.write_study(artifacts, params, arms)
    make_tables(params, arms, synthetic.all_claims(), artifacts, tables)
    make_figures(tables, tmp_path / "figures")
    written = {path.stem for path in tables.glob("*.tex")}
    assert set(get_args(TableName)) - written == {"instructions"}
    rows = [row for row in read_csv(tables / "claims.csv") if "following" in row["measure"]]
    assert rows and all(row["judge"] == "rating" and row["effect"] for row in rows)


def test_an_axis_is_named_after_what_the_claims_are_judged_by(tmp_path: Path) -> None:
    for judge_of_claims, followed, faithful in (
        ("rating; summac (a)", "(rating)", "1 entailed"),
        ("instruction_strict; entailed (a)", "share of instructions", "1 entailed"),
        ("instruction_strict; k_precision (a)", "share of instructions", "share of words"),
    ):
        (tmp_path / "claims.csv").write_text(f"claim,judge\nx,{judge_of_claims}\n")
        assert followed in if_axis(tmp_path) and faithful in faith_axis(tmp_path)
