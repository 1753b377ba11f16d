"""A real S3 server in a process of its own: it can be killed, and started again at its port with what it had stored.

moto keeps objects in memory. So every request that changes something is recorded before it is answered, and what was
recorded is done again before a new process opens its port.
"""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3

from corpus.storage.objects import StoreUri
from support.paths import ROOT
from support.ports import free_port
from support.s3_server import CREDENTIALS

_BUCKET = "bucket"
_PATIENCE_S = 120


class S3Process:
    """The server and its one bucket.

    Args:
        folder: where it keeps its requests and its log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self._port}"}
        folder.mkdir()

    def __enter__(self) -> "S3Process":
        self.start()
        client = boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )
        client.create_bucket(Bucket=_BUCKET)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def uri(self, prefix: str) -> StoreUri:
        return StoreUri("s3", _BUCKET, prefix)

    @property
    def received_bytes(self) -> int:
        """Size of the requests that it has received, of which the last one may be cut off or not answered yet."""
        return (self._folder / "requests").stat().st_size

    def start(self) -> None:
        """Return once it answers, with all that it had stored."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.s3_process", str(self._port), self._folder / "requests"],
                env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9: connections are cut, and from now on refused."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def main(port: int, requests: Path) -> None:
    """Do the recorded requests again, then serve and record."""
    os.environ["MOTO_RECORDER_FILEPATH"] = str(requests)
    from moto.moto_api import recorder
    from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import run_simple
    from werkzeug.test import Client

    application = DomainDispatcherApplication(create_backend_app)
    client = Client(application)
    for request in recorded(requests):
        if request["method"] != "GET":
            body = base64.b64decode(request["body"]) if request["body_encoded"] else request["body"]
            client.open(request["url"], method=request["method"], headers=request["headers"], data=body)
    recorder.start_recording()
    # One request at a time: of two at once the recording could be mixed up.
    run_simple("127.0.0.1", port, application, threaded=False, request_handler=MotoRequestHandler)


def recorded(path: Path) -> list[dict]:
    """The whole requests of a recording; one that was cut off, and so never answered, is removed."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    path.write_bytes(whole)
    return [json.loads(line) for line in whole.splitlines()]


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
