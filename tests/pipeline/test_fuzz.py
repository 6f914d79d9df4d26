"""Damaged parameters and data never end in a traceback, and nonsense is never accepted silently."""

import contextlib
import copy
import io
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.profiles import nano_profile

from reproduce.cli import main

pytestmark = pytest.mark.slow
SEED, PARAMETERS, FILES = 24, 300, 100

ODD_VALUES: list[Any] = [
    None, "", " ", "x", "\x00", "é" * 300, "../..", "/", True, False, 0, -1, 1, 0.5, -0.0, 1e308,
    10**30, float("nan"), float("inf"), [], {}, [[]], [None], {"": {}}, {"x": 1}, "1:30",
    [1, "a", {}], "null", "~", "*a", "!!python/object:os.system", "${HOME}",
]  # fmt: skip


def command(*arguments: str) -> tuple[int, str]:
    """Run a command in this process; return its status and what it printed."""
    printed = io.StringIO()
    sys.argv = ["reproduce", *arguments]
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            main()
        except SystemExit as error:
            return int(error.code or 0), printed.getvalue()
    raise AssertionError("a command ends with its status")


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in a tree."""
    keys = (
        list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else []
    )
    return [path] * bool(path) + [p for key in keys for p in places(tree[key], (*path, key))]


def get(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def mutated_tree(tree: Any, rng: random.Random) -> tuple[Any, str, bool]:
    """Return a copy with one damage, what it is, and whether it cannot be what a user meant."""
    tree, path = copy.deepcopy(tree), rng.choice(places(tree))
    parent, key = get(tree, path[:-1]), path[-1]
    kind, old = rng.choice(("value", "value", "value", "missing", "unknown")), parent[key]
    nonsense = kind == "unknown"
    if kind == "missing":
        del parent[key]
    elif kind == "unknown" and isinstance(parent, dict):
        parent[rng.choice(("colour", "", "a.b", "x y", f"{key}s"))] = rng.choice(ODD_VALUES)
    else:
        new = parent[key] = rng.choice(ODD_VALUES)
        kind = f"value {new!r}"
        nonsense = new is not None and type(new) is not type(old)
        nonsense &= not (type(old) in (int, float) and type(new) in (int, float))
        nonsense |= type(new) is float and not abs(new) < 1e9
    return tree, f"{'.'.join(map(str, path))}: {kind}", nonsense


def mutated_text(text: str, rng: random.Random) -> str:
    """Return a text with one damage: cut off, a character changed, lines repeated or lost."""
    position, lines = rng.randrange(len(text)), text.split("\n")
    row, mark = rng.randrange(len(lines)), rng.choice("\t:{}[]#&*!|>'\"%@`\ud83d\x00\u2028é")
    return rng.choice((
        text[:position], text[:position] + mark + text[position:],
        text[:position] + text[position + 1 :], text.swapcase(), "", text * 2,
        "\n".join(lines[:row] + lines[row + 1 :]),
        "\n".join([*lines[: row + 1], lines[row], *lines[row + 1 :]]),
    ))  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = nano_profile(tmp_path / "study")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", sys.argv)
    return folder


def test_damaged_parameters(folder: Path) -> None:
    rng = random.Random(SEED)
    counts = {"rejected": 0, "accepted": 0}
    originals = {name: (folder / name).read_text() for name in ("params.yaml", "experiments.yaml")}
    for name, text in originals.items():
        (folder / name).write_text(yaml.safe_dump(yaml.safe_load(text), allow_unicode=True))
    assert command("check")[0] == 0
    for number in range(PARAMETERS):
        name = rng.choice(list(originals))
        if rng.random() < 0.6:
            tree, title, nonsense = mutated_tree(yaml.safe_load(originals[name]), rng)
            text = yaml.safe_dump(tree, allow_unicode=True)
        else:
            text, title, nonsense = mutated_text(originals[name], rng), "text", False
        (folder / name).write_text(text, encoding="utf-8", errors="surrogatepass")
        status, printed = command("check")
        (folder / name).write_text(originals[name])
        assert status in (0, 1) and "Traceback" not in printed, (number, title, printed)
        assert status == 0 or name in printed or "arms." in printed, (number, title, printed)
        counts["accepted" if status == 0 else "rejected"] += 1
        if status == 0:
            assert not nonsense, (number, title)
    assert counts["rejected"] > PARAMETERS / 2


ROWS = {
    "alpaca": [{"instruction": f"Name {n} rivers.", "input": "", "output": f"Here are {n} of them."}
               for n in range(30)],
    "dolly": [{"instruction": f"Name {n} lakes.", "context": "", "response": f"These are {n}."}
              for n in range(30)],
    "cnn-dailymail": [{"article": f"Bridge {n} is long. It is old.", "highlights": f"B {n}."}
                      for n in range(30)],
    "mrqa-nq": [{"subset": "NaturalQuestionsShort", "context": f"<P> Mill {n} is from {n}. </P>",
                 "question": f"when was mill {n} built", "answers": [str(n)]} for n in range(30)],
    "sharegpt": [{"conversations": [{"from": "human", "value": f"Hi {n}?"},
                                    {"from": "gpt", "value": "Hello."}]} for n in range(30)],
}  # fmt: skip


def damaged_file(rows: list[dict[str, Any]], rng: random.Random) -> bytes:
    """Return JSON Lines in which some rows or bytes are damaged."""
    if rng.random() < 0.5:
        rows = [mutated_tree(row, rng)[0] if rng.random() < 0.15 else row for row in rows]
    content = "".join(json.dumps(row, ensure_ascii=rng.random() < 0.5) + "\n" for row in rows)
    if rng.random() < 0.5:
        content = mutated_text(content, rng)
    encoding = rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
    data = content.encode(encoding, "replace" if encoding != "utf-8" else "surrogatepass")
    return data.replace(b"\n", b"\r\n") if rng.random() < 0.2 else data


def test_damaged_data(folder: Path) -> None:
    rng = random.Random(SEED)
    counts = {"rejected": 0, "read": 0}
    params = yaml.safe_load((folder / "params.yaml").read_text())
    # Own data have neither a joint set nor the names of the synthetic ones.
    arms = (folder / "experiments.yaml").read_text().replace(", both: 0.5", "")
    (folder / "experiments.yaml").write_text(arms.replace("describe: 0.5", "CD: 0.5"))
    used: dict[str, Any] = {"train": "train", "evaluation": "train",
                            "counts": {"train": 5, "evaluation": 2}}  # fmt: skip
    sets = {name: {"repo": f"inputs/{name}", "layout": name, **used} for name in ROWS}
    sets["more"] = {**sets["mrqa-nq"]}
    for layout, rows in ROWS.items():
        (folder / "inputs" / layout).mkdir()
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "inputs" / layout / "train.jsonl").write_text(lines)
    (folder / "inputs" / "own").mkdir()
    for number in range(FILES):
        layout = rng.choice(list(ROWS))
        (folder / "inputs" / "own" / "train.jsonl").write_bytes(damaged_file(ROWS[layout], rng))
        own = {"repo": "inputs/own", "layout": layout, **used}
        data = {"seed": 0, "sets": {**sets, "own": own}, "verifiable": rng.random() < 0.5}
        (folder / "params.yaml").write_text(yaml.safe_dump({**params, "data": data}))
        status, printed = command("data")
        assert status in (0, 1) and "Traceback" not in printed, (number, printed)
        if status:
            counts["rejected"] += 1
            assert "inputs/own" in printed, (number, printed)
            assert not [word for word in ("network", "HF_", "login") if word in printed], printed
            continue
        counts["read"] += 1
        for part in ("training", "evaluation"):
            for line in (folder / "artifacts" / "data" / part / "own.jsonl").open(encoding="utf-8"):
                example = json.loads(line)
                assert example["prompt"].strip() and example["response"].strip()
    assert counts["rejected"] > 10 and counts["read"] > 10
