"""Which MLflow store and which of its runs a run is written to, how a reader looks at it, and whether it answers."""

import os
import shlex
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import requests
from mlflow.exceptions import MlflowException
from pydantic import Field, StringConstraints, TypeAdapter
from rich.console import Console

from corpus.storage.disk import causes
from corpus.storage.models import StrictModel
from corpus.storage.redaction import without_user
from orchestrator.tracking.base import TrackerAway
from orchestrator.tracking.mlflow_address import absolute
from orchestrator.tracking.outbox import LOOP

# The outbox does the waiting, so a request is tried once and not for MLflow's four minutes.
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_AWAY = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.RetryError,
    requests.exceptions.ChunkedEncodingError,
)
# A proxy that lost its server, a token that ran out: what waits arrives once somebody has mended it.
_AWAY_CODES = {"TEMPORARILY_UNAVAILABLE", "UNAUTHENTICATED", "PERMISSION_DENIED", "ENDPOINT_NOT_FOUND"}
# The same from where artifacts go, which answers without MLflow's codes; 5xx as well.
_AWAY_STATUSES = {401, 403, 404, 408, 429}
# MLflow 3.17 has no code of its own for a run or an experiment that a user has deleted and can restore.
_DELETED = "must be in the 'active' state"


# Part of a path below mlartifacts/.
RunId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+\z")]
RUN_ID = TypeAdapter(RunId)


class TrackedRuns(StrictModel):
    """mlflow_runs.json of a run directory: its MLflow runs, each null or missing until the server has created it.

    `key` is in a tag of every run, by which a run is found that was created just before a crash.
    """

    tracking_uri: str
    experiment_id: str | None = None
    parent: RunId | None = None
    rounds: dict[int, RunId] = Field(default_factory=dict)
    key: str = Field(default_factory=lambda: uuid.uuid4().hex)

    def run_id(self, number: int) -> str | None:
        """Return the MLflow id of a round's run, or of the parent run for LOOP."""
        return self.parent if number == LOOP else self.rounds.get(number)

    def forget(self) -> None:
        """Forget what the store has lost: runs are looked up, or created, when they are delivered again."""
        self.experiment_id, self.parent, self.rounds = None, None, {}


def local_uri(run_dir: Path) -> str:
    """Return the URI of the SQLite store inside a run directory."""
    return f"sqlite:///{Path(run_dir).resolve() / 'mlflow.db'}"


def tracking_uri(run_dir: Path) -> str:
    """Return where a run is tracked: MLFLOW_TRACKING_URI, its path made absolute, or the store inside its directory."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    return absolute(named, Path.cwd()) if named else local_uri(run_dir)


def ui_command(run_dir: Path) -> str:
    """Return the shell command that shows a run in the browser."""
    uri = tracking_uri(run_dir)
    if uri.startswith(("http://", "https://")):
        return f"open {without_user(uri)}"
    program = Path(sys.prefix, "bin", "mlflow")
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    # The URI of a database may hold a password; the shell knows it.
    store = shlex.quote(uri) if without_user(uri) == uri else '"$MLFLOW_TRACKING_URI"'
    return f"{shlex.quote(str(program))} ui --backend-store-uri {store}"


def sign_in(uri: str) -> str:
    """Return a server's URI without its user and password; MLflow then takes them from the environment.

    MLflow's messages quote the URI.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return without_user(uri)


@contextmanager
def reaching_store() -> Iterator[None]:
    """Requests of the body do not wait long, and raise TrackerAway for what somebody can mend without us."""
    mine = {name: value for name, value in _IMPATIENT.items() if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    except (MlflowException, requests.exceptions.RequestException, ConnectionError, TimeoutError) as error:
        if is_away(error):
            raise TrackerAway(" ".join(str(error).split())) from error
        raise
    finally:
        for name in mine:
            del os.environ[name]


def is_away(error: BaseException) -> bool:
    """Return whether an error of a request means that the store, or the place for artifacts, is away for now.

    It is away if it does not answer, says that it is overloaded or broken (408, 429, 5xx), refuses us as a whole (401,
    403, 404 of a proxy), or if the run or its experiment is deleted there and can be restored.
    """
    if isinstance(error, MlflowException) and (error.error_code in _AWAY_CODES or _DELETED in str(error)):
        return True
    if isinstance(error, (ConnectionError, TimeoutError)):  # of a place for artifacts that is no HTTP server
        return True
    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
        return error.response.status_code in _AWAY_STATUSES or error.response.status_code >= 500
    # MLflow raises its own exception while it handles the one of requests.
    first = next((each for each in causes(error) if isinstance(each, _AWAY)), None)
    # A certificate that is not trusted stays so.
    return first is not None and not isinstance(first, requests.exceptions.SSLError)


def say(text: str) -> None:
    """Tell the user, beside what the loop prints."""
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
