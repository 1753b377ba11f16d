"""Pictures of the pages that a run can be watched on: `python tools/screenshots.py RUN_DIR OUT`.

Starts `mlflow ui` on the run's store, opens the pages in the machine's Chromium, and writes one WebP of each to OUT.
Needs the packages of the extra `test` and a browser: `apt install chromium`, or KNOWLIP_TESTS_BROWSER names one.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mlflow import MlflowClient
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Route, sync_playwright

from orchestrator.report.page import PAGE
from orchestrator.tracking.mlflow_store import RUNS_FILE, tracking_uri

_LARGEST = 150_000
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
# What a browser that has seen MLflow before remembers: no assistant in the way, and the view of training runs.
_SEEN_BEFORE = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.workflowType_v1": '"machine_learning"',
}
_START_S, _PAGE_MS, _SETTLE_MS = 90.0, 30_000, 2500


def main() -> None:
    """Parse the command line and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("run_dir", type=Path, help="directory of a run, finished or not")
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("--only", action="append", choices=sorted(_PAGES), help="these pages; default: all")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with served(tracking_uri(arguments.run_dir.resolve())) as address, browser() as context:
        run = Run(arguments.run_dir.resolve(), address)
        for name in arguments.only or _PAGES:
            page = context.new_page()
            _PAGES[name](page, run)
            page.wait_for_timeout(_SETTLE_MS)  # charts are drawn one after the other
            print(save(page.screenshot(), arguments.out / f"{name}.webp"))
            page.close()


class Run:
    """Where the pages of a run are.

    Args:
        directory: of the run.
        address: of the MLflow server that shows its store.
    """

    def __init__(self, directory: Path, address: str) -> None:
        told = json.loads((directory / RUNS_FILE).read_text(encoding="utf-8"))
        if told["parent"] is None:
            sys.exit(f"{directory} is not in MLflow yet.")
        self.directory, self.experiment, self.parent = directory, told["experiment_id"], told["parent"]
        self._address, self._rounds = address, told["rounds"]
        self._client = MlflowClient(tracking_uri=address)
        self.name = self._client.get_experiment(self.experiment).name

    @property
    def last_round(self) -> str:
        """The MLflow run of the last round."""
        return self._rounds[max(self._rounds, key=int)]

    def trace(self) -> str:
        """A trace of the last round."""
        found = self._client.search_traces(locations=[self.experiment], run_id=self.last_round, max_results=1)
        if not found:
            sys.exit(f"The last round of {self.directory} has no traces.")
        return found[0].info.trace_id

    def at(self, path: str) -> str:
        """The address of a page of the experiment."""
        return f"{self._address}/#/experiments/{self.experiment}{path}"

    def elsewhere(self, path: str) -> str:
        """The address of a page that is of no experiment."""
        return f"{self._address}/#{path}"


def _opened(page: Page, address: str, words: str) -> None:
    """Open a page and wait until it shows these words."""
    page.goto(address)
    page.get_by_text(words).first.wait_for(timeout=_PAGE_MS)


def _charts(page: Page, run: Run) -> None:
    _opened(page, run.at(f"/runs/{run.parent}/model-metrics"), "at a glance")


def _overview(page: Page, run: Run) -> None:
    _opened(page, run.at(f"/runs/{run.parent}"), "About this run")


def _system(page: Page, run: Run) -> None:
    _opened(page, run.at(f"/runs/{run.parent}/system-metrics"), "System metrics")


def _runs(page: Page, run: Run) -> None:
    _opened(page, run.at("/runs"), "Run Name")


def _round(page: Page, run: Run) -> None:
    _opened(page, run.at(f"/runs/{run.last_round}"), "About this run")


def _traces(page: Page, run: Run) -> None:
    _opened(page, run.at(f"/runs/{run.parent}/traces"), "Response")


def _trace(page: Page, run: Run) -> None:
    _opened(page, run.at(f"/traces?selectedEvaluationId={run.trace()}"), "decision")


def _prompt(page: Page, run: Run) -> None:
    _opened(page, run.elsewhere("/prompts/knowlip-captioner"), "knowlip-captioner")


def _model(page: Page, run: Run) -> None:
    page.set_viewport_size({"width": 2400, "height": 500})  # the metrics stand to the right
    _opened(page, run.at("/models"), "round-0001")


def _champion(page: Page, run: Run) -> None:
    _opened(page, run.elsewhere(f"/models/{run.name}"), "champion")
    page.keyboard.press("Escape")  # MLflow praises its registry first


def _gallery_in_mlflow(page: Page, run: Run) -> None:
    _opened(page, run.at(f"/runs/{run.parent}/artifacts/gallery/{PAGE}"), PAGE)


def _gallery(page: Page, run: Run) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto((run.directory / PAGE).as_uri())
    page.locator("#round").fill("1")


_PAGES: Mapping[str, Callable[[Page, Run], None]] = {
    "charts": _charts,
    "overview": _overview,
    "system": _system,
    "runs": _runs,
    "round": _round,
    "traces": _traces,
    "trace": _trace,
    "prompt": _prompt,
    "models": _model,
    "champion": _champion,
    "artifacts": _gallery_in_mlflow,
    "gallery": _gallery,
}


@contextlib.contextmanager
def served(store: str) -> Iterator[str]:
    """Serve an MLflow store on a free port of this machine while the body runs. A server is taken as it is."""
    if store.startswith(("http://", "https://")):
        yield store
        return
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        "--backend-store-uri",
        store,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    quiet, environment = subprocess.DEVNULL, os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen(command, env=environment, start_new_session=True, stdout=quiet, stderr=quiet)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, server)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # with its workers; it has written nothing that matters
        server.wait()


def _wait_for(address: str, server: subprocess.Popen) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{address}/health", timeout=5).close()
            return
        except urllib.error.URLError:
            time.sleep(0.5)
    sys.exit(f"mlflow ui did not answer at {address} within {_START_S:g} s.")


@contextlib.contextmanager
def browser() -> Iterator[BrowserContext]:
    """The machine's browser as one that has seen MLflow before; it asks nobody but this machine."""
    program = os.environ.get("KNOWLIP_TESTS_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    remembered = "".join(f"localStorage.setItem({json.dumps(k)}, {json.dumps(v)});" for k, v in _SEEN_BEFORE.items())

    def stay_here(route: Route) -> None:
        here = route.request.url.startswith(("http://127.0.0.1", "http://localhost", "file:", "data:", "blob:"))
        route.continue_() if here else route.abort()

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        context = started.new_context(viewport={"width": 1400, "height": 900}, timezone_id="UTC")
        context.add_init_script(f"try {{ {remembered} }} catch (error) {{ /* a file has no storage */ }}")
        context.route("**/*", stay_here)
        yield context
        started.close()


def save(png: bytes, path: Path) -> str:
    """Write a picture as WebP of at most 150 kB, and say what was written."""
    picture, quality, buffer = Image.open(io.BytesIO(png)).convert("RGB"), 85, io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=6)
    while buffer.tell() > _LARGEST:  # coarser first, then smaller
        if quality > 40:
            quality -= 15
        else:
            picture = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4))
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=quality, method=6)
    path.write_bytes(buffer.getvalue())
    return f"{path}: {picture.width} x {picture.height}, {buffer.tell() / 1000:.0f} kB"


if __name__ == "__main__":
    main()
