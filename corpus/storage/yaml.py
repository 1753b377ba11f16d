"""YAML 1.2 of plain values only: no Python objects, no document that grows when it is read, no key twice.

PyYAML reads YAML 1.1, in which 010 is 8, 1:30 is 90 and yes is true. Here they are 10, "1:30" and "yes".
"""

from __future__ import annotations

import re
from typing import Any

import yaml

MAX_NODES = 100_000
"""Values in a document once its aliases are followed; the largest configuration has a few hundred."""

# The core schema of YAML 1.2.2, section 10.3.2, and the merge key of 1.1: (tag, pattern, first letters).
_CORE = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("tag:yaml.org,2002:merge", r"<<", ["<"]),
)


SAFE_DEPTH = 1_000
"""The C parser calls itself for each level of a document, and ends the process some ten thousand levels down."""


class _Loader(yaml.SafeLoader):
    """PyYAML's own parser, whose errors show the line."""


class _FastLoader(yaml.CSafeLoader):
    """The parser of libyaml, eight times as fast; its errors do not show the line."""


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer of plain values; text that YAML 1.1 or 1.2 would read as something else is quoted."""


def _integer(loader: Any, node: yaml.ScalarNode) -> int:
    """An integer of YAML 1.2: a leading 0 changes nothing, 0o17 is octal and 0x1F hexadecimal."""
    text = str(loader.construct_scalar(node))
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _real(loader: Any, node: yaml.ScalarNode) -> float:
    """A floating-point number of YAML 1.2."""
    text = str(loader.construct_scalar(node)).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


for _class in (_Loader, _FastLoader):
    _class.add_constructor("tag:yaml.org,2002:int", _integer)
    _class.add_constructor("tag:yaml.org,2002:float", _real)
_Loader.yaml_implicit_resolvers = {}
_FastLoader.yaml_implicit_resolvers = {}
_Dumper.yaml_implicit_resolvers = {key: list(pairs) for key, pairs in yaml.SafeDumper.yaml_implicit_resolvers.items()}
for _tag, _pattern, _letters in _CORE:
    for _class in (_Loader, _FastLoader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _letters)


def load_yaml(text: str) -> Any:
    """Return the document in `text`.

    Raises:
        yaml.YAMLError: The text is not YAML, has a tag that names an object, an alias inside itself, a key twice, more
            than MAX_NODES values once aliases are followed, or is nested too deeply.
    """
    if _deepest(text) < SAFE_DEPTH:
        try:
            return _load(_FastLoader(text))
        except yaml.YAMLError:
            pass  # the other parser says the same with the line
    return _load(_Loader(text))


def _deepest(text: str) -> int:
    """A number of levels that a document does not exceed, from its characters alone."""
    flow = text.count("[") + text.count("{")
    block = max((len(line) - len(line.lstrip(" \t-?:")) for line in text.splitlines()), default=0)
    return flow + 2 * block  # the list of a key may stand in the key's own column


def _load(loader: _Loader | _FastLoader) -> Any:
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        # Nine aliases of nine aliases and so on are small in memory, until something prints or walks them.
        if _size(root, {}) > MAX_NODES:
            raise yaml.YAMLError(f"its aliases stand for more than {MAX_NODES:,} values")
        _refuse_repeated_keys(root, set())
        return loader.construct_document(root)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise yaml.YAMLError(f"it holds a value that cannot be: {error}") from error
    finally:
        loader.dispose()


def _refuse_repeated_keys(node: yaml.Node, seen: set[int]) -> None:
    """Raise yaml.YAMLError where a mapping in a node has a key twice; PyYAML would take the last of them."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _refuse_repeated_keys(each, seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            _refuse_repeated_keys(value, seen)
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if (key.tag, key.value) in lines:
                first = lines[key.tag, key.value]
                raise yaml.YAMLError(
                    f"the key {key.value!r} stands twice, in line {first} and in line {line}; remove one"
                )
            lines[key.tag, key.value] = line


def dump_yaml(content: Any) -> str:
    """Return plain values as YAML that `load_yaml` reads back as they are, in their order."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False)


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
