"""Candidates from a server that the pipeline starts and stops: a made-up one, and a real one."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from reproduce.reset.served import options, served

from reproduce.config import (
    Candidates,
    Decoding,
    Generation,
    JudgeServer,
    Params,
    Rated,
    SamplerServer,
    Served,
    Servers,
    load_params,
)
from reproduce.judges.llm_judge import rater
from reproduce.reset.sample import sample_candidates
from reproduce.schema import Example, read_examples, write_examples
from reproduce.utils.files import read_rows, sealed_folder, write_json
from reproduce.utils.openai_client import EndpointError

ROOT = Path(__file__).parent.parent
BOUNDS = Generation(max_new_tokens=8, batch_size=8)
QUICK = SamplerServer(attempts=1, concurrency=4, patience=60.0)
WARM = Decoding(temperature=0.9, top_k=7, top_p=0.8, samples=3)
EXAMPLES = [Example("a", "instruction", f"Order {n}.", "gold") for n in range(3)]

SERVER = """
import json, os, pathlib, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

log, model, port, mode = sys.argv[1:]
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(log + ".pids").write_text(f"{os.getpid()} {child.pid}")
if mode == "dies":
    print("no such device")
    sys.exit(3)


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        ready = mode != "never" and not (mode == "models" and self.path == "/health")
        self.reply(200 if ready else 500, b"{}")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with open(log, "a") as stream:
            stream.write(json.dumps(body) + "\\n")
        if mode == "breaks":
            print("out of memory", flush=True)
            return self.reply(400, b'{"error": {"message": "too long"}}')
        text = f"  {body['messages'][0]['content']} {body.get('seed')}\\n"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}}
        self.reply(200, json.dumps({"model": model, "choices": [choice]}).encode())


ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""


@pytest.fixture
def made_up(tmp_path: Path) -> Callable[..., Served]:
    """Return settings of a server that writes down what it is asked."""
    program = tmp_path / "server.py"
    program.write_text(SERVER)

    def make(mode: str = "well") -> Served:
        command = f"{sys.executable} {program} {tmp_path / 'log'} {{model}} {{port}} {mode}"
        return Served(command=command)

    return make


