"""The checks before a study, against a hub and servers of our own."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from nested import put

from reproduce.cli import command
from reproduce.config import (
    Base,
    Hardware,
    JudgeServer,
    Params,
    Rated,
    Served,
    Servers,
    Training,
    load_experiments,
    load_params,
)
from reproduce.models.tokenization import prompt_ids
from reproduce.planning.preflight import hub, lines, machine, servers, steps
from reproduce.planning.preflight.hub import Pin
from reproduce.schema import Example, write_examples
from reproduce.utils.files import sealed_folder

ROOT = Path(__file__).parent.parent
SHA, OTHER = "a" * 40, "b" * 40
LOST = "http://127.0.0.1:1"
KEY = "sk-very-secret"

ANSWERS: dict[str, tuple[int, dict[str, str], Any]] = {
    f"/api/models/org/open/revision/{SHA}": (200, {}, {"id": "org/open", "sha": SHA}),
    f"/api/models/org/moved/revision/{SHA}": (200, {}, {"id": "org/moved", "sha": OTHER}),
    f"/api/datasets/org/text/revision/{SHA}": (200, {}, {"id": "org/text", "sha": SHA}),
    f"/api/models/org/shut/revision/{SHA}": (401, {"X-Error-Code": "GatedRepo"}, {}),
    f"/api/models/org/asks/revision/{SHA}": (200, {}, {"id": "a", "sha": SHA, "gated": "manual"}),
    "/api/models/org/asks/auth-check": (403, {"X-Error-Code": "GatedRepo"}, {}),
    f"/api/models/org/open/revision/{OTHER}": (404, {"X-Error-Code": "RevisionNotFound"}, {}),
    f"/api/models/org/broken/revision/{SHA}": (500, {}, {}),
    "/v1/models": (200, {}, {"data": [{"id": "judge"}, {"id": "other"}]}),
    "/odd/models": (200, {}, ["no", "list"]),
    f"/data/{SHA}/a.jsonl": (200, {}, {}),
}  # fmt: skip


class Answerer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        missing: tuple[int, dict[str, str], Any] = (404, {"X-Error-Code": "RepoNotFound"}, {})
        status, headers, body = ANSWERS.get(self.path.split("?")[0], missing)
        if self.path == "/locked/models":
            known = self.headers.get("Authorization") == f"Bearer {KEY}"
            status, headers, body = (200 if known else 401, {}, {"data": []})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(json.dumps(body).encode())

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of a hub and judge that answers with ANSWERS."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), Answerer)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    where = f"http://127.0.0.1:{made.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", where)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield where
    made.shutdown()
    made.server_close()


def told(**changes: Any) -> Params:
    """Return the nano profile; `changes` are by dotted names with __."""
    found = yaml.safe_load((ROOT / "tests" / "nano" / "params.yaml").read_text("utf-8"))
    return Params.model_validate(put(found, **changes))


def spread(**changes: Any) -> Params:
    """Return the nano profile on two devices with DeepSpeed."""
    hardware = {
        "workers": 1, "threads": 1, "threads_alone": 1, "devices": 2, "precision": "bf16",
        "deepspeed": str(ROOT / "deepspeed" / "zero3.json"), "launch": "torchrun --no-python",
    }  # fmt: skip
    return told(training__micro_batch_size=4, base__training__micro_batch_size=16,
                hardware={**hardware, **changes})  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "revision", "status", "said"),
    [
        ("model", "org/open", SHA, "pass", [SHA]),
        ("dataset", "org/text", SHA, "pass", ["org/text"]),
        ("model", "org/shut", SHA, "fail", ["gated", "licence", "/org/shut", "HF_TOKEN"]),
        ("model", "org/asks", SHA, "fail", ["gated", "licence", "/org/asks"]),
        ("model", "org/none", SHA, "fail", ["/org/none is not there", "check the name"]),
        ("dataset", "org/none", SHA, "fail", ["/datasets/org/none"]),
        ("model", "org/open", OTHER, "fail", [f"no commit {OTHER}", "/commits/main"]),
        ("model", "org/moved", SHA, "fail", [f"answers with {OTHER}"]),
        ("model", "org/broken", SHA, "fail", ["500"]),
    ],
)
def test_a_hub_is_asked_for_each_thing(
    server: str, kind: Any, name: str, revision: str, status: str, said: list[str]
) -> None:
    found, text = hub.reachable(Pin("base.published", name, revision, kind))
    assert found == status, text
    for part in said:
        assert part in text


def test_a_hub_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", LOST)
    status, said = hub.reachable(Pin("base.published", "org/open", SHA, "model"))
    assert status == "fail" and LOST in said and "HF_ENDPOINT" in said


def test_an_address_of_files_is_asked_too(server: str) -> None:
    assert hub.reachable(Pin("p", f"{server}/data", SHA, "dataset", "a.jsonl"))[0] == "pass"
    status, said = hub.reachable(Pin("p", f"{server}/nothing", None, "dataset"))
    assert status == "fail" and "404" in said


def test_offline_only_the_cache_counts(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    status, said = hub.reachable(Pin("p", "org/open", SHA, "model"))
    assert status == "fail" and "HF_HUB_OFFLINE" in said


def test_the_7b_profile_takes_nine_things(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "profiles" / "llama-7b")
    found = {pin.parameter: pin for pin in hub.wanted_of(load_params())}
    assert len(found) == 9 and found["base.published"].kind == "model"
    assert found["data.hub.sets.nq"].kind == "dataset"
    assert found["data.hub.sets.self-instruct"].file.endswith(".jsonl")


def test_what_has_no_revision_is_named() -> None:
    loose = Pin("judging.published", "org/open", None, "model")
    plain = Pin("data.hub.sets.s", "https://files.example/r", None, "dataset")
    status, said = hub.pinned([loose, plain, Pin("base.published", "org/open", SHA, "model")])
    assert status == "fail" and "judging.published: `reproduce pin org/open`" in said
    assert "data.hub.sets.s: look the newest commit up at its address" in said
    assert hub.pinned([Pin("base.published", "org/open", SHA, "model")])[0] == "pass"


def test_a_profile_without_a_hub_has_nothing_to_ask() -> None:
    (found,) = lines.carried_out(hub.hub_checks(told()))
    assert found.status == "not applicable"


def judge(url: str, model: str = "judge", key: str = "JUDGE_KEY") -> tuple[Rated, JudgeServer]:
    return Rated(model=model), JudgeServer(url=url, key=key, budget=1)


def test_the_judge_is_asked_for_its_models(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-any")
    assert servers.judge_answers(None, None)[0] == "not applicable"
    assert servers.judge_answers(*judge(f"{server}/v1")) == (
        "pass", f"{server}/v1/models answers and lists judge",
    )  # fmt: skip
    assert servers.judge_answers(*judge(f"{server}/odd"))[0] == "pass"
    for settings, part in (
        (judge(f"{server}/v1", model="gone"), "lists no 'gone'"),
        (judge(f"{server}/nowhere"), "status 404"),
        (judge(LOST), "no answer"),
        (judge(f"{server}/locked", key=""), "it asks for a key"),
    ):
        status, said = servers.judge_answers(*settings)
        assert status == "fail" and part in said


def test_a_key_that_is_not_there_is_named(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    assert servers.judge_answers(*judge(f"{server}/v1", key=""))[0] == "pass"
    (found,) = lines.carried_out({"judge": lambda: servers.judge_answers(*judge(f"{server}/v1"))})
    assert found.status == "fail" and "JUDGE_KEY is not set" in found.said


@pytest.mark.parametrize("key", [KEY, "sk-wrong", "sk-with\nline", "sk-w ide"])
def test_the_key_stands_in_no_line(server: str, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("JUDGE_KEY", key)
    rated, where = judge(f"{server}/locked")
    judging = told().judging.model_copy(update={"rated": rated})
    changes = {"judging": judging, "servers": Servers(judge=where)}
    params = told().model_copy(update=changes)
    found = lines.carried_out(servers.server_checks(params), servers.secrets(params))
    assert found[0].status == ("pass" if key == KEY else "fail")
    shown = lines.as_text(found)
    assert key.strip() not in shown and repr(key)[1:-1] not in shown and "sk-" not in shown


def test_the_sampler_has_to_be_on_the_path() -> None:
    assert servers.sampler_starts(told())[0] == "not applicable"
    for word, status in ((sys.executable, "pass"), ("no-such-server", "fail")):
        served = Served(command=f"{word} serve {{model}} --port {{port}}")
        candidates = told().candidates.model_copy(update={"served": served})
        found, said = servers.sampler_starts(told().model_copy(update={"candidates": candidates}))
        assert found == status and word in said


def test_a_check_that_breaks_is_a_line() -> None:
    def broken() -> lines.Found:
        raise RuntimeError(f"no luck\nwith {KEY}")

    found = lines.carried_out({"one": broken, "two": lambda: lines.passed("fine")}, [KEY])
    assert [(line.check, line.status) for line in found] == [("one", "fail"), ("two", "pass")]
    assert found[0].said == "RuntimeError: no luck with <key>"
    assert lines.as_text(found).endswith("1 pass, 1 fail, 0 not applicable")


def test_gpus_are_counted_on_each_node() -> None:
    params = spread()
    assert machine.gpus_there(params, 1, [80, 80])[0] == "pass"
    status, said = machine.gpus_there(params, 1, [80])
    assert status == "fail" and "1 found, 2 wanted" in said
    assert machine.gpus_there(params, 2, [80])[0] == "pass"
    assert machine.gpus_there(params, 3, [80])[0] == "fail"
    assert machine.gpus_there(told(), 1, [])[0] == "not applicable"


def test_the_smallest_gpu_has_to_hold_the_plan() -> None:
    experiments = load_experiments(ROOT / "experiments.yaml")
    assert machine.gpus_hold(spread(), experiments, 1, [])[0] == "not applicable"
    assert machine.gpus_hold(spread(), experiments, 1, [80 * 10**9] * 2)[0] == "pass"
    status, said = machine.gpus_hold(spread(), experiments, 1, [80 * 10**9, 10**9])
    assert status == "fail" and "1.0 GB the smallest" in said
    # A profile for cores is measured, or reckoned, in the memory of its processes.
    assert machine.gpus_hold(told(), experiments, 1, [10**6])[0] == "not applicable"


def test_the_disk_has_to_hold_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    experiments = load_experiments(ROOT / "experiments.yaml")
    assert machine.disk_holds(told(), experiments)[0] == "pass"
    full = type("Usage", (), {"free": 10})
    monkeypatch.setattr("reproduce.planning.preflight.machine.shutil.disk_usage", lambda _: full)
    status, said = machine.disk_holds(told(), experiments)
    assert status == "fail" and "make room" in said


def test_nccl_is_asked_for_where_gpus_talk() -> None:
    import torch.distributed

    assert machine.nccl_there(told(), 2)[0] == machine.nccl_there(spread(), 0)[0]
    there = torch.distributed.is_nccl_available()
    assert machine.nccl_there(spread(), 2)[0] == ("pass" if there else "fail")


@pytest.mark.parametrize("name", ["zero2", "zero3", "zero3-offload"])
def test_what_ships_is_filled_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    params = spread(deepspeed=str(ROOT / "deepspeed" / f"{name}.json"))
    assert machine.deepspeed_resolves(params)[0] == "pass"


@pytest.mark.parametrize("name", ["zero2", "zero3", "zero3-offload"])
def test_auto_is_what_the_training_arguments_say_for_eight_devices(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from transformers import TrainingArguments
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

    from reproduce.training.trainer import training_arguments

    params = load_params(ROOT / "profiles" / "llama-7b" / "params.yaml")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr("reproduce.training.trainer._world", lambda _: 8)
    monkeypatch.setattr(TrainingArguments, "world_size", property(lambda self: 8))
    hardware = params.hardware.model_copy(update={"deepspeed": None})
    arguments = training_arguments(params.training, hardware, 0, tmp_path, 12800)
    config = HfTrainerDeepSpeedConfig(str(ROOT / "deepspeed" / f"{name}.json"))
    config.trainer_config_process(arguments)
    model = SimpleNamespace(config=SimpleNamespace(hidden_size=4096))
    config.trainer_config_finalize(arguments, model, arguments.max_steps)
    found = dict(machine._leaves(config.config))
    assert found["train_batch_size"] == params.training.batch_size == 128
    assert found["train_micro_batch_size_per_gpu"] == params.training.micro_batch_size == 4
    assert found["gradient_accumulation_steps"] == 128 // (8 * 4)
    assert found["gradient_clipping"] == arguments.max_grad_norm
    assert found["bf16.enabled"] is True
    if name != "zero2":
        assert found["zero_optimization.reduce_bucket_size"] == 4096**2
        assert found["zero_optimization.stage3_prefetch_bucket_size"] == int(0.9 * 4096**2)
        assert found["zero_optimization.stage3_param_persistence_threshold"] == 10 * 4096


def test_an_auto_that_nobody_fills_in_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ds.json"
    path.write_text('{"zero_optimization": {"stage": 3, "sub_group_size": "auto"}}', "utf-8")
    status, said = machine.deepspeed_resolves(spread(deepspeed=str(path)))
    assert status == "fail" and "zero_optimization.sub_group_size" in said
    path.write_text("{", "utf-8")
    checks = {"it": lambda: machine.deepspeed_resolves(spread(deepspeed=str(path)))}
    (found,) = lines.carried_out(checks)
    assert found.status == "fail" and "ds.json" in found.said
    assert machine.deepspeed_resolves(told())[0] == "not applicable"


def test_launcher_and_compiler_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.launcher_there(told())[0] == "not applicable"
    status, said = machine.launcher_there(spread(launch="no-such-launcher -n 2"))
    assert status == "fail" and "'no-such-launcher'" in said and "hardware.launch" in said
    monkeypatch.setenv("LAUNCHER", "/bin/true")
    assert machine.launcher_there(spread(launch="$LAUNCHER -n 2"))[0] == "pass"
    unset = {"it": lambda: machine.launcher_there(spread(launch="srun --host $NO_SUCH_HOST"))}
    (found,) = lines.carried_out(unset)
    assert found.status == "fail" and "the environment has no $NO_SUCH_HOST" in found.said
    assert machine.compiler_there(told(), 0)[0] == "not applicable"
    assert machine.compiler_there(spread(), 2)[0] == "not applicable"
    monkeypatch.setenv("PATH", "")
    status, said = machine.compiler_there(spread(), 0)
    assert status == "fail" and "g++, ninja" in said


def test_each_shape_is_tried_once() -> None:
    params = told()
    assert [(t.micro_batch_size, t.max_length) for t in steps.shapes(params)] == [
        (8, 128),
        (32, 128),
    ]
    same = params.base.training.model_copy(update={"micro_batch_size": 8})  # type: ignore[union-attr]
    base = Base(tiny=params.base.tiny, training=same)
    assert len(steps.shapes(params.model_copy(update={"base": base}))) == 1
    (name,) = steps.step_checks(params, Path("none"), wanted=False)
    assert name == "steps"


def test_a_step_in_each_shape_of_a_tiny_model(
    make_model: Callable[..., Any], tokenizer: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    params = told(training__batch_size=4, training__micro_batch_size=2, generation__batch_size=3)
    (missing, *_) = lines.carried_out(steps.step_checks(params, tmp_path / "base", wanted=True))
    assert missing.status == "fail" and "dvc repro" in missing.said
    with sealed_folder(tmp_path / "base") as folder:
        make_model().save_pretrained(folder / "model")
        tokenizer.save_pretrained(folder / "model")
    small: Training = params.training.model_copy(update={"max_length": 16})
    params = params.model_copy(update={"training": small, "base": Base(imported="smollm2")})
    asked = Example("told", "instruction", "one two three", "four")
    with sealed_folder(tmp_path / "evaluation") as folder:
        write_examples(folder / "told.jsonl", [asked])
    found = lines.carried_out(steps.step_checks(params, tmp_path / "base", wanted=True))
    assert [line.status for line in found] == ["pass", "pass", "pass"], found
    assert found[0].check == "step of 2 × 16 tokens" and found[0].said.startswith(
        "1 step of 4 rows"
    )
    assert found[1].check == "forward of 3 × 16 tokens" and "3 rows of 16" in found[1].said
    free = 256 - params.generation.max_new_tokens
    length = len(prompt_ids(tokenizer, asked))
    assert found[2].said == f"prompts of {length} tokens at most, {free} fit"
    many = params.generation.model_copy(update={"max_new_tokens": 257 - length})
    status, said = steps.room(params.model_copy(update={"generation": many}), tmp_path / "base")
    assert status == "fail" and f"told {length}; 256 positions" in said
    assert not list(steps.WORK.iterdir())
    broken = Hardware(workers=1, threads=1, threads_alone=1, launch="false")
    params = params.model_copy(update={"hardware": broken})
    found = lines.carried_out(steps.step_checks(params, tmp_path / "base", wanted=True))
    assert found[0].status == "fail" and "`false reproduce train" in found[0].said


def test_the_command_fails_where_a_line_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "paper").mkdir()
    for name in ("experiments.yaml", "paper/claims.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["reproduce", "preflight"])
    for params, status, part in (
        (told(), 0, "0 fail"),
        (spread(launch="no-such-launcher"), 1, "FAIL  launcher"),
    ):
        dumped = params.model_dump(mode="json", exclude_none=True)
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(dumped), encoding="utf-8")
        assert command() == status
        assert part in capsys.readouterr().out
