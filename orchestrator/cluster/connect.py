"""Connecting to the Ray cluster of a run, or starting a local one."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import ray.data
from ray.exceptions import AuthenticationError

from actors.logs import asked_run_log
from corpus.plugins import plugin_environment
from corpus.storage.errors import UserError
from corpus.storage.redaction import without_user
from orchestrator.cluster.signals import hang_up_blocked
from orchestrator.config.schema import RunConfig

_LOG = logging.getLogger(__name__)

# At WARNING these tell a user nothing new: how a local cluster guards itself, and that our progress bars replace Ray's.
_QUIET = {
    "ray": logging.WARNING,
    "ray.data": logging.ERROR,
    "ray.serve": logging.WARNING,
    "ray.train": logging.WARNING,
    "ray._private.authentication.authentication_token_setup": logging.ERROR,
}


class ClusterUnreachable(UserError):
    """The configured Ray cluster does not answer, or does not accept this driver."""


def connect(address: str) -> None:
    """Connect to a running cluster.

    Args:
        address: Address of the cluster, as Ray takes it: HOST:PORT, or "auto".

    Raises:
        ClusterUnreachable: No cluster answers there, or it does not accept this driver; the message says what to check.
    """
    leave_forks_alone()
    try:
        _check_port(address)
        environment = {**asked_run_log(), **plugin_environment()}
        with _keeping_sigterm_handler():
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.WARNING,
                runtime_env={"env_vars": environment} if environment else None,
            )
    except (OSError, AuthenticationError) as error:
        raise ClusterUnreachable(
            f"cluster.address={address}: no Ray cluster lets this driver in. Is one running there (ray status)? Does "
            "it ask for a token? Then set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or put the token into "
            "~/.ray/auth_token"
        ) from error


def _check_port(address: str) -> None:
    """Raise OSError where nobody listens, at once. Ray would try such a port for a quarter of an hour."""
    host, separator, port = address.rpartition("://")[2].rpartition(":")
    if separator and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def leave() -> None:
    """Disconnect from the cluster, and end it if this process started it."""
    with _keeping_sigterm_handler():
        ray.shutdown()


@contextmanager
def _keeping_sigterm_handler() -> Iterator[None]:
    """Put the handler of SIGTERM back that Ray replaces while the body runs.

    Seen in Ray 2.60.0, https://github.com/ray-project/ray/issues/17308: `ray.init` sets a handler that ends the process
    at once, with nothing saved, and `ray.shutdown` sets none at all. A signal that comes meanwhile is handled at the
    end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    on_terminate = signal.getsignal(signal.SIGTERM)
    terminated = False
    try:
        yield
    except SystemExit as end:
        terminated = end.code == signal.SIGTERM
        if not terminated:
            raise
    finally:
        if on_terminate is not None:
            signal.signal(signal.SIGTERM, on_terminate)
    if terminated:
        signal.raise_signal(signal.SIGTERM)
        raise SystemExit(signal.SIGTERM)


def start_cluster(config: RunConfig) -> None:
    """Connect to the configured cluster, or start a local one.

    Raises:
        ClusterUnreachable: There is no cluster at the configured address.
    """
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
    cluster = config.cluster
    if config.train.gpus_per_worker == 0:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    if cluster.address is not None:
        connect(cluster.address)
    else:
        _leave_other_clusters()
        spill = {}
        if cluster.spill_dir is not None:
            cluster.spill_dir.mkdir(parents=True, exist_ok=True)
            spill["object_spilling_directory"] = str(cluster.spill_dir.resolve())
        start_local(
            **spill,
            num_cpus=cluster.local_cpus,
            logging_level=logging.WARNING,
            object_store_memory=int(cluster.object_store_memory_gib * 2**30),
            _system_config={
                # Idle workers are kept for a phase, as starting one and importing Arrow takes longer than most
                # tasks. They are not kept for the whole run: two dozen of them held 3 GB.
                "idle_worker_killing_time_threshold_ms": 60_000,
                "worker_maximum_startup_concurrency": cluster.local_cpus,
            },
        )
        _guard_token()
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # Order must not depend on which task finishes first.
    context.execution_options.preserve_order = True


def start_local(**options: Any) -> None:
    """Start a Ray cluster of this process's own, without a dashboard, and connect to it.

    Args:
        options: As `ray.init` takes them.
    """
    leave_forks_alone()
    # "local": else Ray would join a cluster that somebody else has started on this machine.
    with _keeping_sigterm_handler(), hang_up_blocked():
        ray.init(**{"address": "local", "include_dashboard": False, "log_to_driver": False, **options})


def leave_forks_alone() -> None:
    """Keep gRPC from handling forks; to be called before its first use.

    Seen in grpcio 1.85: where a thread is in a call while the process forks, one child in eight aborts before it has
    become the program that it was forked for. Ray's head or a worker then never starts, and Ray waits half a minute
    for it. All that is forked here becomes another program, which needs no handling.
    """
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


def _leave_other_clusters() -> None:
    """Say that RAY_ADDRESS is not used, and have no part of Ray use it later: it names a cluster of others."""
    if other := os.environ.pop("RAY_ADDRESS", ""):
        _LOG.warning(
            "RAY_ADDRESS names %s, and cluster.address is null: the run starts a cluster of its own. To run on that "
            "one, set cluster.address=auto.",
            without_user(other),
        )


def _guard_token() -> None:
    """Make the token of a local cluster private: Ray leaves it readable for every user of the machine."""
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file() and token.stat().st_uid == os.getuid():
        token.chmod(0o600)
