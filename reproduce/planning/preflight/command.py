"""The command `reproduce preflight`."""

from pathlib import Path
from typing import Annotated

import typer


def preflight(
    nodes: Annotated[int, typer.Option(min=1, help="machines that train together")] = 1,
    steps: Annotated[
        bool, typer.Option(help="take a training step in each shape, through the launcher")
    ] = False,
) -> None:
    """Check, line by line, that the study can run here; fails if any line does."""
    from reproduce.planning.preflight.hub import hub_checks
    from reproduce.planning.preflight.lines import as_text, carried_out
    from reproduce.planning.preflight.machine import machine_checks
    from reproduce.planning.preflight.servers import secrets, server_checks
    from reproduce.planning.preflight.steps import step_checks
    from reproduce.study import ARTIFACTS, settings
    from reproduce.utils.hardware import keep_to_one_gpu, resolved

    params, experiments = settings()
    keep_to_one_gpu(params)
    params = resolved(params)
    checks = {
        **hub_checks(params),
        **machine_checks(params, experiments, nodes),
        **server_checks(params),
        **step_checks(params, ARTIFACTS / Path("base"), steps),
    }
    found = carried_out(checks, secrets(params))
    print(as_text(found))
    if any(line.status == "fail" for line in found):
        raise typer.Exit(1)
