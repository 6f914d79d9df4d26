"""The crossing of base models and examples: a seed with its own base model is the study's."""

from pathlib import Path

import pytest

from reproduce.config import ConfigError
from reproduce.evaluation.results import INSTRUCTION, load_results
from reproduce.study import Study
from reproduce.utils.files import read_csv

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_base_model_meets_the_examples_of_every_seed(
    nano_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "analysis")
    import crossed

    for arm in ("CD-IF", "base"):  # Neither is trained from the base model.
        with pytest.raises(ConfigError, match=arm):
            crossed.main([arm, "--profile", "."])
    crossed.main(["CD", "--profile", ".", "--output", "crossed.csv"])
    rows = {(row["base_model"], row["examples"]): row for row in read_csv(Path("crossed.csv"))}
    assert sorted(rows) == [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    results = load_results(nano_study, ["CD"])
    for position, seed in enumerate(nano_study.params.seeds):
        sets = results.datasets(INSTRUCTION)
        means = [results.grid("CD", name, "instruction")[position].mean() for name in sets]
        score = float(rows[str(seed), str(seed)]["instruction"])
        assert score == pytest.approx(sum(means) / len(means), abs=6e-4)
