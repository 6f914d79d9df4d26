"""The results, tables and responses of the synthetic study."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.synthetic_study import synthetic_study, write_study

from reproduce.evaluation.results import Results, load_results
from reproduce.schema import JudgedResponse, read_records
from reproduce.study import Study
from reproduce.utils.files import read_csv

CsvRow = dict[str, str]


@pytest.fixture(scope="session")
def results(study: Study) -> Results:
    return load_results(study)


@pytest.fixture
def partial_study(tmp_path: Path) -> Study:
    """Return a study whose only arms are base, CD and MTL, to be written to."""
    whole = synthetic_study(tmp_path)
    arms = {name: whole.arms[name] for name in ("base", "CD", "MTL")}
    return write_study(replace(whole, arms=arms))


@pytest.fixture(scope="session")
def table(study: Study) -> Callable[..., list[CsvRow]]:
    """Return the rows of a table that have some values in some columns."""

    def rows(name: str, **values: str) -> list[CsvRow]:
        table_rows = read_csv(study.artifacts / "tables" / f"{name}.csv")
        return [row for row in table_rows if values.items() <= row.items()]

    return rows


@pytest.fixture(scope="session")
def final(study: Study) -> Callable[..., list[JudgedResponse]]:
    """Return an arm's responses at the end of training, all seeds, to some data sets."""

    def responses(arm: str, *datasets: str) -> list[JudgedResponse]:
        return [
            response
            for seed in study.params.seeds
            for response in read_records(
                study.results_dir(arm, seed) / "evaluation.jsonl", JudgedResponse
            )
            if response.train_fraction == 1.0 and (not datasets or response.dataset in datasets)
        ]

    return responses
