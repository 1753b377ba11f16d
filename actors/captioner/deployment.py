"""The captioner's deployment on Ray Serve: how it starts, and requests that outlive a replica."""

import time
from collections.abc import Callable
from typing import Any

import ray
from ray import serve
from ray.exceptions import ObjectLostError, RayActorError
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ApplicationStatus

from actors.captioner.config import DeployedConfig
from actors.logs import asked_run_log
from corpus.plugins import plugin_environment
from corpus.storage.errors import UserError

DEPLOYMENT = "captioner"
DEATHS_PER_REQUEST = 3
_LOOK_EVERY_S = 1.0
"""Asking Ray Serve for its status takes a tenth of a CPU second."""


def replicas_of(owner: str) -> int:
    """Count the replicas that Ray Serve runs or starts for an owner; 0 where there is none."""
    application = serve.status().applications.get(_application_of(owner))
    return (
        0
        if application is None
        else sum(
            count for deployment in application.deployments.values() for count in deployment.replica_states.values()
        )
    )


def remove_deployment(owner: str) -> bool:
    """End the replicas that Ray Serve runs for an owner, wait until they are gone, and return whether any were."""
    if (name := _application_of(owner)) not in serve.status().applications:
        return False
    serve.delete(name)
    return True


def _application_of(owner: str) -> str:
    return f"{DEPLOYMENT}-{owner}" if owner else DEPLOYMENT


class CaptionerFailed(UserError):
    """The captioner's deployment failed or did not start in time; the message carries the reason."""


class Deployment:
    """Replicas of one class, within the configured bounds.

    Making a deployment does not wait: an engine starts while the first round trains.

    Args:
        replica: The class of the replicas; requests call its methods.
        config: How many replicas there are, and what each reserves.
        *arguments: Of the class's constructor.
        owner: Names the run; runs that share a cluster have one deployment each, and a run that is resumed replaces
            the one it left.
    """

    def __init__(self, replica: type, config: DeployedConfig, *arguments: Any, owner: str = "") -> None:
        self._config = config
        self._application = _application_of(owner)
        environment = {
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "OMP_NUM_THREADS": str(config.threads_per_replica),
            # A controller of Ray Serve that another run has started knows neither.
            **asked_run_log(),
            **plugin_environment(),
        }
        options = {
            "num_cpus": config.cpus_per_replica,
            "num_gpus": config.gpus_per_replica,
            "runtime_env": {"env_vars": environment},
        }
        scaling: dict[str, Any] = (
            {"num_replicas": config.min_replicas}
            if config.min_replicas == config.max_replicas
            else {
                "autoscaling_config": {
                    "min_replicas": config.min_replicas,
                    "max_replicas": config.max_replicas,
                    "target_ongoing_requests": 2,
                }
            }
        )
        deployment = serve.deployment(
            name=DEPLOYMENT,
            ray_actor_options=options,
            max_ongoing_requests=2,
            health_check_timeout_s=600,
            **scaling,
        )(replica)
        serve.start(proxy_location="Disabled")
        serve.run_many(
            [serve.RunTarget(deployment.bind(*arguments), name=self._application, route_prefix=None)],
            wait_for_applications_running=False,
        )
        self.handle: DeploymentHandle = serve.get_deployment_handle(DEPLOYMENT, self._application)

    def wait_until_running(self) -> None:
        """Wait until the least number of replicas is ready.

        Raises:
            CaptionerFailed: The replicas do not start, or not in time.
        """
        deadline = time.monotonic() + self._config.start_timeout_s
        while True:
            application = serve.status().applications.get(self._application)
            if application is None:
                raise CaptionerFailed(
                    f"Ray Serve has no application {self._application} any more: somebody deleted it, or "
                    "another cluster answers. `knowlip resume RUN_DIR` deploys it anew."
                )
            if application.status == ApplicationStatus.RUNNING:
                return
            if application.status == ApplicationStatus.DEPLOY_FAILED:
                reasons = [application.message, *(each.message for each in application.deployments.values())]
                raise CaptionerFailed(f"the captioner did not start: {' '.join(filter(None, reasons))}")
            if time.monotonic() > deadline:
                raise CaptionerFailed(
                    f"no captioner was ready within {self._config.start_timeout_s:g} s (captioner.start_timeout_s); it "
                    f"asks for {self._config.cpus_per_replica} CPU and {self._config.gpus_per_replica:g} GPU, and Ray "
                    f"offers {ray.available_resources()}; training workers may hold the rest (train.max_workers); "
                    f"last word of Ray Serve: {application.message or application.status}"
                )
            time.sleep(_LOOK_EVERY_S)

    def call(self, send: Callable[[DeploymentHandle], Any]) -> "PendingAnswers":
        """Send a request; `.result()` of what comes back waits for the answer.

        Args:
            send: Calls a method of the deployment's handle. It is called again where a replica dies.
        """
        return PendingAnswers(self, send)

    def shutdown(self, wait: bool = True) -> None:
        """Remove the deployment; Ray Serve itself may be serving others on a shared cluster.

        Args:
            wait: Whether to wait until the replicas have ended.
        """
        if ray.is_initialized():  # else Serve would start a cluster to look there
            # Where replicas scale, a thread of the handle tells the controller about its load. Left alone, it would
            # start a cluster to do so once this one is gone.
            self.handle.shutdown()
            serve.delete(self._application, _blocking=wait)
            serve.status()  # asked after it: by then Serve has heard, whatever becomes of this process


class PendingAnswers:
    """A request under way.

    A replica that dies is replaced by Ray Serve, and the request is sent again; so is a request whose answer was lost
    with a node. That is safe: a replica changes nothing outside itself, and a new one of the native captioner labels
    only after it has proven the weights.
    """

    def __init__(self, deployment: Deployment, send: Callable[[DeploymentHandle], Any]) -> None:
        self._deployment, self._send = deployment, send
        self._response = send(deployment.handle)

    def result(self) -> Any:
        """Wait for the answer.

        Raises:
            CaptionerFailed: DEATHS_PER_REQUEST replicas died one after another.
        """
        last: Exception | None = None
        for deaths in range(1, DEATHS_PER_REQUEST + 1):
            try:
                return self._response.result()
            except (RayActorError, ObjectLostError) as error:  # the latter: an answer that lay on a lost node
                last = error
                if deaths < DEATHS_PER_REQUEST:
                    self._deployment.wait_until_running()
                    self._response = self._send(self._deployment.handle)
        raise CaptionerFailed(
            f"{DEATHS_PER_REQUEST} captioner replicas died one after another on the same request; the "
            f"last: {last}. Often the memory did not suffice: lower captioner.tiles_per_shard or the "
            "engine's max_sequences."
        ) from last
