"""Blocks of parameters by their dotted names."""

from typing import Any


def block_of(tree: dict[str, Any], place: str) -> tuple[dict[str, Any], str]:
    """Return the block that holds "a.b.c", and the name "c" in it."""
    *parents, last = place.split(".")
    for parent in parents:
        tree = tree[parent]
    return tree, last


def put(tree: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return `tree` with each of `changes`, by dotted names with __ for dots, put in place."""
    for name, value in changes.items():
        block, last = block_of(tree, name.replace("__", "."))
        block[last] = value
    return tree
