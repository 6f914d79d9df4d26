"""Tables on the judges against plain loops."""

from dataclasses import replace

import pytest

from reproduce.evaluation.results import Results
from reproduce.evaluation.tables.judge_tables import instructions, judge_validation
from reproduce.schema import JudgedTrial, Judgement


def test_the_validation_has_the_measured_aucs(table) -> None:
    (row,) = table("judge-validation", dataset="answers-a", measure="entailed")
    # One of 12 wrong responses scores as high as the right ones: 11 wins and a tie.
    assert float(row["same passage"]) == pytest.approx(11.5 / 12)
    assert row["used_for_claims"] == "faithfulness"
    (row,) = table("judge-validation", dataset="answers-a", measure="coverage")
    assert row["used_for_claims"] == ""


def test_a_metric_that_is_not_used_for_claims_is_named_with_the_reason(results: Results) -> None:
    blind = Judgement(None, None, None, {"entailed": 1.0})
    trials = [replace(t, judgement=blind) if t.dataset == "answers-a" else t
              for t in results.trials]  # fmt: skip
    rows = {(r["dataset"], r["measure"]): r
            for r in judge_validation(replace(results, trials=trials)).rows}  # fmt: skip
    assert "0.75" in str(rows["answers-a", "entailed"]["used_for_claims"])
    assert rows["answers-b", "entailed"]["used_for_claims"] == "faithfulness"


def test_ratings_are_validated_and_unreadable_ones_counted(results: Results) -> None:
    trials = [
        JudgedTrial("orders", "instruction", f"e{n}", variant, "x",
                    Judgement(None, None, None, details))
        for n in range(12)
        for variant, details in (
            ("right", {"rating": 9.0, "unrated": 0.0, "instruction_strict": 1.0}),
            ("other passage", {"unrated": 1.0} if n == 0 else {"rating": 2.0, "unrated": 0.0}),
        )
    ]  # fmt: skip
    table = judge_validation(replace(results, trials=trials))
    (row,) = table.rows
    assert row["measure"] == "rating"
    interval = row["other passage"].interval  # type: ignore[union-attr]
    assert (interval.mean, interval.prompts) == (1.0, 11)
    assert any("1 of 24 ratings" in note for note in table.notes)


def test_right_and_wrong_responses_to_one_prompt_are_ranked(results: Results) -> None:
    trials = [
        JudgedTrial("orders", "instruction", f"e{n}", variant, "x",
                    Judgement(None, None, None, {"instruction_strict": n + shift}))
        for n in range(12)
        for variant, shift in (("right", 0.5 * (n > 0)), ("same passage", 0.0))
    ]  # fmt: skip
    (row,) = judge_validation(replace(results, trials=trials)).rows
    ranked = row["ranked"].interval  # type: ignore[union-attr]
    assert ranked.mean == pytest.approx(11.5 / 12) and ranked.low < 11.5 / 12 < ranked.high == 1
    assert row["same passage"].interval.mean < 0.6  # type: ignore[union-attr]


def test_responses_are_told_apart_as_in_a_plain_loop(table, results: Results) -> None:
    scores = results.scores
    rows = scores[(scores["dataset"] == "answers-a") & (scores["train_fraction"] == 1.0)]
    distinct = {(r.example, r.response): r for r in rows.itertuples() if r.response}
    right = [r.entailed for r in distinct.values() if r.states_answer == 1]
    wrong = [r.entailed for r in distinct.values() if r.states_answer < 1]
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in right for b in wrong]
    (row,) = table("judges-on-responses", dataset="answers-a")
    assert (int(row["answers"]), int(row["right"])) == (len(distinct), len(right))
    assert float(row["entailed"]) == pytest.approx(sum(wins) / len(wins), abs=1e-6)
    assert float(row["entailed_low"]) <= float(row["entailed"]) <= float(row["entailed_high"])
    assert {row["dataset"] for row in table("judges-on-responses")} == {"answers-a", "answers-b"}


def test_instructions_are_counted_by_kind_over_prompts_and_seeds(results: Results) -> None:
    at_most = {"id": "words", "relation": "at most", "n": 2}
    no_comma = {"id": "no_comma"}
    first, second, *rest = results.sets["orders-a"]
    changed = [replace(first, instructions=(at_most, no_comma)),
               replace(second, instructions=(no_comma,))]  # fmt: skip
    sets = {**results.sets, "orders-a": changed + [replace(e, instructions=()) for e in rest]}
    for name in ("orders-b", "orders-c"):
        sets[name] = [replace(e, instructions=()) for e in results.sets[name]]
    frame = results.frame("MTL", "orders-a")
    followed_0, followed_1 = [0.0] * len(frame), [0.0] * len(frame)
    size = len(results.sets["orders-a"])
    followed_0[0] = followed_0[1] = followed_0[size + 1] = followed_1[2 * size] = 1.0
    frame = frame.assign(followed_0=followed_0, followed_1=followed_1)
    frames = {**results.frames, ("MTL", 1.0, "orders-a"): frame}
    rows = {
        row["kind"]: row for row in instructions(replace(results, sets=sets, frames=frames)).rows
    }
    assert {kind: row["asked"] for kind, row in rows.items()} == {"no comma": 2, "words at most": 1}
    shares = {kind: row["MTL"].interval.mean for kind, row in rows.items()}  # type: ignore
    assert shares == pytest.approx({"words at most": 1 / 3, "no comma": 3 / 6})


def test_faithfulness_is_compared_by_every_metric_of_the_kind_of_prompt(
    table, study, final
) -> None:
    rows = table("faithfulness-metrics")
    pairs = {
        (d.arm, d.against)
        for claim in study.claims.claims.values()
        for d in claim.differences
        if d.metric == "faithfulness"
    }
    assert {(row["of"], row["minus"]) for row in rows} == pairs
    assert len(rows) == 3 * len(pairs) and {row["used_for_claims"] for row in rows} == {"yes"}
    for row in rows:
        abstractive = row["dataset"] == "digests"
        assert (row["rouge_l"] != "") == abstractive
        assert (row["token_f1"] != "") == (row["states_answer"] != "") == (not abstractive)
        score = "k_precision" if abstractive else "coverage"
        of, minus = (
            [r.judgement.details[score] for r in final(row[key], row["dataset"])]
            for key in ("of", "minus")
        )
        assert float(row[score]) == pytest.approx((sum(of) - sum(minus)) / len(of), abs=1e-6)
