"""Sequence classifiers of a few thousand random weights, with a tokenizer of a few words."""

from pathlib import Path

from reproduce.judges.faithfulness import LABELS

WORDS = "the a river bridge lake is was not built in by of long short red blue".split()


def write_classifier(
    folder: Path, labels: tuple[str, ...] = LABELS, seed: int = 0, spread: float = 0.5
) -> Path:
    """Write a tiny BERT that knows WORDS; `spread` is the deviation of its weights."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, initializer_range=spread, max_position_embeddings=300,
        num_labels=len(labels), id2label=dict(enumerate(labels)),
        label2id={name: number for number, name in enumerate(labels)},
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder
