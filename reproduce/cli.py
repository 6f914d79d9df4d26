"""The commands of the study, one for each step; `dvc repro` calls them in order."""

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from reproduce import warm
from reproduce.config import (
    ConfigError,
    Params,
    by_key,
    load_claims,
    load_experiments,
    load_params,
    refuse_unpinned,
    refuse_unset,
)
from reproduce.planning.plan.command import plan
from reproduce.planning.preflight.command import preflight
from reproduce.study import ARTIFACTS, DATABASE, LOG, PAPER, RESULTS, Settings, settings
from reproduce.utils.files import UnusableFile, put_aside, write_json
from reproduce.utils.formatting import plural
from reproduce.utils.hardware import in_words, keep_to_one_gpu, resolved
from reproduce.utils.stage_log import made_here, save_expected
from reproduce.utils.stages import LAST, forecast, mark_run, stage, stages

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

OTHER_FOLDER = "nothing was changed; copy the repository to a folder that you may write to"
UNWRITABLE = {
    errno.EACCES: OTHER_FOLDER,
    errno.EPERM: OTHER_FOLDER,
    errno.EROFS: OTHER_FOLDER,
    errno.ENOSPC: "nothing was replaced; make room on the disk and run the command again",
}
"""Errors of the system that say that a place cannot be written to, with what to do."""


@contextlib.contextmanager
def step(name: str) -> Iterator[Settings]:
    """Yield the checked parameters and arms, with a line of progress and an entry in the log."""
    params, experiments = settings()
    refuse_unpinned(params)
    refuse_unset(params)
    if name != "candidates":  # whose server may take several
        keep_to_one_gpu(params)
    with stage(name, LOG, stages(experiments)):
        yield resolved(params), experiments


@app.command()
def check() -> None:
    """Check params.yaml and experiments.yaml and say what the study consists of."""
    from reproduce.evaluation.results import refuse_incomplete

    params, experiments = settings()
    refuse_incomplete(experiments)
    if params.judging.rated:
        from reproduce.judges.panel import rater_of

        # Its key is needed hours later, and missed now.
        rater_of(params.judging, params.servers.judge)
    arms = sum(map(len, experiments.values()))
    sizes = f"{plural(len(experiments), 'experiment')}, {plural(arms, 'arm')}"
    print(f"profile {params.profile}: {sizes}, {plural(len(params.seeds), 'seed')}")
    if said := forecast(stages(experiments)):
        print(said)
    if said := in_words(params):
        print(said)
    _refuse_misplaced(params)


def _refuse_misplaced(params: Params) -> None:
    from reproduce.staleness import misplaced

    if found := misplaced(Path(params.package)):
        raise UnusableFile(found[0])


app.command()(plan)
app.command()(preflight)


@app.command()
def data() -> None:
    """Make pretraining texts, training sets and evaluation sets."""
    from reproduce.data.prepare import make_data

    with step("data") as (params, _):
        make_data(params.data, params.validation, ARTIFACTS)


@app.command()
def entailment() -> None:
    """Make the judges' entailment model and measure the judges on right and wrong responses."""
    from reproduce.judges.prepare_judges import make_entailment

    with step("entailment") as (params, _):
        make_entailment(params, ARTIFACTS)


@app.command()
def base() -> None:
    """Pretrain a base model for each seed, or import one."""
    from reproduce.base import make_base

    with step("base") as (params, _):
        make_base(params, ARTIFACTS / "training", ARTIFACTS / "pretraining", ARTIFACTS / "base")


@app.command()
def arm(name: Annotated[str, typer.Argument(help="experiment/arm")]) -> None:
    """Train and evaluate one arm, all seeds."""
    from reproduce.arms import run_arm

    with step(name) as (params, experiments):
        arms = by_key(experiments)
        if name not in arms:
            raise ConfigError(f"no arm is called '{name}'; there are: {', '.join(arms)}")
        run_arm(params, name, arms[name], ARTIFACTS)


@app.command()
def train(job: Annotated[Path, typer.Argument(help="file of the run")]) -> None:
    """Carry out one training run: what a launcher starts on each device."""
    from reproduce.training.launch import read_job, run_job

    run_job(read_job(job))
    sys.stdout.flush()
    sys.stderr.flush()
    # All of it is on disk; threads of the process group have been seen to abort a process at its
    # end, and a run that was done would have counted as failed.
    os._exit(0)


