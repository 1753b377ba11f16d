"""All keys of a configuration, read from the pydantic models that declare them."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from corpus.config_kinds import ConfigKinds, kinds_of
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.files import DEFAULT


@dataclass(frozen=True)
class Key:
    """One key of the configuration.

    Attributes:
        name: Dotted name.
        default: The default as text; "(required)" where there is none.
        meaning: What the key means.
        section: Whether the key is a section, whose own keys follow.
    """

    name: str
    default: str
    meaning: str
    section: bool = False


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[Key]:
    """Iterate over all keys of a model, sections opened; a section in kinds has the keys of all its kinds.

    Args:
        model: The configuration or a section of it.
        prefix: Dotted name of that section, with a dot at its end.
    """
    for field_name, field in model.model_fields.items():
        name, kinds, section = field.alias or field_name, kinds_of(field), _section_of(field)
        if section is AnnotationSchema:  # a file of its own, with more in it than keys
            yield Key(prefix + name, DEFAULT.name, field.description or "")
        elif kinds is not None:
            yield Key(prefix + name, "", field.description or "", section=True)
            yield from _keys_of_kinds(kinds, f"{prefix}{name}.")
        elif isinstance(section, type) and issubclass(section, BaseModel):
            yield Key(prefix + name, "", field.description or "", section=True)
            yield from keys(section, f"{prefix}{name}.")
        else:
            yield Key(prefix + name, _default(field), field.description or "")


def _keys_of_kinds(kinds: ConfigKinds, prefix: str) -> Iterator[Key]:
    """The key `kind`, then the keys of all kinds; those that not every kind has say which do."""
    about = "; ".join(f"{kind}: {_first_sentence(model)}" for kind, model in kinds.items())
    yield Key(f"{prefix}kind", kinds.default, about)
    owners: dict[Key, list[str]] = {}
    for kind, model in kinds.items():
        for key in keys(model, prefix):
            if key.name != f"{prefix}kind":
                owners.setdefault(key, []).append(kind)
    for key, names in owners.items():
        whose = "" if len(names) == len(kinds) else f"kind {' and '.join(names)}: "
        yield Key(key.name, key.default, whose + key.meaning, key.section)


def _section_of(field: FieldInfo) -> Any:
    """The model of a section, also of one that may be left out; otherwise what the field is declared as."""
    parts = [part for part in get_args(field.annotation) if part is not type(None)]
    is_model = len(parts) == 1 and isinstance(parts[0], type) and issubclass(parts[0], BaseModel)
    return parts[0] if is_model and isinstance(field.annotation, UnionType) else field.annotation


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, tuple) and len(default) == 1:  # a value by round: one value stands for a list of one
        default = default[0]
    return "(required)" if default is PydanticUndefined else str(default)


def _first_sentence(model: type[BaseModel]) -> str:
    sentence = (model.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:]
