"""Files between stages: written whole or not at all, and refused by name when unreadable."""

import hashlib
import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reproduce.schema import Example, read_records
from reproduce.utils.files import (
    UnusableFile,
    atomic_dir,
    atomic_path,
    read_csv,
    read_json,
    read_rows,
    short_hash,
    write_csv,
    write_json,
    write_rows,
    write_text,
)

ODD = ["", "a b", 'a "quote"', "tab\t and \\ back", "line\nline\r\nline",
       "\u2028\u2029\x85\x0b\x0c", "déjà 東京 \U0001f600", " spaces "]  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_rows_are_read_as_they_were_written(tmp_path: Path, text: str) -> None:
    rows: list[dict[str, Any]] = [{"text": text, "n": 1}, {"text": text + "x", "m": [1.5, None]}]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert read_rows(tmp_path / "rows.jsonl") == rows
    assert (tmp_path / "rows.jsonl").read_bytes().count(b"\n") == 2


def test_json_does_not_depend_on_the_order_of_keys(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "one", {"a": ODD, "b": [1, 2.5, None, True]})
    write_json(tmp_path / "two", {"b": [1, 2.5, None, True], "a": ODD})
    assert read_json(tmp_path / "two") == {"a": ODD, "b": [1, 2.5, None, True]}
    assert (tmp_path / "deep" / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [{"name": 'a, "b"\nc', "n": 1}, {"name": "", "n": 2}])
    expected = [{"name": 'a, "b"\nc', "n": "1"}, {"name": "", "n": "2"}]
    assert read_csv(tmp_path / "a.csv") == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_json_lacks_are_refused_and_nothing_is_written(
    tmp_path: Path, value: float
) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"x": [value]})
    with pytest.raises(ValueError):
        write_rows(tmp_path / "a.jsonl", [{"x": 1}, {"x": value}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read", [read_json, read_rows, read_csv])
@pytest.mark.parametrize("content", [None, b'{"a": 1\xff'])
def test_an_unreadable_file_is_refused_by_name(tmp_path: Path, read: Any, content: bytes) -> None:
    if content is not None:
        (tmp_path / "source").write_bytes(content)
    with pytest.raises(UnusableFile) as caught:
        read(tmp_path / "source")
    assert str(caught.value).startswith(str(tmp_path / "source"))


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "file") as draft:
        draft.write_text("new")
        raise KeyboardInterrupt
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "file"):
        pass  # Nothing was written to the temporary path.
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with atomic_dir(target) as draft:
        (draft / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic_dir(target) as draft:
        (draft / "b").write_text("new")
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["a"]
    with atomic_dir(target) as draft:
        (draft / "b").write_text("new")
        assert (target / "a").read_text() == "old"
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "b"]


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_text(target, "old")
    code = (
        "import os, sys; from pathlib import Path; from reproduce.utils.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as draft:\n"
        f"    draft.write_text('half'); os.kill(os.getpid(), {int(signal.SIGKILL)})"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    write_text(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # The half file is gone.


def test_a_short_hash_depends_on_where_the_parts_end() -> None:
    assert short_hash("a", "bc") != short_hash("ab", "c")
    assert short_hash("é") == hashlib.sha256("é".encode()).hexdigest()[:12]


def test_a_record_of_another_kind_is_named_with_its_file(tmp_path: Path) -> None:
    write_rows(tmp_path / "mine.jsonl", [{"dataset": "a", "kind": "other", "prompt": "p"}])
    with pytest.raises(UnusableFile, match=r"(?s)mine\.jsonl.*kind"):
        read_records(tmp_path / "mine.jsonl", Example)
