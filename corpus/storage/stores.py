"""Which kinds of stores there are, by the scheme of their URIs.

A module outside the project adds one: `STORES.add("gs", open_store)`; the configuration names it in `plugins`.
"""

from collections.abc import Callable

from corpus.registry import Registry
from corpus.storage.objects import ObjectStore, Patient, StoreRefused, StoreUri

STORES: Registry[Callable[[StoreUri], ObjectStore]] = Registry("kind of storage")
"""What opens a store, by the scheme of its URI."""


def _s3(uri: StoreUri) -> ObjectStore:
    try:
        from corpus.storage.s3 import S3Store  # boto3 is an extra
    except ModuleNotFoundError as error:
        raise StoreRefused(
            f"{uri} needs the package {error.name}, which is not installed: `pip install 'knowlip[s3]'`."
        ) from error
    return S3Store(uri)


STORES.add("s3", _s3)


def open_store(uri: StoreUri, patience_s: float, advice: str | None = None) -> Patient:
    """Open the store of a URI; it is asked again for `patience_s` seconds while it is away, see `Patient`.

    Raises:
        UnknownMember: There is no kind of store for the URI's scheme.
        StoreRefused: What the kind needs is not installed, or its settings are wrong.
    """
    return Patient(STORES.find(uri.scheme)(uri), patience_s, advice)
