"""The warm server: a command behaves as if it ran alone, and dies with its caller.

Servers of these tests live in a folder of their own, import nothing heavy, and in place of the
package's commands run those of COMMANDS.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reproduce import warm

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")

ROOT = Path(__file__).parent.parent
SERVER = """
import os, sys, time, types
from reproduce import warm

def command():
    name, *words = sys.argv[1:]
    if name == "say":
        print("out", *words, os.getcwd(), os.environ.get("MARK"), flush=True)
        print("err", file=sys.stderr)
        print("in", sys.stdin.read())
        return 0
    if name == "status":
        return int(words[0])
    if name == "raise":
        raise RuntimeError("broken")
    if name == "die":
        os.kill(os.getpid(), 9)
    if name == "tick":
        os.fork()
        while True:
            with open(words[0], "a") as stream:
                stream.write("x")
            time.sleep(0.01)

warm.LIBRARIES, warm.IDLE = (), float(sys.argv[2])
if sys.argv[3] == "fake":
    cli = types.ModuleType("reproduce.cli")
    cli.command = command
    sys.modules["reproduce.cli"] = cli
warm.serve(sys.argv[1])
"""
CALLER = "import sys; from reproduce import warm; sys.exit(warm.run(sys.argv[1:]))"


@pytest.fixture
def environment(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """Yield the environment of a caller with a folder for servers of its own.

    At the end every process that was started with that environment is killed.
    """
    folder = tmp_path_factory.mktemp("warm")
    monkeypatch.delenv("REPRODUCE_COLD", raising=False)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield dict(os.environ)
    mark = f"TMPDIR={folder}".encode()
    quiet = 0
    while quiet < 3:
        left = [
            process
            for process in processes()
            if mark in began_with(process) and process != os.getpid()
        ]
        for process in left:
            kill(process)
        quiet = 0 if left else quiet + 1
        time.sleep(0.02)


@pytest.fixture
def start(environment: dict) -> Iterator[Callable[..., subprocess.Popen]]:
    """Return a starter of servers with the fake commands or the real ones."""
    started: list[subprocess.Popen] = []

    def call(idle: float = 30, cli: str = "fake") -> subprocess.Popen:
        address = warm._address()
        words = [sys.executable, "-c", SERVER, address, str(idle), cli]
        started.append(subprocess.Popen(words, env=environment, start_new_session=True))
        wait(lambda: Path(address).exists())
        return started[-1]

    yield call
    for server in started:
        server.kill()
        server.wait()


def kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def began_with(process: int) -> list[bytes]:
    """Return the environment that a process was started with, or its parent if it was forked."""
    try:
        return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def wait(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


def children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children")
    return [int(word) for word in found.read_text().split()] if found.exists() else []


def call(environment: dict, *words: str, **more) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", CALLER, *words],
        env=environment, capture_output=True, text=True, timeout=30, **more,
    )  # fmt: skip


def connect() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(warm._address())
    return connection


def grows(path: Path) -> bool:
    before = path.stat().st_size if path.exists() else 0
    time.sleep(0.2)
    return path.exists() and path.stat().st_size > before


@pytest.mark.parametrize("status", [0, 1, 3, 130])
def test_the_status_of_a_command_comes_back(start, environment: dict, status: int) -> None:
    start()
    assert call(environment, "status", str(status)).returncode == status


def test_output_input_folder_and_environment_are_the_callers(
    start, environment: dict, tmp_path: Path
) -> None:
    start()
    for mark in ("one", "two"):
        folder = tmp_path / mark
        folder.mkdir()
        found = call({**environment, "MARK": mark}, "say", "a b", input="typed", cwd=folder)
        assert found.stdout == f"out a b {folder} {mark}\nin typed\n"
        assert found.stderr == "err\n"
        assert found.returncode == 0


def test_a_large_environment_arrives_whole(start, environment: dict) -> None:
    start()
    large = {**environment, **{f"LARGE_{n}": "x" * 100_000 for n in range(5)}, "MARK": "end"}
    assert call(large, "say", input="").stdout.split()[2] == "end"


@pytest.mark.parametrize("name", ["raise", "die"])
def test_a_command_that_breaks_has_no_good_status(start, environment: dict, name: str) -> None:
    server = start()
    broken = call(environment, name)
    assert broken.returncode != 0
    assert ("Traceback" in broken.stderr) == (name == "raise")
    assert call(environment, "status", "0").returncode == 0
    assert server.poll() is None


def test_a_command_of_the_package_runs(start, environment: dict, tmp_path: Path) -> None:
    start(cli="real")
    found = call(environment, "check", cwd=ROOT)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("profile tiny: 5 experiments")
    found = call(environment, "check", cwd=tmp_path)
    assert found.returncode == 1
    assert found.stderr.startswith("reproduce: params.yaml: missing")
    assert call(environment, "nonsense", cwd=ROOT).returncode == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_command_dies_with_its_caller(
    start, environment: dict, tmp_path: Path, how: signal.Signals
) -> None:
    server, ticks = start(), tmp_path / "ticks"
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, "tick", str(ticks)], env=environment, stderr=-3,
        # A shell lets what it starts in the background ignore interrupts, and all below it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    wait(lambda: grows(ticks))
    caller.send_signal(how)
    caller.wait(timeout=60)
    wait(lambda: not children(server.pid), 30)
    wait(lambda: not grows(ticks), 5)
    assert call(environment, "status", "4").returncode == 4


def request(words: list[str], folder: Path) -> bytes:
    return json.dumps({"arguments": words, "folder": str(folder), "environment": {}}).encode()


def test_a_command_dies_with_a_caller_that_is_gone_at_once(
    start, environment: dict, tmp_path: Path
) -> None:
    server, ticks = start(), tmp_path / "ticks"
    with open(os.devnull, "r+b") as null:
        for _ in range(30):
            with connect() as connection:
                message = request(["tick", str(ticks)], tmp_path) + b"\n"
                socket.send_fds(connection, [message], [null.fileno()] * 3)
    # Callers are served in the order they came: once this one is, none waits any more.
    assert call(environment, "status", "0").returncode == 0
    wait(lambda: not children(server.pid), 30)
    wait(lambda: not grows(ticks), 5)


@pytest.mark.parametrize("part", [0, 20])
def test_a_caller_that_goes_before_it_has_asked_leaves_nothing(
    start, environment: dict, tmp_path: Path, part: int
) -> None:
    server = start()
    with connect() as connection:
        connection.sendall(request(["status", "0"], tmp_path)[:part])
    time.sleep(0.2)
    wait(lambda: not children(server.pid), 2)


def test_an_idle_server_ends(start, environment: dict) -> None:
    server = start(idle=0.5)
    assert call(environment, "status", "0").returncode == 0
    assert server.wait(timeout=60) == 0
    assert not Path(warm._address()).exists()


def test_a_long_command_outlives_an_idle_server(start, environment: dict, tmp_path: Path) -> None:
    server, ticks = start(idle=0.3), tmp_path / "ticks"
    caller = subprocess.Popen([sys.executable, "-c", CALLER, "tick", str(ticks)], env=environment)
    try:
        server.wait(timeout=60)
        assert grows(ticks) and caller.poll() is None
    finally:
        caller.kill()
        caller.wait()
    wait(lambda: not grows(ticks), 5)


def test_the_end_of_an_idle_server_leaves_its_successor_alone(start, environment: dict) -> None:
    first, second = start(idle=1), start(idle=30)
    wait(lambda: first.poll() is not None)
    assert second.poll() is None
    assert Path(warm._address()).exists()


def test_a_caller_starts_a_server_of_its_own(
    environment: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The real server would import for seconds, so it is one that starts with nothing to import.
    light = tmp_path / "light"
    # It is called as `light -m reproduce.warm ADDRESS`.
    code = "import sys; sys.argv[1:] = [sys.argv[3], '1', 'fake']"
    light.write_text(f"#!{sys.executable}\n{code}\n{SERVER}")
    light.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(light))
    with warm._connect(warm._address()):
        assert Path(warm._address()).is_socket()
    wait(lambda: not Path(warm._address()).exists())


def test_another_copy_of_the_package_has_a_server_of_its_own(
    environment: dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = warm._address()
    other = Path(shutil.copy2(warm.__file__, tmp_path / "warm.py"))
    monkeypatch.setattr(warm, "__file__", str(other))
    assert warm._address() != here


def test_a_server_that_does_not_come_up_is_done_without(
    environment: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert warm.run(["check"]) is None


def test_the_folder_of_the_servers_is_private(environment: dict) -> None:
    folder = Path(warm._address()).parent
    assert str(folder).startswith(environment["TMPDIR"])
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_cold_run_has_no_server(environment: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRODUCE_COLD", "1")
    monkeypatch.setattr(warm, "_connect", lambda _: pytest.fail("asked for a server"))
    assert warm.run(["check"]) is None
    assert not list(Path(environment["TMPDIR"]).iterdir())


def test_another_system_has_no_server(environment: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert warm.run(["check"]) is None