@app.command()
def pin(
    name: Annotated[str, typer.Argument(help="owner/name on the hub")],
    dataset: Annotated[bool, typer.Option(help="it is a data set, not a model")] = False,
) -> None:
    """Ask the hub for the newest commit of a repository, as a line for params.yaml."""
    from reproduce.snapshot import newest

    print(f"revision: {newest(name, dataset)}")


@app.command()
def candidates(start: Annotated[str, typer.Argument(help="experiment/arm to sample")]) -> None:
    """Sample ReSet's candidates from the models of an arm."""
    from reproduce.reset.sample import sample_candidates

    with step("candidates") as (params, _):
        sample_candidates(params, ARTIFACTS / start, ARTIFACTS / "candidates")


@app.command()
def score() -> None:
    """Judge ReSet's candidates."""
    from reproduce.reset.score import score_candidates

    with step("score") as (params, _):
        folders = (ARTIFACTS / name for name in ("candidates", "entailment", "scores"))
        score_candidates(params, *folders)


@app.command()
def tables() -> None:
    """Write every table from the artifacts."""
    from reproduce.evaluation.tables.make import make_tables

    with step("tables") as (params, experiments):
        asked = load_claims(Path(params.claims), experiments)
        make_tables(params, experiments, asked, ARTIFACTS, PAPER / "tables")


@app.command()
def figures() -> None:
    """Draw every figure from the tables."""
    from reproduce.reporting.figures import make_figures

    with step("figures"):
        make_figures(PAPER / "tables", PAPER / "figures")


@app.command()
def tracking() -> None:
    """Log every run to MLflow; runs that are there already are left alone."""
    from reproduce.records import keep_runs, kept_runs, runs_here
    from reproduce.stage_records import stage_runs
    from reproduce.tracking import track

    params, experiments = settings()
    kept = PAPER / "runs.jsonl"
    arms = by_key(experiments)
    made = sum((ARTIFACTS / arm).exists() for arm in arms)
    if kept.is_file() and made < len(arms) and "DVC_STAGE" not in os.environ:
        print(
            f"{made} of {len(arms)} arms were run here: until all are (`dvc repro`), the runs come "
            f"from {kept}, without their responses"
        )
        track(params.profile, kept_runs(kept), ARTIFACTS, PAPER / "tables")
        return
    # Called by hand it may have nothing to do, and its time would tell nothing.
    timed = stage("tracking", LOG, stages(experiments))
    with timed if "DVC_STAGE" in os.environ else contextlib.nullcontext():
        runs = stage_runs(params, ARTIFACTS) | runs_here(params, experiments, ARTIFACTS)
        keep_runs(kept, runs)
        receipt = track(params.profile, runs, ARTIFACTS, PAPER / "tables")
        write_json(ARTIFACTS / "tracking.json", receipt)


@app.command()
def readme(
    path: Annotated[Path, typer.Option(help="file with the markers")] = Path("README.md"),
) -> None:
    """Write the results of this profile into the README, between its markers."""
    from reproduce.reporting.readme import refresh

    refresh(path, Path())


@app.command()
def paper(
    root: Annotated[Path, typer.Option(help="folder of the repository")] = Path(),
) -> None:
    """Write the report (paper/report) from the committed tables of every profile."""
    from reproduce.reporting.report import build_report

    build_report(root, root / "paper" / "report")


@app.command()
def summary(
    names: Annotated[list[str] | None, typer.Argument(help="experiment/arm, ...")] = None,
    count: Annotated[int, typer.Option(min=0, help="sample responses a data set")] = 2,
) -> None:
    """Write a table and sample responses of some arms, by default of all that are there."""
    from reproduce.evaluation.tables.summary import write_summary

    params, experiments = load_params(), load_experiments()
    wanted = {
        e: {a: arm for a, arm in found.items() if (ARTIFACTS / e / a).is_dir()
            and (not names or f"{e}/{a}" in names)}
        for e, found in experiments.items()
    }  # fmt: skip
    there = by_key(wanted)
    if missing := set(names or []) - set(there):
        raise ConfigError(f"no such arm, or not finished: {', '.join(sorted(missing))}")
    if not there:
        raise ConfigError(f"none of the arms is in {ARTIFACTS} yet; run `dvc repro`")
    asked = load_claims(Path(params.claims), experiments)
    print(write_summary(params, wanted, asked, ARTIFACTS, PAPER / "summary", count))


