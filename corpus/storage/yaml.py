"""YAML of plain values only: no Python objects, no document that grows when it is read."""

from __future__ import annotations

from typing import Any

import yaml

MAX_NODES = 100_000
"""Values in a document once its aliases are followed; the largest configuration has a few hundred."""


def load_yaml(text: str) -> Any:
    """Return the document in `text`.

    Raises:
        yaml.YAMLError: The text is not YAML, has a tag that names an object, an alias inside itself, more than
        MAX_NODES
            values once aliases are followed, is nested too deeply, or has a date that does not exist.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        # Nine aliases of nine aliases and so on are small in memory, until something prints or walks them.
        if _size(root, {}) > MAX_NODES:
            raise yaml.YAMLError(f"its aliases stand for more than {MAX_NODES:,} values")
        return loader.construct_document(root)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
    except ValueError as error:  # 2026-13-45, or a number of thousands of digits
        raise yaml.YAMLError(f"it holds a value that cannot be: {error}") from error
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Return the number of values in a node; an alias counts as often as it stands."""
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise yaml.YAMLError("it has an alias inside of what the alias stands for")
        return size
    known[id(node)] = None
    inner = []
    if isinstance(node, yaml.MappingNode):
        inner = [each for pair in node.value for each in pair]
    elif isinstance(node, yaml.SequenceNode):
        inner = node.value
    size = known[id(node)] = 1 + sum(_size(each, known) for each in inner)
    return size
