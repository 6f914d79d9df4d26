"""The loss of a language model, whose scores are taken where a token counts and nowhere else."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from reproduce.models.tokenization import IGNORED

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@contextlib.contextmanager
def sparse_scores(model: "PreTrainedModel") -> Iterator[None]:
    """Let `model` score only the tokens that its labels count, for as long as this is open.

    The loss is the same. A prompt is longer than its response as a rule, and to score all of its
    tokens over the whole vocabulary is a fifth of the products of a model like SmolLM2-135M. Done
    by hooks, so that it holds inside whatever wraps the model (a launcher's, DeepSpeed's).
    """
    wanted: dict[str, torch.Tensor] = {}
    plain = model.loss_function

    def remember(_: Any, args: Any, kwargs: dict[str, Any]) -> None:
        wanted["labels"] = next_labels(kwargs["labels"])

    def narrow(_: Any, args: "tuple[torch.Tensor]") -> "tuple[torch.Tensor]":
        return (args[0][wanted["labels"] != IGNORED],)

    head: Any = model.get_output_embeddings()
    hooks = (
        model.register_forward_pre_hook(remember, with_kwargs=True),
        head.register_forward_pre_hook(narrow),
    )
    model.loss_function = lambda **given: narrow_loss(
        given["logits"], wanted["labels"], given.get("num_items_in_batch")
    )
    try:
        yield
    finally:
        model.loss_function = plain
        for hook in hooks:
            hook.remove()


def next_labels(labels: "torch.Tensor") -> "torch.Tensor":
    """Return, for (rows, tokens) labels, those of the token after each; after the last none."""
    import torch

    return torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)


def narrow_loss(
    scores: "torch.Tensor",
    labels: "torch.Tensor",
    items: "torch.Tensor | int | None" = None,
) -> "torch.Tensor":
    """Return the cross entropy of (counted tokens, vocabulary) scores, in fp32.

    A mean over the tokens, or, as the Trainer of transformers asks for where a batch is made of
    several, the sum over the number of `items` of them all.
    """
    import torch

    targets = labels[labels != IGNORED]
    total = torch.nn.functional.cross_entropy(scores.float(), targets, reduction="sum")
    return total / (len(targets) if items is None else items)