@app.command()
def expect(
    beside: Annotated[
        bool, typer.Option(help="leave it as it is, and add what came out on this machine")
    ] = False,
) -> None:
    """Keep the results that are here as what to expect (paper/expected.json)."""
    from reproduce import verify as comparison
    from reproduce.staleness import faults

    params, experiments = settings()
    if found := faults(params, experiments, ARTIFACTS):
        raise UnusableFile("; ".join(found))
    if not made_here(LOG, [name for name in stages(experiments) if name not in LAST]):
        raise UnusableFile(
            f"{ARTIFACTS}: not all of it was made on this machine ({LOG} tells), so this machine "
            "has nothing to say of it; `dvc repro --force --no-run-cache` makes it here"
        )
    if beside:
        kept = comparison.beside(comparison.read_expectations(RESULTS), PAPER, ARTIFACTS)
    else:
        made = comparison.expectations(PAPER, ARTIFACTS, by_key(experiments))
        kept = comparison.merged(made, RESULTS)
    write_json(RESULTS, kept)


@app.command()
def verify(
    rerun: Annotated[
        bool,
        typer.Option(
            help="run every stage again, no cache but of ratings, and compare with what was here"
        ),
    ] = False,
    same_bytes: Annotated[bool, typer.Option(help="fail unless every byte is the same")] = False,
) -> None:
    """Compare the results that are here with what to expect, claim by claim and file by file."""
    from reproduce import verify as comparison
    from reproduce.index import state_of_index
    from reproduce.stage_records import hashes_here
    from reproduce.staleness import faults

    params, experiments = load_params(), load_experiments()
    if rerun:
        from reproduce.judges.panel import CACHE

        # Before the work: what is missing, and code of another place.
        expected = comparison.expectations(PAPER, ARTIFACTS, by_key(experiments))
        _refuse_misplaced(params)
        command = [sys.executable, "-m", "dvc", "repro", "dvc.yaml", "--force", "--no-run-cache"]
        with put_aside(CACHE):
            status = subprocess.run(command, check=False).returncode
        if status:
            raise typer.Exit(status)
    else:
        expected = comparison.read_expectations(RESULTS)
    found = comparison.verify(expected, PAPER, ARTIFACTS)
    print(comparison.as_text(found))
    wrong = faults(params, experiments, ARTIFACTS)
    print(*(f"Fault: {each}" for each in wrong), sep="\n", end="\n" if wrong else "")
    # The index of runs is no result: it is built again at any time.
    if said := state_of_index(DATABASE, hashes_here(params, experiments, ARTIFACTS)):
        print(f"Note: {said}")
    if not found.holds or wrong or (same_bytes and not found.same_bytes):
        raise typer.Exit(1)


@app.command()
def timings() -> None:
    """Save the latest seconds and memory of every stage as what to expect (timings.csv)."""
    save_expected(LOG, stages(load_experiments()))


def command() -> int:
    """Run the command in sys.argv; return its exit status, an expected error being one message."""
    try:
        return int(app(prog_name="reproduce", standalone_mode=False) or 0)
    except typer.Abort:
        return 130
    except Exception as error:
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            place = f"{error.filename}: " if error.filename else ""
            print(f"reproduce: {place}{error.strerror}; {UNWRITABLE[error.errno]}", file=sys.stderr)
            return 1
        if not isinstance(error, _expected()):
            raise
        print(f"reproduce: {error}", file=sys.stderr)
        return 1


def _expected() -> tuple[type[Exception], ...]:
    # Classes of modules that are loaded only if the command needed them.
    names = (
        ("reproduce.utils.openai_client", "EndpointError"),
        ("reproduce.judges.panel", "TooMuchLost"),
        ("reproduce.tracking", "TrackingError"),
        ("reproduce.judges.validation", "Unsound"),
    )
    usage = type(typer.BadParameter("")).__mro__[1]
    known = (usage, ConfigError, UnusableFile, FloatingPointError)
    return (*known, *(getattr(sys.modules[m], n) for m, n in names if m in sys.modules))


HEAVY = {"base", "entailment", "arm", "candidates", "score", "tables", "summary"}
"""Commands that run in a fork of the warm server."""


def main() -> None:
    """Entry point: heavy commands go to the warm server where there is one."""
    mark_run()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    # Whether there is a GPU is asked without opening it: a process that did could not fork.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    if not Path("/dev/nvidiactl").exists():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed warns at every import
    status = None
    if len(sys.argv) > 1 and sys.argv[1] in HEAVY and "--help" not in sys.argv:
        status = warm.run(sys.argv[1:])
    sys.exit(command() if status is None else status)
