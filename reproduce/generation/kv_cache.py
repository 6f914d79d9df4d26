"""A key-value cache for generation that does not copy itself at every token."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 32
"""Tokens for which room is made at once."""


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """A DynamicLayer whose keys and values are views of a buffer with room for more tokens.

    DynamicLayer concatenates at each token, which for a small model is a third of the time.
    """

    keys: torch.Tensor
    values: torch.Tensor
    buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the states of new tokens and return those of all, (rows, heads, tokens, size)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        # The rows change, too, where `batch_repeat_interleave` was called.
        rows = self.buffers[0].shape[0] if self.buffers else 0
        if self.buffers is None or rows != key_states.shape[0] or after > self._space():
            known = (self.keys, self.values) if before else (None, None)
            self.buffers = (_roomy(key_states, known[0]), _roomy(value_states, known[1]))
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, before:after] = states
        self.keys, self.values = (buffer[:, :, :after] for buffer in self.buffers)
        return self.keys, self.values

    def _space(self) -> int:
        return self.buffers[0].shape[-2] if self.buffers else 0


def growing_cache() -> Cache:
    """Return an empty cache for one call of `generate`."""
    return Cache(layer_class_to_replicate=GrowingLayer)


def joined(parts: Sequence[Cache]) -> Cache:
    """Return one cache with the rows of several, in their order; all know equally many tokens."""
    if len(parts) == 1:
        return parts[0]
    whole = growing_cache()
    for number, layers in enumerate(zip(*(part.layers for part in parts), strict=True)):
        whole.update(
            torch.cat([layer.keys for layer in layers]),
            torch.cat([layer.values for layer in layers]),
            number,
        )
    return whole


def _roomy(states: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
    rows, heads, tokens, size = states.shape
    length = 0 if known is None else known.shape[-2]
    buffer = states.new_empty(rows, heads, length + tokens + ROOM, size)
    if known is not None:
        buffer[:, :, :length] = known
    return buffer
