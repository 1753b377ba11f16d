"""A real MLflow server on this machine, that tests start and kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests


@contextmanager
def server(folder: Path, port: int) -> Iterator[None]:
    """A tracking server that keeps its store in `folder`; ended with its workers, as by a power cut."""
    folder = folder.resolve()  # the server runs inside it
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mlflow",
                "server",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--workers",
                "1",
                "--backend-store-uri",
                f"sqlite:///{folder}/mlflow.db",
                "--serve-artifacts",
                "--artifacts-destination",
                str(folder / "artifacts"),
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=folder,
        )
    try:
        until = time.monotonic() + 120
        while True:
            try:
                if requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok:
                    break
            except requests.exceptions.RequestException:
                pass
            assert process.poll() is None, (folder / "server.log").read_text()[-3000:]
            assert time.monotonic() < until, (folder / "server.log").read_text()[-3000:]
            time.sleep(0.2)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
