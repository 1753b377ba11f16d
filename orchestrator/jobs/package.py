"""What is sent with a submission: the whole configuration, and the code where the cluster does not have it."""

import base64
import importlib.metadata
import json
import shlex
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import orchestrator
from corpus.storage.yaml import dump_yaml
from orchestrator.config.load import with_paths
from orchestrator.config.schema import RunConfig

CONFIG = "run.yaml"
_PACKAGES = ("actors", "benchmark", "corpus", "export", "hcot_llm", "model", "orchestrator")
_KNOWLIP = "python -c 'from orchestrator.cli import main; main()'"
"""Works where knowlip is installed, and where its code was sent along."""


def run_dir_of(name: str, storage: PurePosixPath) -> PurePosixPath:
    """Return where a submitted run writes, on storage that all nodes see."""
    return storage / "runs" / name


def on_cluster(config: RunConfig, storage: PurePosixPath) -> dict[str, Any]:
    """Return the whole configuration for a cluster: relative paths lie below the storage root.

    Args:
        config: of the run, as it was read here.
        storage: an absolute path of the cluster's nodes.
    """
    content = with_paths(config, lambda path: str(storage / path))  # an absolute path stays as it is
    content["cluster"] |= {"address": "auto", "spill_dir": None}
    return content


def as_text(config: dict[str, Any]) -> str:
    """Return what `on_cluster` returned in a few kB: it is kept with every attempt."""
    return base64.b64encode(zlib.compress(json.dumps(config).encode())).decode()


def from_text(text: str) -> dict[str, Any]:
    """Return what `as_text` was given; {} of nothing."""
    return json.loads(zlib.decompress(base64.b64decode(text))) if text else {}


def differences(there: dict[str, Any], here: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Iterate over (dotted key, value there, value here) of two configurations.

    A key that only one of them has is one of another version of knowlip, and says nothing.
    """
    for key in here:
        if key not in there:
            continue
        if isinstance(there[key], dict) and isinstance(here[key], dict):
            yield from ((f"{key}.{below}", *values) for below, *values in differences(there[key], here[key]))
        elif there[key] != here[key]:
            yield key, there[key], here[key]


def pack(config: RunConfig, storage: PurePosixPath, folder: Path, code: bool) -> None:
    """Write what a submission needs into an empty folder.

    Args:
        config: of the run.
        storage: see `on_cluster`.
        folder: the folder.
        code: whether to send knowlip's own packages too, as they are here.
    """
    (folder / CONFIG).write_text(dump_yaml(on_cluster(config, storage)), encoding="utf-8")
    if code:
        root = Path(orchestrator.__file__).resolve().parents[1]
        for package in _PACKAGES:
            shutil.copytree(root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        # A run records the version of the code that works on it, which Python looks for beside the code.
        version = importlib.metadata.version("knowlip")
        (folder / f"knowlip-{version}.dist-info").mkdir()
        said = f"Metadata-Version: 2.1\nName: knowlip\nVersion: {version}\n"
        (folder / f"knowlip-{version}.dist-info" / "METADATA").write_text(said, encoding="utf-8")


def run_command(run_dir: PurePosixPath) -> str:
    """Return the shell command of a submission: it begins the run, or goes on where an earlier attempt stopped."""
    place = shlex.quote(str(run_dir))
    return (
        f"if [ -e {place}/config.yaml ]; then exec {_KNOWLIP} resume {place}; "
        f"else exec {_KNOWLIP} run {CONFIG} --run-dir {place}; fi"
    )


def status_command(run_dir: PurePosixPath) -> str:
    """Return the shell command that prints the status of a run as JSON."""
    return f"exec {_KNOWLIP} status {shlex.quote(str(run_dir))} --json"