def asked(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


def gone(tmp_path: Path) -> bool:
    """Return whether the server and what it started have ended, given 10 seconds."""
    pids = [int(pid) for pid in (tmp_path / "log.pids").read_text().split()]
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if not any(map(alive, pids)):
            return True
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("mode", ["well", "models"])
def test_samples_come_in_order_and_stripped(
    mode: str, made_up: Callable[..., Served], tmp_path: Path
) -> None:
    with served(made_up(mode), QUICK, tmp_path, BOUNDS) as drawn:
        found = drawn(EXAMPLES, WARM, 5)
        assert drawn(EXAMPLES, WARM, 5) == found
        assert drawn(EXAMPLES[::-1], WARM, 5) == found[::-1]
        assert drawn(EXAMPLES, WARM, 6) != found
    assert gone(tmp_path)
    assert [len(drawn) for drawn in found] == [3, 3, 3]
    seeds = [one.text.removeprefix(e.prompt + " ")
             for e, drawn in zip(EXAMPLES, found, strict=True) for one in drawn]  # fmt: skip
    assert len(set(seeds)) == 9 and all(0 <= int(seed) < 2**31 for seed in seeds)


def test_a_request_says_the_whole_decoding(made_up: Callable[..., Served], tmp_path: Path) -> None:
    with served(made_up(), QUICK, tmp_path / "a model", BOUNDS) as drawn:
        drawn(EXAMPLES[:1], WARM.model_copy(update={"samples": 1}), 5)
    (body,) = asked(tmp_path)
    assert isinstance(body.pop("seed"), int)
    assert body == {
        "model": str(tmp_path / "a model"), "max_tokens": 8, "temperature": 0.9, "top_p": 0.8,
        "top_k": 7, "messages": [{"role": "user", "content": "Order 0."}],
    }  # fmt: skip


def test_no_bound_on_top_k_is_said_as_every_vllm_takes_it() -> None:
    settings = Served(command="serve {model} {port}")
    assert options(settings, Decoding(temperature=1))["extra_body"] == {"top_k": -1}


@pytest.mark.parametrize(
    ("decoding", "expected"),
    [
        (WARM, {"do_sample": True, "temperature": 0.9, "top_p": 0.8, "top_k": 7}),
        (Decoding(temperature=1.5),
         {"do_sample": True, "temperature": 1.5, "top_p": 1.0, "top_k": 0}),
        (Decoding(temperature=0), {"do_sample": False}),
    ],
)  # fmt: skip
def test_transformers_is_told_to_sample(decoding: Decoding, expected: dict[str, Any]) -> None:
    settings = Served(command="serve {model} {port}", speaks="transformers")
    (given,) = options(settings, decoding)["extra_body"].values()
    assert json.loads(given) == expected


def test_a_server_that_dies_at_start_says_its_last_words(
    made_up: Callable[..., Served], tmp_path: Path
) -> None:
    with pytest.raises(EndpointError) as found, served(made_up("dies"), QUICK, tmp_path, BOUNDS):
        raise AssertionError("is not reached")
    assert "ended with status 3" in str(found.value) and "no such device" in str(found.value)
    assert gone(tmp_path)


def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    settings = Served(command="no-such-server {model} {port}")
    with pytest.raises(EndpointError, match=r"status 127(.|\n)*no-such-server: No such file"):
        served(settings, QUICK, tmp_path, BOUNDS).__enter__()


def test_patience_ends(made_up: Callable[..., Served], tmp_path: Path) -> None:
    hasty = SamplerServer(patience=1.5)
    with pytest.raises(EndpointError, match=r"within 1.5 s \(servers\.sampler\.patience\)"):
        served(made_up("never"), hasty, tmp_path, BOUNDS).__enter__()
    assert gone(tmp_path)


def test_a_refused_request_stops_the_server_and_repeats_its_words(
    made_up: Callable[..., Served], tmp_path: Path
) -> None:
    with (
        pytest.raises(EndpointError, match=r"status 400: too long(.|\n)*out of memory"),
        served(made_up("breaks"), QUICK, tmp_path, BOUNDS) as drawn,
    ):
        drawn(EXAMPLES, WARM, 5)
    assert gone(tmp_path)


def test_raw_prompts_are_refused(made_up: Callable[..., Served], tmp_path: Path) -> None:
    with (
        served(made_up(), QUICK, tmp_path, BOUNDS) as drawn,
        pytest.raises(EndpointError, match="plain"),
    ):
        drawn([replace(EXAMPLES[0], raw=True)], WARM, 5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_server_goes_with_the_pipeline_however_that_ends(
    number: int, made_up: Callable[..., Served], tmp_path: Path
) -> None:
    code = textwrap.dedent(f"""
        import signal, time
        from pathlib import Path
        from reproduce.config import Generation, SamplerServer, Served
        # A shell that starts the tests in the background has them ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from reproduce.reset.served import served
        bounds = Generation(max_new_tokens=8, batch_size=8)
        settings = Served.model_validate_json({made_up().model_dump_json()!r})
        with served(settings, SamplerServer(), Path("model"), bounds):
            print("ready", flush=True)
            time.sleep(600)
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout and process.stdout.readline() == b"ready\n"
    os.kill(process.pid, number)
    assert process.wait(30) != 0
    assert gone(tmp_path)


def arm(folder: Path, model: Any, tokenizer: Any, examples: list[Example]) -> None:
    """Write what candidates are sampled from: an arm's training examples and its model."""
    with sealed_folder(folder) as draft:
        write_examples(draft / "seed-0" / "train.jsonl", examples)
        write_json(draft / "record.json", {"training": {"max_length": 512}})
        model.save_pretrained(draft / "seed-0" / "model")
        tokenizer.save_pretrained(draft / "seed-0" / "model")


def sampling(strategies: dict[str, Decoding], settings: Served | None) -> Params:
    params = load_params(ROOT / "params.yaml")
    wanted = Candidates(prompts=2, strategies=strategies, served=settings)
    hardware = params.hardware.model_copy(update={"workers": 1, "threads": 1})
    changes = {"seeds": [0], "candidates": wanted, "generation": BOUNDS, "hardware": hardware,
               "servers": Servers(sampler=QUICK)}  # fmt: skip
    return params.model_copy(update=changes)


def examples_of(training: dict[str, list[Example]]) -> list[Example]:
    return [e for found in training.values() for e in found[:4]]


def test_the_files_are_those_of_sampling_in_this_process(
    made_up: Callable[..., Served], sharp_model: Any, tokenizer: Any, training: Any, tmp_path: Path
) -> None:
    arm(tmp_path / "arm", sharp_model, tokenizer, examples_of(training))
    strategies = {"greedy": Decoding(temperature=0), "warm": WARM}
    for name, settings in (("here", None), ("there", made_up())):
        sample_candidates(sampling(strategies, settings), tmp_path / "arm", tmp_path / name)
    here, there = (read_rows(tmp_path / name / "candidates-0.jsonl") for name in ("here", "there"))
    made_here = {"response": "", "ended": True}
    assert [{**row, **made_here} for row in here] == [{**row, **made_here} for row in there]
    prompts = [read_examples(tmp_path / name / "prompts-0.jsonl") for name in ("here", "there")]
    assert prompts[0] == prompts[1]
    texts = {e.id: e.prompt for e in prompts[0]}
    assert all(row["response"].startswith(texts[row["example"]].strip()) for row in there)


needs_serving = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("fastapi", "uvicorn")),
    reason="`transformers serve` needs fastapi and uvicorn",
)
TRANSFORMERS = (
    f"{Path(sys.executable).parent / 'transformers'} serve {{model}} --port {{port}} --device cpu"
)


@needs_serving
def test_a_real_server_draws_and_judges(
    sharp_model: Any, tokenizer: Any, training: Any, tmp_path: Path
) -> None:
    """Greedy responses are those of this process; sampled ones come again with their seeds."""
    arm(tmp_path / "arm", sharp_model, tokenizer, examples_of(training))
    greedy = Decoding(temperature=0)
    sample_candidates(sampling({"greedy": greedy}, None), tmp_path / "arm", tmp_path / "here")
    here = read_rows(tmp_path / "here" / "candidates-0.jsonl")
    prompts = read_examples(tmp_path / "here" / "prompts-0.jsonl")
    # One at a time: this server has one stream of chance for all that is under way.
    settings = Served(command=TRANSFORMERS, speaks="transformers")
    alone = SamplerServer(concurrency=1, patience=120.0)
    with served(settings, alone, tmp_path / "arm" / "seed-0" / "model", BOUNDS) as drawn:
        found = [(one.text, one.ended) for (one,) in drawn(prompts, greedy, 7)]
        assert found == [(row["response"], row["ended"]) for row in here]
        warm = drawn(prompts[:4], WARM, 7)
        assert drawn(prompts[:4], WARM, 7) == warm != drawn(prompts[:4], WARM, 8)
        assert all(len(set(texts)) > 1 for texts in warm)
        endpoint = drawn.args[0]  # type: ignore[attr-defined]
        server = JudgeServer(url=endpoint.url, key="", budget=2)
        judge = Rated(model=endpoint.model, max_tokens=4)
        # A model of a few thousand random weights rates nothing, but it answers.
        asked = [("Say hello.", "Hello."), ("Say hello.", "No.")]
        assert rater(judge, server, tmp_path / "ratings")(asked) == [None, None]
    assert rater(judge, server, tmp_path / "ratings")(asked) == [None, None]  # The server is gone.


def test_the_documentation_gives_settings_that_are_accepted() -> None:
    text = (ROOT / "docs" / "served.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(part.split("```")[0]) for part in text.split("```yaml\n")[1:]]
    assert blocks
    for block in blocks:
        Servers(**block.get("servers", {}))
        if "judging" in block:
            Rated(**block["judging"]["rated"])
        if "candidates" in block:
            Served(**block["candidates"]["served"])
