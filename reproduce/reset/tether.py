"""A command that ends with this process, however that ends, together with all that it started.

A server holds a GPU, so it must not outlive a stage that was killed, and a killed process cannot
clean up. Between the two stands a process that holds one end of a pipe: when the other end goes
away, by whatever death, it ends the command's process group.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Any

GRACE = 20.0
"""Seconds that the command gets to end by itself before it is killed."""


@contextlib.contextmanager
def tethered(command: Sequence[str], output: IO[Any]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command, its words going to `output`; end it and all that it started on leaving.

    What is yielded ends when the command does.
    """
    tether = [sys.executable, "-m", __name__, *command]
    holder = subprocess.Popen(
        tether, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
    )
    try:
        yield holder
    finally:
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait()


def main(command: Sequence[str]) -> int:
    """Run a command until it ends or standard input does; return its exit status.

    127 with a line of explanation where it cannot be started.
    """
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    threading.Thread(target=_end_with_input, args=(process,), daemon=True).start()
    status = process.wait()
    _signal(process, signal.SIGKILL)  # What it started and left behind.
    return status


def _end_with_input(process: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1):
        pass
    _signal(process, signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
