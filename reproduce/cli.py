"""The commands of the study; `dvc repro` calls one per stage."""

import difflib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from reproduce.config import ConfigError, check_ready, is_input, own_inputs
from reproduce.planning.plan import plan
from reproduce.planning.preflight import preflight
from reproduce.study import Study, load_study
from reproduce.utils.files import UserError
from reproduce.utils.hardware import use_one_gpu
from reproduce.utils.stage_log import format_duration, read_timings, stage, stage_order

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A reproduction of ReSet (Wu et al., EMNLP 2024). Run this in the folder of a profile.",
)
USE = "Look at a study, for example: reproduce summary ReSet MTL"
PIPELINE = "Stages, called by `dvc repro`, for example: reproduce arm ReSet"
MAINTAIN = "For maintainers, for example: reproduce publish --documents-only"


@contextmanager
def running(name: str, arm: str | None = None) -> Iterator[Study]:
    """Yield the checked study, which must have the `arm`; announce the stage and log its time."""
    study = load_study()
    if arm is not None:
        known_arm(study, arm)
    check_ready(study.params)
    use_one_gpu(study.params)
    with stage(name, stage_order(study.arms)):
        yield study


@app.command(rich_help_panel=USE)
def check() -> None:
    """Validate the configuration and estimate the run time."""
    from reproduce.data.datasets import describe, text_sets
    from reproduce.evaluation.formatting import plural
    from reproduce.evaluation.results import MAIN_ARMS
    from reproduce.judges.llm_judge import build_llm_judge
    from reproduce.verify import check_environment, dvc_status

    study = load_study()
    if missing := [name for name in MAIN_ARMS if name not in study.arms]:
        print(f"tables: scores alone; those of the paper's study also need {', '.join(missing)}")
    # A missing key would be noticed hours later.
    build_llm_judge(study.params)
    print(
        f"profile {study.params.profile}: {plural(len(study.arms), 'arm')}, "
        f"{plural(len(study.params.seeds), 'seed')}"
    )
    if seconds := sum(expected.seconds for expected in read_timings().values()):
        print(f"about {format_duration(seconds)} on the reference machine")
    check_environment(study.folder / study.params.package)
    if not os.path.isfile(study.folder / study.params.lock):
        raise ConfigError(f"params.yaml: lock: there is no file {study.params.lock}")
    sets = {n: s for n, s in (study.params.data.sets or {}).items() if is_input(s.repo)}
    for counts in text_sets(sets, study.params.data.seed, study.params.data.verifiable)[2]:
        print(describe(counts))
    if own_inputs(study.params) and (study.folder / "dvc.lock").is_file():
        for stage_name, changes in dvc_status(study.folder).items():
            print(f"out of date: {stage_name} ({', '.join(changes)})")


@app.command(rich_help_panel=USE)
def summary(
    names: Annotated[list[str] | None, typer.Argument(help="arms; all that are finished")] = None,
    count: Annotated[int, typer.Option(min=0, help="sample responses per data set")] = 2,
) -> None:
    """Print scores and effects of the arms that are finished, next to the published ones."""
    from reproduce.evaluation.tables.make import write_summary
    from reproduce.reporting.explore import write_page
    from reproduce.verify import deciding_rows, print_effects

    study = load_study()
    for name in names or []:
        known_arm(study, name)
    print(write_summary(study, names or None, count))
    page = study.artifacts / "summary" / "explore.html"
    write_page(page.parent, page)
    if (page.parent / "claims.csv").is_file() and (study.paper / "tables" / "claims.csv").is_file():
        here, there = deciding_rows(page.parent), deciding_rows(study.paper / "tables")
        print_effects(here, {key: row for key, row in there.items() if key in here})
    print(f"responses side by side: {page}")


app.command(rich_help_panel=USE)(plan)
app.command(rich_help_panel=USE)(preflight)


@app.command(rich_help_panel=USE)
def verify() -> None:
    """Compare the results of this machine with the published ones."""
    from reproduce.verify import verify as compare

    raise typer.Exit(compare(load_study()))


@app.command(rich_help_panel=PIPELINE)
def data() -> None:
    """Make training, evaluation and pretraining texts."""
    with running("data") as study:
        from reproduce.data.prepare import make_data

        make_data(study.params, study.artifacts)


@app.command(rich_help_panel=PIPELINE)
def judges() -> None:
    """Prepare the entailment model and validate the judges."""
    with running("judges") as study:
        from reproduce.data.prepare import judge_examples
        from reproduce.validation.validate import make_judges

        sets = judge_examples(study.params, study.artifacts)
        make_judges(study.params, study.artifacts, *sets)


