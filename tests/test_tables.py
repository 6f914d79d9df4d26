"""Tables of a made-up study against means and counts taken by hand."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import synthetic
from pydantic import ValidationError

from reproduce.bootstrap import Interval
from reproduce.config import Params
from reproduce.config.params import TableName
from reproduce.evaluation.results import (
    BOTH,
    FAITHFULNESS,
    INSTRUCTION,
    MTL,
    RESET,
    RESET_S,
    load,
    read_trials,
)
from reproduce.evaluation.tables.arms import followed
from reproduce.evaluation.tables.claims import verdict
from reproduce.evaluation.tables.judges import judges
from reproduce.evaluation.tables.make import make_tables
from reproduce.evaluation.tables.study import parameters
from reproduce.evaluation.tables.summary import write_summary
from reproduce.schema import read_examples
from reproduce.utils.files import UnusableFile, read_rows, sealed_folder, write_rows

NAMES = get_args(TableName)
ROOT = Path(__file__).parent.parent
PARAMS = synthetic.small_params()
ASKED = synthetic.all_claims()


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Path:
    return synthetic.shared_study(tmp_path_factory.getbasetemp()) / "artifacts"


def table(study: Path, name: str) -> list[dict[str, str]]:
    with (study.parent / "tables" / f"{name}.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def named(rows: list[dict[str, str]], **wanted: str) -> dict[str, str]:
    return next(row for row in rows if all(row[k] == v for k, v in wanted.items()))


def final(study: Path, key: str) -> list[dict]:
    rows = [r for k in PARAMS.seeds for r in read_rows(study / key / f"seed-{k}/evaluation.jsonl")]
    return [row for row in rows if row["progress"] == 1.0]


def macro(rows: list[dict], column: str, sets: list[str]) -> float:
    def mean(name: str) -> float:
        values = [row[column] for row in rows if row["dataset"] == name]
        return sum(values) / len(values)

    return sum(map(mean, sets)) / len(sets)


IF_SETS = ["orders-a", "orders-b", "orders-c"]
CD_SETS = ["answers-a", "answers-b", "digests"]


def loaded(artifacts: Path):
    return load(artifacts, synthetic.all_arms(), PARAMS)


def copied(study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(study, tmp_path / "artifacts"))


def test_every_table_has_three_files_that_say_the_same(study: Path) -> None:
    for name in NAMES:
        rows = table(study, name)
        text = (study.parent / "tables" / f"{name}.md").read_text(encoding="utf-8")
        tex = (study.parent / "tables" / f"{name}.tex").read_text(encoding="utf-8")
        assert text.count("\n| ") == len(rows) + 2
        assert tex.count(r" \\") == len(rows) + 1
        assert "stage `tables`" in text
        assert r"\toprule" in tex and "→" not in tex
        assert not re.search(r"(?<!\\)[%&_#](?!.*\\\\)", tex.split(r"\caption")[1].split("\n")[0])


def test_main_means_are_macro_averages_without_probes(study: Path) -> None:
    rows = final(study, MTL)
    found = named(table(study, "methods"), arm="MTL")
    assert float(found["instruction"]) == pytest.approx(
        macro(rows, "instruction", IF_SETS), abs=1e-6
    )
    assert float(found["faithfulness"]) == pytest.approx(
        macro(rows, "faithfulness", CD_SETS), abs=1e-6
    )
    assert float(found["task"]) == pytest.approx(macro(rows, "task", CD_SETS), abs=1e-6)
    assert found["instruction_prompts"] == "36"
    assert found["instruction_seeds"] == "3"


def test_differences_are_paired_and_named(study: Path) -> None:
    found = named(table(study, "methods"), arm="ReSet")
    expected = macro(final(study, RESET), "instruction", IF_SETS) - macro(
        final(study, MTL), "instruction", IF_SETS
    )
    assert float(found["instruction_difference"]) == pytest.approx(expected, abs=1e-6)
    control = named(table(study, "controls"), arm="random-S")
    assert control["method"] == "ReSet-S"
    expected = macro(final(study, RESET_S), "task", CD_SETS) - macro(
        final(study, "controls/random-S"), "task", CD_SETS
    )
    assert float(control["task_difference"]) == pytest.approx(expected, abs=1e-6)
    assert named(table(study, "controls"), arm="more-MTL")["method"] == "ReSet"


def test_a_control_is_compared_with_what_was_tuned_as_long(study: Path) -> None:
    control = named(table(study, "controls"), arm="full-MTL")
    assert control["method"] == "ReSet, full tuning"
    arms = [final(study, key) for key in ("drivers/full", "controls/full-MTL")]
    ours, theirs = (macro(rows, "instruction", IF_SETS) for rows in arms)
    assert float(control["instruction_difference"]) == pytest.approx(ours - theirs, abs=1e-6)


def test_both_gives_each_objective_half_the_weight(study: Path) -> None:
    rows = final(study, MTL)
    faithful = (macro(rows, "faithfulness", CD_SETS) + 1) / 2  # by entailment, from -1 to 1
    expected = (macro(rows, "instruction", IF_SETS) + faithful) / 2
    assert loaded(study).estimate(BOTH, MTL).interval.mean == pytest.approx(expected)


def test_an_effect_counts_by_the_range_of_its_measure(study: Path) -> None:
    counts = {row["measure"]: row["smallest"] for row in table(study, "claims")}
    both = "Mean of IF and faithfulness"
    assert counts == {"Instruction following": "0.05", "Faithfulness": "0.1", both: "0.05"}


def test_an_answer_is_right_contradicted_or_neither(study: Path) -> None:
    rows = [row for row in final(study, MTL) if row["dataset"] == "answers-a"]
    found = named(table(study, "outcomes"), arm="MTL", dataset="answers-a")
    right = [row["details"]["states_answer"] == 1 for row in rows]
    against = [
        row["details"]["states_answer"] < 1 and row["details"]["entailed"] < 0 for row in rows
    ]
    assert float(found["right"]) == pytest.approx(sum(right) / len(rows), abs=1e-6)
    assert float(found["contradicted"]) == pytest.approx(sum(against) / len(rows), abs=1e-6)
    shares = [float(found[name]) for name in ("right", "contradicted", "silent")]
    assert sum(shares) == pytest.approx(1, abs=1e-5) and min(shares[:2]) > 0
    answered = sum(right) + sum(against)
    assert float(found["reliable"]) == pytest.approx(sum(right) / answered, abs=1e-6)


def test_a_trajectory_begins_with_the_final_score_of_its_start(study: Path) -> None:
    rows = table(study, "trajectory")
    points = [float(row["progress"]) for row in rows if row["arm"] == "CD-IF"]
    assert points == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=1e-6)
    end = named(rows, arm="CD", progress="1.000000")
    assert named(rows, arm="CD-IF", progress="0.000000")["faithfulness"] == end["faithfulness"]


def test_labels_and_sizes_come_from_the_training_examples(study: Path) -> None:
    assert named(table(study, "two-stage"), arm="CD-IF2")["label"] == "CD → orders-b"
    sizes = [len(read_rows(study / RESET / f"seed-{seed}" / "train.jsonl")) for seed in range(3)]
    # Seed n left n examples out as too long: a mean of one over seeds 0, 1 and 2.
    assert float(named(table(study, "data-size"), arm="ReSet")["examples"]) == pytest.approx(
        sum(sizes) / 3 - 1, abs=1e-6
    )
    assert named(table(study, "data-size"), arm="ReSet-S-7")["method"] == "ReSet-S"


def test_rewards_count_what_the_arm_trained_on(study: Path) -> None:
    found = named(table(study, "rewards"), label="ReSet-S", dataset="all")
    assert int(found["kept"]) == len(read_rows(study / RESET_S / "seed-0" / "train.jsonl"))
    assert float(found["reward_kept"]) > float(found["reward_all"])
    shares = [
        float(row["share"])
        for row in table(study, "reward-distribution")
        if (row["label"], row["side"], row["group"]) == ("ReSet", "CD", "kept")
    ]
    assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_mechanism_counts_wrong_answers_that_are_the_memory(study: Path) -> None:
    asked = {
        example.id: example
        for name in ("answers-a", "answers-b")
        for example in read_examples(study / "evaluation" / f"{name}.jsonl")
    }
    rows = [row for row in final(study, MTL) if row["example"] in asked]
    wrong = [row for row in rows if not row["details"]["exact_match"]]
    hits = [row for row in wrong if row["response"] == asked[row["example"]].memory]
    found = named(table(study, "mechanism"), arm="MTL")
    assert (int(found["answers"]), int(found["wrong"])) == (len(rows), len(wrong))
    assert float(found["remembered"]) == pytest.approx(len(hits) / len(wrong), abs=1e-6)
    # Five shapes and three hues: one of four or of two other values.
    assert 1 / 4 < float(found["chance"]) < 1 / 2
    assert found["probe:probe-a"]


def test_long_scores_hold_every_arm(study: Path) -> None:
    rows = table(study, "scores")
    assert {row["arm"] for row in rows} >= {"base", "more-MTL", "ReSet-11"}
    found = named(rows, arm="MTL", dataset="mean", measure="instruction")
    assert found["mean"] == named(table(study, "methods"), arm="MTL")["instruction"]


@pytest.mark.parametrize(
    ("low", "high", "side", "expected"),
    [
        (0.01, 0.2, "above 0", "supported"),
        (0.01, 0.2, "below 0", "not supported"),
        (-0.2, -0.01, "below 0", "supported"),
        (-0.2, -0.01, "above 0", "not supported"),
        (-0.1, 0.1, "above 0", "undecided"),
        (0.0, 0.2, "above 0", "undecided"),  # touches 0
        (0.01, 0.07, "above 0", "undecided"),  # the mean is too small to count
        (-0.04, 0.04, "above 0", "not supported"),  # no effect that counts is left
        (-0.04, 0.04, "below 0", "not supported"),
        (-0.05, 0.05, "above 0", "undecided"),
    ],
)
def test_verdict(low: float, high: float, side: str, expected: str) -> None:
    assert verdict(Interval((low + high) / 2, low, high, 10, 3), side, 0.05) == expected


def test_every_table_bears_on_a_claim_or_on_soundness() -> None:
    named = {name for claim in ASKED.claims for name in claim.tables} | set(ASKED.soundness)
    assert named == set(NAMES)


def test_every_claim_gets_its_verdicts(study: Path) -> None:
    rows = table(study, "claims")
    expected = [c.claim for c in ASKED.claims for _ in (*c.decided_by, *c.shown_too)]
    assert [row["claim"] for row in rows] == expected
    assert {row["verdict"] for row in rows} <= {"supported", "not supported", "undecided"}
    assert all(re.fullmatch(r"abstract .*\(C\)", row["source"]) for row in rows)


def test_every_run_writes_the_same_bytes(study: Path, tmp_path: Path) -> None:
    make_tables(PARAMS, synthetic.all_arms(), ASKED, study, tmp_path / "tables")
    again = {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()}
    first = {path.name: path.read_bytes() for path in (study.parent / "tables").iterdir()}
    assert again == first


def rewritten(artifacts: Path, key: str, change) -> None:
    folder = artifacts / key
    files = {p.relative_to(folder): p.read_text() for p in folder.rglob("*") if p.suffix}
    with sealed_folder(folder) as draft:
        for name, text in files.items():
            (draft / name).parent.mkdir(exist_ok=True)
            (draft / name).write_text(text)
        path = draft / "seed-1" / "evaluation.jsonl"
        write_rows(path, change([json.loads(line) for line in path.read_text().splitlines()]))


def test_a_prompt_without_a_score_for_one_seed_is_dropped_and_counted(
    study: Path, tmp_path: Path
) -> None:
    artifacts = copied(study, tmp_path)

    def unscore(rows: list[dict]) -> list[dict]:
        first = next(row for row in rows if row["dataset"] == "orders-a")
        return [{**row, "instruction": None} if row is first else row for row in rows]

    rewritten(artifacts, MTL, unscore)
    for found in (
        loaded(artifacts).estimate(INSTRUCTION, MTL),
        loaded(artifacts).estimate(INSTRUCTION, RESET, against=MTL),
    ):
        assert (found.dropped, found.interval.prompts) == (1, 35)


def test_a_missing_arm_is_named_with_what_to_do(study: Path, tmp_path: Path) -> None:
    artifacts = copied(study, tmp_path)
    shutil.rmtree(artifacts / RESET)
    with pytest.raises(UnusableFile, match=r"methods/ReSet: .*dvc repro"):
        loaded(artifacts)


def test_answers_to_other_prompts_are_refused(study: Path, tmp_path: Path) -> None:
    artifacts = copied(study, tmp_path)
    rewritten(artifacts, MTL, lambda rows: rows[:-1])
    with pytest.raises(UnusableFile, match="other prompts"):
        loaded(artifacts)


def test_the_judges_table_has_the_measured_aucs(study: Path) -> None:
    rows = {(r["dataset"], r["measure"]): r for r in table(study, "judges")}
    # One of 12 wrong responses scores as high as the right ones: 11 wins and a tie.
    assert float(rows["answers-a", "entailed"]["same passage"]) == pytest.approx(11.5 / 12)
    assert rows["answers-a", "entailed"]["carries"] == "faithfulness"
    assert rows["answers-a", "coverage"]["carries"] == ""
    claim = next(r for r in table(study, "claims") if r["measure"] == "Faithfulness")
    assert claim["judge"] == "entailed (answers-a, answers-b); summac (digests)"


def test_own_answers_are_told_apart_as_a_plain_loop_does(study: Path) -> None:
    scores = loaded(study).scores
    found = scores[(scores["dataset"] == "answers-a") & (scores["progress"] == 1.0)]
    distinct = {(r.example, r.response): r for r in found.itertuples() if r.response}
    right = [r.entailed for r in distinct.values() if r.states_answer == 1]
    wrong = [r.entailed for r in distinct.values() if r.states_answer < 1]
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in right for b in wrong]
    row = named(table(study, "own-answers"), dataset="answers-a")
    assert (int(row["answers"]), int(row["right"])) == (len(distinct), len(right))
    assert float(row["entailed"]) == pytest.approx(sum(wins) / len(wins), abs=1e-6)
    assert float(row["entailed_low"]) <= float(row["entailed"]) <= float(row["entailed_high"])
    assert {r["dataset"] for r in table(study, "own-answers")} == {"answers-a", "answers-b"}


def test_a_measure_that_is_too_low_carries_no_claim(study: Path, tmp_path: Path) -> None:
    artifacts = Path(shutil.copytree(study, tmp_path / "artifacts"))
    rows = read_trials(artifacts)
    for row in rows:
        if row["dataset"] == "answers-a" and row["variant"] == "same passage":
            row["details"] = dict.fromkeys(row["details"], 1.0)
    with sealed_folder(artifacts / "validation") as draft:
        write_rows(draft / "judged.jsonl", rows)
    assert loaded(artifacts).datasets(FAITHFULNESS) == ["answers-b", "digests"]
    found = {(r["dataset"], r["measure"]): r for r in judges(rows, PARAMS).rows}
    assert found["answers-a", "entailed"]["carries"] == "nothing: AUC below 0.8"
    assert found["answers-b", "entailed"]["carries"] == "faithfulness"


def test_the_scale_of_the_study(study: Path, tmp_path: Path) -> None:
    (row,) = table(study, "study")
    assert row["parameters"] == "23" and row["profile"] == PARAMS.profile
    assert (int(row["arms"]), int(row["seeds"])) == (40, 3)
    assert (int(row["if_prompts"]), int(row["cd_prompts"])) == (36, 36)
    with pytest.raises(UnusableFile, match="no safetensors"):
        parameters(tmp_path)


def test_a_summary_decides_the_claims_whose_arms_are_there(study: Path, tmp_path: Path) -> None:
    chosen = ("two-stage/CD", "two-stage/CD-IF", "methods/MTL")
    arms = {e: {a: arm for a, arm in found.items() if f"{e}/{a}" in chosen}
            for e, found in synthetic.all_arms().items()}  # fmt: skip
    text = write_summary(PARAMS, arms, ASKED, study, tmp_path / "summary", 1)
    assert "| IF tuning lowers faithfulness | abstract (C) | (CD → IF) − CD |" in text
    assert "our reading) (C) | MTL − CD |" in text
    assert "MTL − IF" not in text and "ReSet beats" not in text
    assert text.count("Made by `reproduce summary` from artifacts/") == 3 and "stage `" not in text
    assert "% Made by reproduce summary;" in (tmp_path / "summary/claims.tex").read_text("utf-8")
    whole = {row["comparison"]: row["effect"] for row in table(study, "claims")}
    with (tmp_path / "summary" / "claims.csv").open(encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    assert [row["effect"] for row in found] == [whole[row["comparison"]] for row in found]
    only = {"two-stage": {"CD": arms["two-stage"]["CD"]}}
    assert "Known from" not in write_summary(PARAMS, only, ASKED, study, tmp_path / "summary", 1)


@pytest.mark.parametrize("name", ["data-size", "drivers", "controls"])
def test_a_table_of_arms_begins_with_the_base_model(study: Path, name: str) -> None:
    base, row = named(table(study, "methods"), arm="base"), table(study, name)[0]
    assert row["label"] == "Base" and row["faithfulness_low"] == base["faithfulness_low"]
    assert row.get("instruction_difference", "") == ""


def test_a_claim_stands_beside_what_is_reached_without_tuning(study: Path) -> None:
    base = named(table(study, "methods"), arm="base")
    found = {row["measure"]: row["base"] for row in table(study, "claims")}
    assert found["Instruction following"] == base["instruction"]
    assert found["Faithfulness"] == base["faithfulness"]


def test_a_remark_of_the_profile_stands_below_its_table(study: Path, tmp_path: Path) -> None:
    told = PARAMS.model_copy(update={"captions": {"controls": "Mind the gap."}})
    make_tables(told, synthetic.all_arms(), ASKED, study, tmp_path / "tables")
    assert "Mind the gap." in (tmp_path / "tables" / "controls.md").read_text(encoding="utf-8")
    with pytest.raises(ValidationError, match=r"captions\.control"):
        Params.model_validate(PARAMS.model_dump() | {"captions": {"control": "Mind the gap."}})


def test_a_remark_may_stand_below_every_table_and_no_other(study: Path) -> None:
    names = {path.stem for path in (study.parent / "tables").glob("*.tex")}
    assert names == set(get_args(TableName))


def test_the_filter_for_the_runs_stands_below_a_table_of_arms(study: Path) -> None:
    text = (study.parent / "tables" / "controls.md").read_text(encoding="utf-8")
    assert "`tags.cell LIKE 'controls/full-MTL/%'`" in text
    assert "Made by the stage `tables` of dvc.yaml from artifacts/" in text
    claims = (study.parent / "tables" / "claims.md").read_text(encoding="utf-8")
    assert "`tags.cell LIKE 'two-stage/CD-IF/%'` and `tags.cell LIKE 'two-stage/CD/%'`" in claims
    assert "tags.cell" not in (study.parent / "tables" / "judges.md").read_text(encoding="utf-8")


def test_an_instruction_counts_alike_whatever_prompt_it_is_of(study: Path) -> None:
    """As IFEval counts them (Zhou et al., 2023)."""
    results = loaded(study)
    found = results.sets[IF_SETS[0]]
    found[0] = replace(found[0], instructions=found[0].instructions * 5)
    asked = {e.id: len(e.instructions) for name in IF_SETS for e in results.sets[name]}
    rows = [row for row in final(study, MTL) if row["example"] in asked]
    count = sum(asked[row["example"]] for row in rows)
    share = sum(row["instruction"] * asked[row["example"]] for row in rows) / count
    level = followed(results, MTL, INSTRUCTION)
    assert level and level.interval.mean == pytest.approx(share)
    assert level.interval.mean != pytest.approx(macro(rows, "instruction", IF_SETS), abs=1e-4)
    assert level.interval.low < share < level.interval.high
