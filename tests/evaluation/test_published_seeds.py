"""Tables take published seeds next to those of this machine."""

import csv
import shutil

from reproduce.evaluation.tables.make import make_tables
from reproduce.evaluation.tables.samples import export_seed
from reproduce.study import Study


def test_a_published_seed_joins_the_tables(nano_study: Study) -> None:
    for arm in nano_study.arms:
        for seed in nano_study.params.seeds:
            export_seed(nano_study, arm, seed)
    for folder in (nano_study.artifacts / "results").glob("*/seed-1"):
        shutil.rmtree(folder)
    shutil.rmtree(nano_study.artifacts / "scores" / "MTL" / "seed-1")
    make_tables(nano_study)
    with (nano_study.artifacts / "tables" / "claims.csv").open(encoding="utf-8") as stream:
        assert {row["seeds"] for row in csv.DictReader(stream)} == {"2"}
