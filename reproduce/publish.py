"""`reproduce publish`: copy finished results to paper/, and update everything derived from them.

Nothing else writes to paper/ and to the README's generated blocks.
"""

import shutil

from reproduce.evaluation.tables.samples import export_seed
from reproduce.reporting.readme import update_readme
from reproduce.reporting.report import build_report
from reproduce.study import Study
from reproduce.tracking import write_run_records
from reproduce.utils.files import UnusableFile, atomic_path, write_json
from reproduce.utils.hardware import environment
from reproduce.utils.stage_log import TIMINGS, save_timings, stage_order

COPIED = ["tables", "figures"]


def publish(study: Study, results: bool = False, documents_only: bool = False) -> None:
    """Publish the local results of a study, then update README, discussion and report.

    Copied are tables, figures, the page to explore responses where all texts are the project's, a
    record of each run, the time of each stage and a description of this machine; with `results`
    also the responses and judgements of each arm and seed, without the texts of other people. With
    `documents_only` nothing is copied, and these pages are made of what is published. Raises
    UnusableFile where a stage has not run.
    """
    if not documents_only:
        _copy(study)
        if results:
            for arm in study.arms:
                for seed in study.params.seeds:
                    export_seed(study, arm, seed)
            print(f"wrote {study.paper / 'results'}, an input of tables: run `dvc repro` again")
    root = (study.folder / study.params.package).resolve().parent
    update_readme(root)
    build_report(root)
    pages = (root / "README.md", root / "paper" / "discussion.md", root / "paper" / "report")
    print(f"wrote {', '.join(map(str, pages))}")


def _copy(study: Study) -> None:
    copied = [*COPIED, "explore.html"] if study.own_texts else COPIED
    for name in copied:
        source = study.artifacts / name
        if not source.is_file() and not any(source.glob("*")):
            raise UnusableFile(f"{source}: missing or empty; run `dvc repro`")
    save_timings(stage_order(study.arms), study.folder)
    for name in copied:
        source = study.artifacts / name
        with atomic_path(study.paper / name) as draft:
            shutil.copyfile(source, draft) if source.is_file() else shutil.copytree(source, draft)
    write_run_records(study, study.paper / "runs.jsonl")
    write_json(study.paper / "machine.json", environment())
    written = [study.paper / name for name in (*copied, "runs.jsonl", "machine.json")]
    written.append(study.folder / TIMINGS)
    print(f"wrote {', '.join(map(str, written))}")
