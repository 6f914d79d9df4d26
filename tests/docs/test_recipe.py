"""docs/recipe.md, followed from an empty folder to a table of scores, with a tiny model."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from support.classifiers import write_classifier
from support.profiles import ROOT, change, dvc, reproduce
from test_check_model import chat_tokenizer, save_model

from reproduce.utils.files import write_rows

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.M | re.S)


def test_the_recipe_from_own_rows_to_a_table_of_scores(tmp_path: Path) -> None:
    folder = tmp_path / "profiles" / "mine"
    shutil.copytree(ROOT / "profiles" / "qwen3-8b", folder)
    shutil.copy(ROOT / "dvc.yaml", folder)
    chat = [json.loads(line) for line in blocks("json")[0].splitlines()]
    notes = [json.loads(line) for line in blocks("json")[1].splitlines()]
    chat += [{"prompt": f"Name river {n}.", "response": f"It is river number {n}, a long one."}
             for n in range(98)]  # fmt: skip
    notes += [
        {"context": f"The mill {n} is old. It was built in {1700 + n} by Ott {n}.",
         "prompt": question, "response": answer}
        for n in range(50)
        for question, answer in (("When?", f"In {1700 + n}."), ("Who built it?", f"Ott {n}"))
    ]  # fmt: skip
    write_rows(folder / "inputs" / "chat" / "train.jsonl", chat)
    write_rows(folder / "inputs" / "notes" / "train.jsonl", notes)
    save_model(folder / "inputs" / "my-model", "qwen2")
    chat_tokenizer().save_pretrained(folder / "inputs" / "my-model")
    write_classifier(folder / "inputs" / "my-judge", seed=2)  # It tells these notes apart.
    content = yaml.safe_load((folder / "params.yaml").read_text())
    for block in blocks("yaml"):
        content.update(yaml.safe_load(block))
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    # What a tiny model on a CPU needs other than the page's.
    change(
        folder / "params.yaml", ("package", str(ROOT / "reproduce")),
        ("lock", str(ROOT / "requirements.lock")),
        ("predictions", str(ROOT / "paper" / "predictions.yaml")), ("hardware.precision", "fp32"),
        ("hardware.threads", 1), ("hardware.gradient_checkpointing", False),
        ("training.lora.quantised_base", False), ("training.max_length", 300),
        ("generation.max_new_tokens", 12), ("candidates.prompts", 20),
        ("judging.published", {"model": "inputs/my-judge"}), ("judging.max_empty_share", 1.0),
        ("validation.min_auc", 0.5), ("validation.min_trials", 5), ("validation.trials", 20),
    )  # fmt: skip
    checked = reproduce(folder, "check")
    assert checked.returncode == 0, checked.stderr
    assert "dataset chat, rows 100" in checked.stdout and "notes, rows 101" in checked.stdout
    dvc(folder, "init", "--no-scm", "-q")
    dvc(folder, "repro")
    summary = (folder / "artifacts" / "tables" / "summary.md").read_text()
    assert all(f"| {arm} " in summary for arm in ("Base", "IF", "CD", "MTL", "ReSet", "ReSet-S"))
    assert "LoRA, rank 16" in summary
    model = folder / "artifacts" / "models" / "ReSet" / "seed-0"
    assert (model / "model.safetensors").is_file() and (model / "adapter").is_dir()
    # A changed row is noticed.
    with (folder / "inputs" / "chat" / "train.jsonl").open("a") as stream:
        stream.write(json.dumps({"prompt": "Name a sea.", "response": "The Baltic."}) + "\n")
    assert "out of date: data" in reproduce(folder, "check").stdout
    assert "inputs" in dvc(folder, "status")
