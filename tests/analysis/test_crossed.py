"""The crossing of base models and examples: a seed with its own base model is the study's."""

from pathlib import Path

import pytest

from reproduce.config import ConfigError
from reproduce.evaluation.results import load_results
from reproduce.study import Study
from reproduce.utils.files import read_csv


@pytest.mark.slow
def test_every_base_model_meets_the_examples_of_every_seed(
    nano_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "analysis")
    import crossed

    for arm in ("CD-IF", "base"):  # Neither is trained from the base model.
        with pytest.raises(ConfigError, match=arm):
            crossed.main([arm, "--profile", "."])
    crossed.main(["CD", "--profile", ".", "--output", "crossed.csv"])
    rows = {(row["base_model"], row["examples"]): row for row in read_csv(Path("crossed.csv"))}
    assert sorted(rows) == [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    scores = load_results(nano_study, ["CD"]).scores.query("train_fraction == 1 and not is_probe")
    means = scores.groupby(["seed", "dataset"])["instruction"].mean().groupby("seed").mean()
    for seed, mean in means.items():
        assert float(rows[str(seed), str(seed)]["instruction"]) == pytest.approx(mean, abs=6e-4)
