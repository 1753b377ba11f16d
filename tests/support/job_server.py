"""A stand-in for Ray's job server: the jobs are what a test puts there, and nothing is run."""

import json
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from orchestrator.jobs.package import as_text


class JobServer:
    """Jobs of a cluster.

    Attributes:
        jobs: what the server says of a job, by its id.
        logs: by the same.
        away: number of requests that are not answered from now on.
        asked: number of requests so far.
        said: what a job prints that looks at a run.
        monitor_s: how long after its end the server writes the entry of a job anew that is deleted, as Ray does.
        on_request: called before each answer.
    """

    def __init__(self) -> None:
        self.jobs, self.logs, self.ended = {}, {}, {}
        self.away = self.asked = 0
        self.said, self.monitor_s, self.address = "{}", 0.2, ""
        self.on_request = lambda: None

    def add(self, submission_id: str, status: str, log: str = "", code: int | None = None, config=None, **more) -> None:
        """Put a job there, or put another in its place."""
        metadata = {"knowlip_run_dir": "/runs/runs/small", "knowlip_user": "ada", "knowlip_host": "desk"}
        if config is not None:
            metadata["knowlip_config"] = as_text(config)
        self.jobs[submission_id] = {
            "type": "SUBMISSION",
            "submission_id": submission_id,
            "status": status,
            "entrypoint": "x",
            "driver_exit_code": code,
            "metadata": metadata,
            "runtime_env": {},
            **more,
        }
        self.logs[submission_id] = log

    def answer(self, method: str, path: list[str], body: bytes):
        """What is answered: (status, JSON)."""
        if path == ["api", "version"]:
            return 200, {"version": "4", "ray_version": "2.60.0", "ray_commit": "x"}
        if path[:2] == ["api", "packages"]:
            return 200, {}
        if path == ["api", "jobs"]:
            return self._submitted(json.loads(body)) if method == "POST" else (200, list(self.jobs.values()))
        job_id = path[2]
        if job_id not in self.jobs:
            return 404, {}
        if method == "DELETE":
            del self.jobs[job_id]
            if time.monotonic() < self.ended.get(job_id, 0) + self.monitor_s:
                self.add(job_id, "FAILED", message="Unexpected error occurred: failed to get job supervisor.")
            return 200, {"deleted": True}
        if path[3:] == ["logs"]:
            return 200, {"logs": self.logs[job_id]}
        return 200, self.jobs[job_id]

    def _submitted(self, job: dict):
        job_id = job.get("submission_id")
        if job_id is None:
            job_id = "raysubmit_1"
            self.add(job_id, "SUCCEEDED", self.said, 0)
            self.ended[job_id] = time.monotonic()
        else:
            self.add(job_id, "PENDING")
            self.jobs[job_id] |= {"metadata": job["metadata"], "runtime_env": job["runtime_env"]}
        return 200, {"job_id": job_id, "submission_id": job_id}


@contextmanager
def job_server():
    """Yields a server that listens on this machine."""
    state = JobServer()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_) -> None:
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.asked += 1
            if state.away > 0:
                state.away -= 1
                self.close_connection = True
                return
            state.on_request()
            status, content = state.answer(self.command, self.path.split("?")[0].strip("/").split("/"), body)
            said = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = do_DELETE = answer

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.address = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
