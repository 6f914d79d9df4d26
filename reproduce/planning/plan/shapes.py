"""How many parameters a profile's model has, counted on a model without memory."""

from dataclasses import dataclass
from functools import cache

from reproduce.config import Base, ConfigError


@dataclass(frozen=True)
class ModelShape:
    """A LLaMA: its shape, and its parameters as torch counts them.

    Attributes:
        kv: width of the keys and values of a token (the hidden size, unless heads share them).
        largest: parameters of the largest module, which ZeRO-3 gathers at once.
    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv: int
    vocabulary: int
    parameters: int
    largest: int


# The configuration that HuggingFaceTB publishes with SmolLM2-135M-Instruct.
SMOLLM2 = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}  # fmt: skip


def shape_of(base: Base, vocabulary: int) -> ModelShape:
    """Return the shape of a profile's model; `vocabulary` counts for one that is pretrained here.

    Raises ConfigError for a published model whose shape the profile does not state.
    """
    if base.imported:
        return counted(**SMOLLM2)
    shape = base.tiny or (base.published and base.published.shape)
    if not shape:
        raise ConfigError(
            "base.published.shape: missing; state hidden_size, intermediate_size, layers, heads, "
            "max_positions and vocabulary, as the model's config.json has them"
        )
    return counted(
        vocab_size=getattr(shape, "vocabulary", vocabulary),
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.max_positions,
        tie_word_embeddings=base.tiny is not None,
    )


@cache
def counted(**config: int | bool) -> ModelShape:
    """Return the shape of the LLaMA of a configuration of transformers; it takes no memory."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    made = LlamaConfig(**config)
    with torch.device("meta"):
        model = LlamaForCausalLM(made)
    # Each parameter once: those of tied embeddings are one object.
    own = [sum(p.numel() for p in m.parameters(recurse=False)) for m in model.modules()]
    return ModelShape(
        hidden=made.hidden_size,
        intermediate=made.intermediate_size,
        layers=made.num_hidden_layers,
        heads=made.num_attention_heads,
        kv=made.hidden_size // made.num_attention_heads * made.num_key_value_heads,
        vocabulary=made.vocab_size,
        parameters=sum(p.numel() for p in model.parameters()),
        largest=max(own),
    )
