"""Files between steps: whole or not at all, and refused by name when they have changed."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from reproduce.schema import Example, read_examples, write_examples
from reproduce.utils.files import (
    SUMS,
    WEIGHTS,
    UnusableFile,
    checked,
    fingerprint,
    put_aside,
    read_json,
    read_rows,
    replacing,
    sealed_folder,
    text_id,
    write_csv,
    write_json,
    write_rows,
    write_text,
)

ODD = ["", "a b", 'a "quote"', "tab\t and \\ back", "line\nline\r\nline",
       "\u2028\u2029\x85\x0b\x0c", "déjà 東京 \U0001f600", " spaces "]  # fmt: skip


def seal(target: Path, files: dict[str, str]) -> None:
    with sealed_folder(target) as folder:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("text", ODD)
def test_a_row_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    rows: list[dict[str, Any]] = [{"text": text, "n": 1}, {"text": text + "x", "m": [1.5, None]}]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert read_rows(tmp_path / "rows.jsonl") == rows
    assert (tmp_path / "rows.jsonl").read_bytes().count(b"\n") == 2


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None, True], "a": {"texts": ODD}}
    write_json(tmp_path / "deep" / "value.json", value)
    assert read_json(tmp_path / "deep" / "value.json") == value


def test_the_order_of_keys_does_not_change_the_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "one", {"a": 1, "b": 2})
    write_json(tmp_path / "two", {"b": 2, "a": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_text_is_utf_8_with_plain_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "text", "é\nb\n")
    assert (tmp_path / "text").read_bytes() == b"\xc3\xa9\nb\n"


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = [{"name": 'a, "b"\nc', "n": 1}, {"name": "", "n": 2}]
    write_csv(tmp_path / "table.csv", rows)
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as stream:
        assert list(csv.DictReader(stream)) == [{**row, "n": str(row["n"])} for row in rows]


def test_examples_come_back_as_they_were(tmp_path: Path) -> None:
    rule = {"id": "includes", "words": ["a"]}
    examples = [
        Example("one", "instruction", "Do\u2028it", "a", instructions=(rule,)),
        Example("two", "extractive", "c\nq", "r", "c", ("r", "s"), group="g", memory="m", raw=True),
    ]
    write_examples(tmp_path / "e.jsonl", examples)
    assert read_examples(tmp_path / "e.jsonl") == examples


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_and_nothing_is_written(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": [value]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_rows(tmp_path / "a.jsonl", [{"x": 1}, {"x": value}])
    assert names(tmp_path) == set()


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"empty\.csv"):
        write_csv(tmp_path / "empty.csv", [])
    assert names(tmp_path) == set()


def test_a_table_with_other_keys_leaves_the_old_one(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [{"a": 1}])
    with pytest.raises(ValueError):
        write_csv(tmp_path / "a.csv", [{"a": 2}, {"b": 3}])
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"
    assert names(tmp_path) == {"a.csv"}


@pytest.mark.parametrize("read", [read_json, read_rows])
@pytest.mark.parametrize("content", [None, b'{"a": 1', b"\xff\xfe"])
def test_an_unreadable_file_is_refused_by_name(tmp_path: Path, read: Any, content: bytes) -> None:
    if content is not None:
        (tmp_path / "there").write_bytes(content)
    with pytest.raises(UnusableFile, match=r"there: (missing|unreadable)"):
        read(tmp_path / "there")


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "file") as draft:
        draft.write_text("new")
        raise KeyboardInterrupt
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == {"file"}


def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    seal(tmp_path / "folder", {"a": "old"})
    before = fingerprint(tmp_path / "folder")
    with pytest.raises(RuntimeError), sealed_folder(tmp_path / "folder") as folder:
        (folder / "a").write_text("new")
        raise RuntimeError
    assert fingerprint(checked(tmp_path / "folder")) == before
    assert names(tmp_path) == {"folder", "folder/a", f"folder/{SUMS}"}


def test_the_target_stays_whole_until_the_new_one_is_ready(tmp_path: Path) -> None:
    seal(tmp_path / "folder", {"a": "old"})
    with sealed_folder(tmp_path / "folder") as folder:
        (folder / "b").write_text("new")
        assert (checked(tmp_path / "folder") / "a").read_text() == "old"
    assert names(tmp_path / "folder") == {"b", SUMS}


def test_a_draft_that_was_never_written_leaves_the_old_folder(tmp_path: Path) -> None:
    seal(tmp_path / "folder", {"a": "old"})
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "folder"):
        pass
    assert (checked(tmp_path / "folder") / "a").read_text() == "old"


def test_a_whole_folder_is_accepted_with_its_subfolders(tmp_path: Path) -> None:
    seal(tmp_path / "f", {"a": "1", "sub/two words": "2", "empty": ""})
    assert checked(tmp_path / "f") == tmp_path / "f"


def damage(folder: Path, how: str, name: str) -> None:
    path = folder / name
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:-1])
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        path.write_bytes(b"X" + path.read_bytes()[1:])


@pytest.mark.parametrize("how", ["missing", "truncated", "emptied", "edited"])
@pytest.mark.parametrize("name", ["a.jsonl", "sub/b.jsonl"])
def test_a_damaged_member_is_named(tmp_path: Path, how: str, name: str) -> None:
    seal(tmp_path / "f", {"a.jsonl": "text\n", "sub/b.jsonl": "more\n"})
    damage(tmp_path / "f", how, name)
    with pytest.raises(UnusableFile) as found:
        checked(tmp_path / "f")
    assert str(found.value).startswith(f"{tmp_path / 'f' / name}: ")
    assert "dvc repro" in str(found.value)


def test_bytes_that_are_not_read_need_not_be_compared(tmp_path: Path) -> None:
    seal(tmp_path / "f", {"a.jsonl": "text\n", "sub/b.safetensors": "weights"})
    damage(tmp_path / "f", "edited", "sub/b.safetensors")
    assert checked(tmp_path / "f", unread=WEIGHTS) == tmp_path / "f"
    with pytest.raises(UnusableFile, match="edited"):
        checked(tmp_path / "f")
    damage(tmp_path / "f", "missing", "sub/b.safetensors")
    with pytest.raises(UnusableFile, match="missing"):
        checked(tmp_path / "f", unread=WEIGHTS)


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_that_was_never_sealed_is_named(tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "f").mkdir()
    with pytest.raises(UnusableFile, match="f: missing or unfinished"):
        checked(tmp_path / "f")


@pytest.mark.parametrize("left", [20, 64, 66])
def test_a_cut_off_list_of_sums_is_named(tmp_path: Path, left: int) -> None:
    seal(tmp_path / "f", {"a": "1", "b": "2"})
    path = tmp_path / "f" / SUMS
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(UnusableFile, match="f"):
        checked(tmp_path / "f")


def test_the_sums_are_those_of_sha256sum(tmp_path: Path) -> None:
    seal(tmp_path / "f", {"a": "abc"})
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (tmp_path / "f" / SUMS).read_text() == f"{abc}  a\n"


def test_equal_folders_have_one_fingerprint_and_others_another(tmp_path: Path) -> None:
    seal(tmp_path / "one", {"b": "2", "a": "1"})
    seal(tmp_path / "two", {"a": "1", "b": "2"})
    seal(tmp_path / "renamed", {"a": "1", "c": "2"})
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "renamed")


def test_a_name_depends_on_where_the_parts_end() -> None:
    assert text_id("a", "bc") != text_id("ab", "c")
    assert text_id("a", "b") == text_id("a", "b")
    assert len(text_id("é")) == 12


def test_a_file_that_does_not_belong_is_named(tmp_path: Path) -> None:
    with sealed_folder(tmp_path / "sets") as draft:
        (draft / "a.jsonl").write_text("")
    checked(tmp_path / "sets")
    (tmp_path / "sets" / "b.jsonl").write_text("")
    with pytest.raises(UnusableFile, match=r"b\.jsonl: does not belong"):
        checked(tmp_path / "sets")


def test_what_a_killed_run_has_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".target.abcd1234" / "target").mkdir(parents=True)
    (tmp_path / ".other.abcd1234").mkdir()
    with replacing(tmp_path / "target") as draft:
        draft.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"target", ".other.abcd1234"}


def test_a_folder_that_is_put_aside_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    with put_aside(folder):  # There is none, and none is made.
        pass
    assert not folder.exists()
    folder.mkdir()
    (folder / "old").write_text("x")
    with pytest.raises(ValueError, match="stopped"), put_aside(folder):
        assert not folder.exists()
        folder.mkdir()
        (folder / "new").write_text("y")
        raise ValueError("stopped")
    assert [path.name for path in folder.iterdir()] == ["old"]
    # Killed in between: what was put aside is still there, and so is what came in its place.
    folder.rename(tmp_path / "cache.aside")
    folder.mkdir()
    with put_aside(folder):
        assert not folder.exists()
    assert [path.name for path in folder.iterdir()] == ["old"]
