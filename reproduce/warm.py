"""A process that has the heavy libraries imported, so that each stage need not import them.

Importing torch and the Trainer takes some seconds; a study has some dozens of stages, and
`dvc repro` starts a process for each. The first stage starts this server; it imports libraries
only, never this package, and forks for each command, so a command always runs today's code.
The server ends after two idle minutes. Set REPRODUCE_COLD=1 to do without it.
"""

import contextlib
import hashlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

LIBRARIES = (
    "torch",
    "numpy",
    "pandas",
    "datasets",
    "transformers",
    "transformers.trainer",
    "transformers.models.llama.modeling_llama",
    "rouge_score.rouge_scorer",
    "deepspeed",  # accelerate imports it to ask whether a model is one of its engines
)
READ_AT_IMPORT = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "XDG_CACHE_HOME")
"""How the variables begin that the libraries read once, when they are imported."""

IDLE = 120.0
"""Seconds without a command after which the server ends."""

START = 60.0
"""Seconds to wait for the server to come up before a command runs without it."""

KILLED = 128 + signal.SIGKILL


def run(arguments: list[str]) -> int | None:
    """Run a command of the package in a fork of the server and return its exit status.

    None if there is no server to be had: the caller then runs the command itself.
    """
    if not sys.platform.startswith("linux") or os.environ.get("REPRODUCE_COLD", "0") != "0":
        return None
    try:
        connection = _connect(_address())
    except OSError:
        return None
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    with connection:
        try:
            socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
        except OSError:  # the server has just ended
            return None
        status = connection.recv(16)
    return int(status) if status else KILLED


def serve(address: str) -> None:
    """Import the libraries, then fork for each command that arrives at `address`, until idle."""
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):  # what is not installed is not needed either
            importlib.import_module(library)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        # Bound under another name first: whoever finds the address finds it listening.
        draft = f"{address}.{os.getpid()}"
        listener.bind(draft)
        listener.listen()
        listener.settimeout(IDLE)
        own = os.stat(draft).st_ino
        os.replace(draft, address)
        try:
            while True:
                connection, _ = listener.accept()
                if os.fork() == 0:
                    listener.close()
                    os._exit(_supervise(connection))
                connection.close()
        except TimeoutError:
            # Only its own name: another server may have taken the address since.
            if Path(address).exists() and os.stat(address).st_ino == own:
                Path(address).unlink(missing_ok=True)


def _address() -> str:
    # One server for each interpreter, state of its libraries, what they read as they are imported
    # and copy of this package, in a folder of the user's own.
    folder = Path(tempfile.gettempdir()) / f"reproduce-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    libraries = Path(os.__file__).parent
    for entry in sys.path:
        if entry.endswith("site-packages"):
            libraries = Path(entry)
    here = Path(__file__).resolve()
    parts = [sys.executable, libraries.stat().st_mtime_ns, here, here.stat().st_mtime_ns]
    parts += [item for item in sorted(os.environ.items()) if item[0].startswith(READ_AT_IMPORT)]
    state = "\n".join(map(str, parts))
    return str(folder / f"{hashlib.sha256(state.encode()).hexdigest()[:16]}.sock")


def _connect(address: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
        return connection
    except OSError:
        connection.close()
    with open(os.devnull, "r+b") as null:
        server = subprocess.Popen(
            [sys.executable, "-m", "reproduce.warm", address],
            stdin=null, stdout=null, stderr=null, start_new_session=True,
        )  # fmt: skip
    until = time.monotonic() + START
    while time.monotonic() < until and server.poll() is None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(address)
            return connection
        except OSError:
            connection.close()
            time.sleep(0.05)
    raise ConnectionError("the server did not come up")


def _supervise(connection: socket.socket) -> int:
    """Run one command in a process group of its own; end it when the caller goes away."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, files, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while not message.endswith(b"\n"):
        more = connection.recv(1 << 16)
        if not more:
            return 1
        message += more
    worker = os.fork()
    if worker == 0:
        os.setpgid(0, 0)
        connection.close()
        _work(json.loads(message), files)
    with contextlib.suppress(OSError):
        os.setpgid(worker, worker)  # here too: the group must exist before anybody ends it
    for file in files:
        os.close(file)
    connection.settimeout(0.02)
    while True:
        done, status = os.waitpid(worker, os.WNOHANG)
        if done:
            connection.settimeout(None)
            code = os.waitstatus_to_exitcode(status)
            connection.sendall(str(code if code >= 0 else 128 - code).encode())
            return 0
        if _gone(connection):
            os.killpg(worker, signal.SIGKILL)
            return 1


def _gone(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True


def _work(request: dict[str, object], files: list[int]) -> None:
    for target, source in enumerate(files):
        os.dup2(source, target)
    os.chdir(str(request["folder"]))
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    sys.argv = ["reproduce", *request["arguments"]]  # type: ignore[misc]
    status = 1
    try:
        from reproduce.cli import command

        status = command()
    except Exception:
        traceback.print_exc()  # Python would, had the process ended by itself.
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
