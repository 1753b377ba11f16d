"""What MLFLOW_TRACKING_URI names: made absolute, and in words why MLflow cannot open it."""

import re
from pathlib import Path
from urllib.parse import quote, urlsplit

from corpus.storage.redaction import without_user
from orchestrator.tracking.base import TrackerMisconfigured, TrackerUnusable

_SQLITE = re.compile(r"(sqlite(?:\+\w+)?):///(?!/|:memory:|file:)([^?]+)(.*)", re.DOTALL)
_FOLDER = re.compile(r"file:(?://)?(?!/)(.+)", re.DOTALL)
_WORKSPACES = ("databricks", "databricks-uc", "uc")  # not folders, though they look like one
_SERVER = re.compile(r"[\w.-]+:\d+(?:/|$)")
_LONGEST = 300  # characters of what MLflow says
_UNKNOWN_SCHEME, _NO_FOLDERS = "unsupported URI", "filesystem tracking backend"
_SCHEMES = "http, https, sqlite, postgresql, mysql, mssql, databricks"
_PACKAGES = {"psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient", "psycopg": "'knowlip[postgres]'"}


def absolute(uri: str, folder: Path) -> str:
    """Return the address with a relative path made absolute: from elsewhere the same store is meant.

    Args:
        uri: as MLFLOW_TRACKING_URI has it.
        folder: that a relative path starts from.
    """
    if uri in _WORKSPACES:
        return uri
    if database := _SQLITE.fullmatch(uri):
        return f"{database[1]}:///{(folder / database[2]).resolve()}{database[3]}"
    if place := _FOLDER.fullmatch(uri):
        return (folder / place[1]).resolve().as_uri()
    if not urlsplit(uri).scheme and not _SERVER.match(uri):
        return f"file://{quote(str((folder / uri).resolve()))}"
    return uri


def unusable(uri: str, error: Exception) -> TrackerUnusable:
    """Say in one paragraph why MLflow cannot open a store, and what to do; begins in the middle of a sentence.

    Args:
        uri: as the user gave it; a password in it is left out.
        error: what MLflow raised.

    Returns:
        The error to raise: TrackerMisconfigured where MLflow would say the same the next time.
    """
    named = f"MLFLOW_TRACKING_URI names {without_user(uri)}"
    said = without_user(" ".join(str(error).split()))
    otherwise = "or unset it to track in the run directory"
    if isinstance(error, ModuleNotFoundError) and error.name:
        why = (
            f"and the Python package {error.name} that such a database needs is not installed: "
            f"`pip install {_PACKAGES.get(error.name, error.name)}`, name another store, {otherwise}."
        )
    elif _SERVER.match(uri):
        why = f"which does not say how to reach it: write it as http://{uri}, {otherwise}."
    elif _UNKNOWN_SCHEME in said:
        why = (
            f"and MLflow knows no address that begins with {urlsplit(uri).scheme}: correct it (it knows "
            f"{_SCHEMES}), {otherwise}."
        )
    elif _NO_FOLDERS in said:
        why = (
            "a folder, and MLflow keeps runs in databases only: name one, such as "
            f"sqlite:///{Path(urlsplit(uri).path or 'mlflow').with_suffix('.db')}, {otherwise}. `mlflow "
            "migrate-filestore` takes over the runs that a folder has."
        )
    else:
        why = f"which MLflow cannot open: {type(error).__name__}: {said[:_LONGEST]}. Correct it, {otherwise}."
        return TrackerUnusable(f"{named}, {why}")
    return TrackerMisconfigured(f"{named}, {why}")


def why_deleted(name: str, identifier: str) -> str:
    """Say that the experiment a run belongs to was deleted, and what to do."""
    return (
        f"the MLflow experiment {name} is deleted in the store that MLFLOW_TRACKING_URI names, and takes no run: "
        f"restore it (`mlflow experiments restore --experiment-id {identifier}`), or give the configuration another "
        "name (--set name=NAME)."
    )