@app.command(rich_help_panel=PIPELINE)
def pretrain() -> None:
    """Pretrain a base model per seed, or import one."""
    with running("pretrain") as study:
        from reproduce.pretrain import pretrain as pretrain_models

        pretrain_models(study)


@app.command(rich_help_panel=PIPELINE)
def arm(name: Annotated[str, typer.Argument(help="for example ReSet")]) -> None:
    """Train and evaluate one arm, all seeds."""
    with running(name, name) as study:
        from reproduce.arms import run_arm

        run_arm(study, name)


@app.command(rich_help_panel=PIPELINE)
def candidates(start: Annotated[str, typer.Argument(help="the arm to sample from")]) -> None:
    """Sample ReSet's candidates from the models of an arm."""
    with running(f"candidates@{start}", start) as study:
        from reproduce.reset.sample import sample_candidates

        sample_candidates(study, start)


@app.command(rich_help_panel=PIPELINE)
def score(start: Annotated[str, typer.Argument(help="the arm that was sampled from")]) -> None:
    """Judge ReSet's candidates."""
    with running(f"score@{start}", start) as study:
        from reproduce.reset.score import score_candidates

        score_candidates(study, start)


@app.command(rich_help_panel=PIPELINE)
def tables() -> None:
    """Write every table and metrics.json."""
    with running("tables") as study:
        from reproduce.evaluation.tables.make import make_tables

        make_tables(study)


@app.command(rich_help_panel=PIPELINE)
def figures() -> None:
    """Draw every figure from the tables, and make the page to explore responses."""
    with running("figures") as study:
        from reproduce.reporting.explore import write_page
        from reproduce.reporting.figures import make_figures

        make_figures(study.artifacts / "tables", study.artifacts / "figures")
        write_page(study.artifacts / "tables", study.artifacts / "explore.html")


@app.command(rich_help_panel=PIPELINE)
def tracking() -> None:
    """Rebuild the MLflow database from the results here, else from the published runs."""
    from reproduce.tracking import track

    if "DVC_STAGE" in os.environ:
        with running("tracking") as study:
            track(study)
    else:
        track(load_study())


@app.command(hidden=True)
def train(job: Annotated[Path, typer.Argument(help="file of the run")]) -> None:
    """Carry out one training run: what a launcher starts on each device."""
    from reproduce.training.launch import run_job_file

    run_job_file(job)
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is on disk. Threads of the process group can abort a process at its end, and a
    # finished run would then count as failed.
    os._exit(0)


@app.command(rich_help_panel=MAINTAIN)
def publish(
    results: Annotated[bool, typer.Option(help="also the results of every seed")] = False,
    documents_only: Annotated[
        bool, typer.Option(help="only README, discussion and report")
    ] = False,
) -> None:
    """Copy tables and figures to paper/, and update everything derived from them."""
    from reproduce.publish import publish as publish_study

    publish_study(load_study(), results, documents_only)


@app.command(rich_help_panel=MAINTAIN)
def pin(
    name: Annotated[str, typer.Argument(help="owner/name on the Hugging Face Hub")],
    dataset: Annotated[bool, typer.Option(help="a data set, not a model")] = False,
) -> None:
    """Print the newest commit of a repository, as a line for params.yaml."""
    from reproduce.download import newest_commit

    print(f"revision: {newest_commit(name, dataset)}")


@app.command(rich_help_panel=MAINTAIN)
def train_judges() -> None:
    """Train the committed span reader again."""
    from reproduce.validation.reader_training import train_judges as train

    train()


def known_arm(study: Study, name: str) -> None:
    """Raise ConfigError with the closest names if there is no such arm."""
    if name not in study.arms:
        close = difflib.get_close_matches(name, study.arms, n=3, cutoff=0.4) or list(study.arms)
        raise ConfigError(f"no arm is called '{name}'; did you mean {', '.join(close)}?")


def main() -> None:
    """Run the command in sys.argv; an expected error becomes one message and exit code 1."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    # Whether there is a GPU is asked without opening it: a process that did could not fork.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    if not Path("/dev/nvidiactl").exists():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed warns at every import
    try:
        app(prog_name="reproduce")
    except (UserError, FloatingPointError, OSError) as error:
        print(f"reproduce: {error}", file=sys.stderr)
        sys.exit(1)
