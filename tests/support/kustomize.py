"""Builds folders of k8s/ with kustomize itself, that of kubectl or a program of its own, and finds what is in them."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.paths import ROOT

FOLDER = ROOT / "k8s"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())
OPTIONAL = {
    "history": "configMapGenerator: [{name: ray-history, literals: [S3_BUCKET=b, S3_ENDPOINT=s3.local, S3_REGION=r]}]",
    "monitoring": "",
    "storage": "",
}
"""Components that no overlay has, and what each asks of an overlay."""

needs_kustomize = pytest.mark.skipif(
    not any(map(shutil.which, ("kubectl", "kustomize"))),
    reason="neither kubectl nor kustomize is on the PATH: no overlay of k8s/ can be built",
)


def build(folder: Path) -> list[dict[str, Any]]:
    """The manifests that kustomize makes of a folder."""
    program = ["kubectl", "kustomize"] if shutil.which("kubectl") else ["kustomize", "build"]
    done = subprocess.run([*program, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # what is deprecated is said there
    return list(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


@cache
def overlay(name: str) -> tuple[dict[str, Any], ...]:
    """The manifests of an overlay that comes along; not to be changed."""
    return tuple(build(FOLDER / "overlays" / name))


def own_overlay(folder: Path, components: list[str], more: str = "") -> list[dict[str, Any]]:
    """The manifests of an overlay as a user would write it, outside of the project.

    Args:
        folder: an empty one.
        components: names of components.
        more: further lines of its kustomization.yaml.
    """
    place = os.path.relpath(FOLDER, folder)
    listed = "".join(f"  - {place}/components/{each}\n" for each in components)
    (folder / "kustomization.yaml").write_text(f"resources: [{place}/base]\ncomponents:\n{listed}{more}\n")
    return build(folder)


def of_kind(manifests: Any, kind: str) -> list[dict[str, Any]]:
    """Those of one kind."""
    return [each for each in manifests if each["kind"] == kind]


def named(manifests: Any, kind: str, name: str) -> dict[str, Any]:
    """The one of that kind and name."""
    [found] = [each for each in of_kind(manifests, kind) if each["metadata"]["name"] == name]
    return found


def ray_cluster(manifests: Any) -> dict[str, Any]:
    """The specification of an overlay's one cluster, be it a RayJob's or standing."""
    [spec] = [
        *(each["spec"]["rayClusterSpec"] for each in of_kind(manifests, "RayJob")),
        *(each["spec"] for each in of_kind(manifests, "RayCluster")),
    ]
    return spec


def ray_pods(manifests: Any) -> list[dict[str, Any]]:
    """Pod templates of Ray: the head's, then the workers'."""
    spec = ray_cluster(manifests)
    return [spec["headGroupSpec"]["template"], *(group["template"] for group in spec["workerGroupSpecs"])]


def other_pods(manifests: Any) -> list[dict[str, Any]]:
    """Pod templates of everything else: services, and what submits."""
    plain = [
        each["spec"]["template"] for kind in ("Deployment", "StatefulSet", "Job") for each in of_kind(manifests, kind)
    ]
    return [*plain, *(each["spec"]["submitterPodTemplate"] for each in of_kind(manifests, "RayJob"))]


def container(template: dict[str, Any]) -> dict[str, Any]:
    """The only container of a pod template."""
    [only] = template["spec"]["containers"]
    return only


def environment(template: dict[str, Any]) -> dict[str, Any]:
    """Values of a pod's environment by name; for those taken from elsewhere, from where."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(template)["env"]}


def bytes_of(quantity: str) -> int:
    """A quantity of Kubernetes in bytes, for instance 2Gi."""
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return int(quantity[:-2]) * units[quantity[-2:]]


def configuration(manifests: Any, folder: Path) -> tuple[Path, str]:
    """The run's configuration as a file, and its name."""
    [run] = [each for each in of_kind(manifests, "ConfigMap") if each["metadata"]["name"].startswith("knowlip-run-")]
    path = folder / "run.yaml"
    path.write_text(run["data"]["run.yaml"], encoding="utf-8")
    return path, run["data"]["name"]
