"""The nano study, made once per test session in this process and shared by all workers."""

import os
from pathlib import Path

from filelock import FileLock
from support.profiles import nano_profile

from reproduce.study import Study, load_study


def make(folder: Path) -> Study:
    """Run every stage up to the figures in `folder`, as `dvc repro` would."""
    from reproduce.arms import run_arm
    from reproduce.data.prepare import judge_examples, make_data
    from reproduce.evaluation.tables.make import make_tables
    from reproduce.pretrain import pretrain
    from reproduce.reporting.figures import make_figures
    from reproduce.reset.sample import sample_candidates
    from reproduce.reset.score import score_candidates
    from reproduce.validation.validate import make_judges

    nano_profile(folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        study = load_study()
        make_data(study.params, study.artifacts)
        make_judges(study.params, study.artifacts, *judge_examples(study.params))
        pretrain(study)
        for name, arm in study.arms.items():
            if arm.select and not (study.artifacts / arm.source).exists():
                sample_candidates(study, arm.made_from)
                score_candidates(study, arm.made_from)
            run_arm(study, name)
        make_tables(study)
        make_figures(study.artifacts / "tables", study.artifacts / "figures")
    finally:
        os.chdir(before)
    return load_study(folder)


def shared(base: Path) -> Path:
    """Return the folder of the session's nano study below `base`, made by whoever comes first."""
    folder = base / "nano-study"
    with FileLock(base / "nano-study.lock"):
        if not (folder / "done").exists():
            folder.mkdir()
            make(folder)
            (folder / "done").touch()
    return folder
