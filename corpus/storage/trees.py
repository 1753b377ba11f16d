"""What is published: a head that names trees, and trees that name the objects of files."""

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from corpus.storage.errors import InputError
from corpus.storage.models import StateModel
from corpus.storage.objects import StoreUri

FORMAT = 1
_KEY = r"^objects/\d+-\d+/[0-9a-f]{64}$"


class StoreDamaged(InputError):
    """What lies in a store is not what was published; the message names it."""


class Blob(StateModel):
    """A published file: the object that holds it, its SHA-256, and its size in bytes."""

    key: str = Field(pattern=_KEY)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class Head(StateModel):
    """head.json: what is published."""

    format: int = Field(default=FORMAT, description="of what lies in the store")
    token: int = Field(ge=1, description="fencing token of the driver that wrote it")
    version: int = Field(ge=1, description="grows with every head")
    at: float = Field(description="when it was written, seconds since 1970")
    name: str = Field(pattern=r"^\w[\w.+=-]*$", description="name of the run's working folder on every machine")
    corpus: str | None = Field(default=None, pattern=r"^\w[\w .+=-]*$", description="name of the corpus's folder")
    trees: dict[str, str] = Field(default_factory=dict, description="name -> key of the tree; {}: nothing is published")

    @field_validator("format")
    @classmethod
    def _is_known(cls, found: int) -> int:
        if found != FORMAT:
            raise ValueError(f"another version of knowlip wrote it (format {found}, this one reads {FORMAT})")
        return found


Tree = dict[str, Blob]
"""Path -> file. Paths are relative, with '/' between their parts, and lead nowhere else."""
_TREE = TypeAdapter(dict[str, Blob])


def tree_as_json(tree: Tree) -> bytes:
    """Return a tree as it is stored."""
    return _TREE.dump_json(tree)


def read_tree(key: str, body: bytes, uri: StoreUri) -> Tree:
    """Return the tree in an object.

    Args:
        key: Of the object.
        body: Its content.
        uri: Of the store, for messages.

    Raises:
        StoreDamaged: It is not what was published, or names a path that leads elsewhere.
    """
    if hashlib.sha256(body).hexdigest() != PurePosixPath(key).name:
        raise StoreDamaged(f"{key} of {uri} is not what was published. Restore it from a copy.")
    tree = _TREE.validate_json(body)
    for path in tree:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
            raise StoreDamaged(f"{key} of {uri} names the path {path!r}, which leads elsewhere.")
    return tree


def read_head(body: bytes, uri: StoreUri) -> Head:
    """Return the head in an object; `uri` is for messages.

    Raises:
        StoreDamaged: It is no head, or of another version of knowlip.
    """
    try:
        return Head.model_validate_json(body)
    except ValidationError as error:
        said = error.errors()[0]
        raise StoreDamaged(f"head.json of {uri} cannot be used: {said['msg']}.") from error


def keys_of(trees: Mapping[str, Tree]) -> set[str]:
    """Return the keys of all objects that trees name."""
    return {blob.key for tree in trees.values() for blob in tree.values()}
