"""Whether an MLflow store answers, and what counts as being away."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException

from corpus.storage.disk import causes
from corpus.storage.redaction import without_user
from orchestrator.tracking.base import TrackerAway, TrackerUnusable
from orchestrator.tracking.mlflow_address import unusable, why_deleted

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


def check_store(named: str, uri: str, experiment: str) -> None:
    """Open a store, and look for an experiment.

    Args:
        named: What MLFLOW_TRACKING_URI says.
        uri: The store's address.
        experiment: Its name.

    Raises:
        TrackerAway: There is no answer.
        TrackerMisconfigured: There is no such store, or its driver is not installed.
        TrackerUnusable: It cannot be opened, or the experiment is deleted in it.
    """
    try:
        with reaching_store():
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
            found = client.get_experiment_by_name(experiment)
    except TrackerAway as error:
        raise TrackerAway(
            "the MLflow server that MLFLOW_TRACKING_URI names does not answer. Start it, mend the variable, or "
            f"unset it to track in the run directory. {without_user(str(error))}"
        ) from error
    except Exception as error:  # of any library that opens stores: a driver that is missing, no such address
        raise unusable(named, error) from error
    if found is not None and found.lifecycle_stage == LifecycleStage.DELETED:
        raise TrackerUnusable(why_deleted(found.name, found.experiment_id))
