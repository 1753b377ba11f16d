"""S3, and stores that speak its protocol. Credentials, region and endpoint come from boto3's own places alone.

An endpoint is AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL. The store has to keep conditions of writes (If-None-Match,
If-Match), as AWS, MinIO and Ceph do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
)
from s3transfer.exceptions import RetriesExceededError

from corpus.storage.objects import Conflict, StoreAway, Stored, StoreRefused, StoreUri, in_batches

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_AWAY = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError, RetriesExceededError)
_AWAY_CODES = ("SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "ConditionalRequestConflict", "OperationAborted")
_NONE_CODES = ("NoSuchKey", "404")
_PART_BYTES = 64 * 2**20
_CONNECT_S, _READ_S = 10.0, 60.0
_CONNECTIONS = 16
_AT_ONCE = 1000  # keys that one request removes


class S3Store:
    """The objects below one URI; see `ObjectStore`.

    Args:
        uri: Bucket and prefix. The bucket has to exist.
        connect_s: Seconds to wait for a connection.
        read_s: Seconds to wait for the next bytes of an answer.
    """

    def __init__(self, uri: StoreUri, connect_s: float = _CONNECT_S, read_s: float = _READ_S) -> None:
        self._uri = uri
        settings = Config(
            connect_timeout=connect_s,
            read_timeout=read_s,
            retries={"total_max_attempts": 1},  # `Patient` asks again, and says so
            max_pool_connections=_CONNECTIONS,
            user_agent_extra="knowlip",
            # A store of one's own seldom has a name for every bucket.
            s3={"addressing_style": "path" if any(name in os.environ for name in _ENDPOINTS) else "auto"},
        )
        with self._errors():
            self._client: Any = boto3.client("s3", config=settings)
        self._transfer = TransferConfig(
            multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, num_download_attempts=1
        )

    @property
    def uri(self) -> StoreUri:
        """See ObjectStore; the same of all methods."""
        return self._uri

    def get(self, key: str) -> Stored | None:
        """See ObjectStore."""
        try:
            with self._errors():
                found = self._client.get_object(**self._at(key))
                body = found["Body"].read()
        except KeyError:
            return None
        date = found["ResponseMetadata"]["HTTPHeaders"].get("date")
        age_s = None if date is None else (parsedate_to_datetime(date) - found["LastModified"]).total_seconds()
        return Stored(body, found["ETag"], age_s)

    def put(self, key: str, body: bytes) -> None:
        """See ObjectStore."""
        with self._errors():
            self._client.put_object(**self._at(key), Body=body)

    def put_if(self, key: str, body: bytes, etag: str | None) -> str:
        """See ObjectStore."""
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            with self._errors():
                return self._client.put_object(**self._at(key), Body=body, **condition)["ETag"]
        except KeyError as error:
            raise Conflict(f"{key} is gone") from error

    def upload(self, key: str, path: Path) -> None:
        """See ObjectStore. A large file goes in parts, which are joined at the end."""
        with self._errors(), open(path, "rb") as file:
            self._client.upload_fileobj(file, *self._at(key).values(), Config=self._transfer)

    def download(self, key: str, path: Path) -> bool:
        """See ObjectStore."""
        try:
            with self._errors(), open(path, "wb") as file:
                self._client.download_fileobj(*self._at(key).values(), file, Config=self._transfer)
        except KeyError:
            return False
        return True

    def keys(self, below: str) -> Iterator[str]:
        """See ObjectStore."""
        with self._errors():
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._uri.bucket, Prefix=self._full(below)):
                for each in page.get("Contents", ()):
                    yield each["Key"].removeprefix(self._full(""))

    def remove(self, keys: Sequence[str]) -> None:
        """See ObjectStore."""
        for batch in in_batches(keys, _AT_ONCE):
            with self._errors():
                names = [{"Key": self._full(key)} for key in batch]
                done = self._client.delete_objects(Bucket=self._uri.bucket, Delete={"Objects": names, "Quiet": True})
            if failed := done.get("Errors"):
                raise StoreAway(f"{self._uri} did not remove {failed[0]['Key']}: {failed[0].get('Message')}.")

    def remove_unfinished(self, below: str) -> None:
        """See ObjectStore."""
        with self._errors():
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._uri.bucket, Prefix=self._full(below)):
                for each in page.get("Uploads", ()):
                    upload = {"Key": each["Key"], "UploadId": each["UploadId"]}
                    self._client.abort_multipart_upload(Bucket=self._uri.bucket, **upload)

    def _full(self, key: str) -> str:
        return f"{self._uri.prefix}/{key}"

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._uri.bucket, "Key": self._full(key)}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Give the errors of boto3 the project's types and words.

        Raises:
            KeyError: There is no such object.
            Conflict, StoreAway, StoreRefused: see ObjectStore.
        """
        try:
            yield
        except ClientError as error:
            raise self._explained(error) from error
        except _AWAY as error:
            raise StoreAway(f"The store {self._uri} does not answer: {error}.") from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise StoreRefused(
                f"There are no credentials for {self._uri}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what "
                "else boto3 takes them from, in the environment of the driver."
            ) from error
        except (BotoCoreError, ValueError) as error:
            raise StoreRefused(f"{self._uri} cannot be used: {error}. Correct the AWS settings.") from error

    def _explained(self, error: ClientError) -> Exception:
        said: Any = error.response
        code = said.get("Error", {}).get("Code", "")
        status = said.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        words = f"{code}, {said.get('Error', {}).get('Message', '')}".strip(", ")
        if status == 412:
            return Conflict(words)
        if code in _NONE_CODES:
            return KeyError(words)
        if status == 501:
            return StoreRefused(
                f"The store {self._uri} cannot do what a run needs ({words}): use one with conditional writes, such "
                "as AWS S3, MinIO or Ceph."
            )
        if status >= 500 or status == 429 or code in _AWAY_CODES:
            return StoreAway(f"The store {self._uri} is not well ({status} {words}).")
        if code == "NoSuchBucket":
            return StoreRefused(f"There is no bucket {self._uri.bucket} for {self._uri}: make it, or correct the URI.")
        return StoreRefused(
            f"The store refuses {self._uri} ({status} {words}). See to the credentials in the environment and their "
            "rights: a run lists, reads, writes and removes objects below its prefix."
        )
