"""A real S3 server in this process, behind a proxy that can take it away, slow it down, or cut what goes through."""

import functools
import logging
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import boto3

from corpus.storage.objects import StoreUri

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_PART = 65536


class Proxy:
    """Passes TCP connections on. What happens to them is set while it runs.

    Attributes:
        bytes_per_s: How fast uploads go; None: as fast as they can.
        uploaded: Bytes that clients have sent.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self.bytes_per_s: float | None = None
        self.uploaded = 0
        self.port = 0
        self.return_()

    def go_away(self) -> None:
        """Refuse connections from now on, and cut those that are open."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def return_(self) -> None:
        """Take connections, at the port of before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, args=[self._listener], daemon=True).start()

    def _listen(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._open |= {client, server}
            threading.Thread(target=self._pass, args=[client, server, True], daemon=True).start()
            threading.Thread(target=self._pass, args=[server, client, False], daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_upload: bool) -> None:
        try:
            while part := source.recv(_PART):
                if is_upload:
                    self.uploaded += len(part)
                    if self.bytes_per_s is not None:
                        time.sleep(len(part) / self.bytes_per_s)
                target.sendall(part)
        except OSError:
            pass
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            self._open.discard(each)


class S3:
    """The server, what clients need in their environment, and what lies in its one bucket."""

    def __init__(self, host: str, port: int) -> None:
        self.proxy = Proxy((host, port))
        self.environment = {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.proxy.port}"}
        self.bucket = f"bucket-{uuid.uuid4().hex}"
        self._client = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )
        self._client.create_bucket(Bucket=self.bucket)

    def uri(self, prefix: str) -> StoreUri:
        return StoreUri("s3", self.bucket, prefix)

    def keys(self, prefix: str) -> dict[str, int]:
        """Key below a prefix -> size, past the proxy."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{prefix}/")
        return {each["Key"].removeprefix(f"{prefix}/"): each["Size"] for page in pages for each in page["Contents"]}

    def overwrite(self, prefix: str, key: str, body: bytes) -> None:
        """As somebody else would, past the proxy."""
        self._client.put_object(Bucket=self.bucket, Key=f"{prefix}/{key}", Body=body)

    def unfinished_uploads(self) -> list[str]:
        found = self._client.list_multipart_uploads(Bucket=self.bucket)
        return [each["Key"] for each in found.get("Uploads", ())]

    def begin_upload(self, prefix: str, key: str) -> None:
        """Leave an upload in parts as a driver that is killed does."""
        self._client.create_multipart_upload(Bucket=self.bucket, Key=f"{prefix}/{key}")


@functools.cache
def _server() -> tuple[str, int]:
    """One server a process, as it takes a while to start; it ends with the process."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Where it is used: Flask in a process that imports tests, and vLLM cannot start an engine there any more.
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    return server.get_host_and_port()


@contextmanager
def s3_server() -> Iterator[S3]:
    """A bucket of one's own on a real server."""
    server = S3(*_server())
    try:
        yield server
    finally:
        server.proxy.go_away()
