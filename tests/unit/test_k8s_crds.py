"""The manifests of Ray against KubeRay's released definitions, in which an unknown field is an error here."""

from copy import deepcopy
from typing import Any

import jsonschema
import pytest
import yaml

from support.kustomize import OPTIONAL, OVERLAYS, needs_kustomize, of_kind, overlay, own_overlay, ray_cluster
from support.paths import SHARED

CRDS = {
    "RayJob": SHARED / "kuberay" / "ray.io_rayjobs.yaml",
    "RayCluster": SHARED / "kuberay" / "ray.io_rayclusters.yaml",
}
pytestmark = [
    needs_kustomize,
    pytest.mark.skipif(
        not all(path.is_file() for path in CRDS.values()),
        reason="KubeRay's definitions are not here: ray.io_rayjobs.yaml and its neighbour in ../shared/kuberay",
    ),
]


def strict(schema: Any) -> Any:
    """The schema with further fields refused wherever it lists fields and does not say that it keeps unknown ones."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: strict(value) for key, value in schema.items()}
    lists_fields = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if lists_fields and "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        inner["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    return inner


@pytest.fixture(scope="module")
def validators():
    found = {}
    for kind, path in CRDS.items():
        versions = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["spec"]["versions"]
        [v1] = [each["schema"]["openAPIV3Schema"] for each in versions if each["name"] == "v1"]
        schema = strict(v1)
        schema["properties"]["metadata"] = {"type": "object"}  # Kubernetes knows it, the definition leaves it open
        found[kind] = jsonschema.Draft7Validator(schema)
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_cluster_fits_the_definition_of_its_kind(validators, name):
    assert errors(validators, overlay(name)) == []


def test_all_components_together_fit_it_too(validators, tmp_path):
    built = own_overlay(tmp_path, ["run", "gpu", "kueue", *OPTIONAL, "image"], "\n".join(OPTIONAL.values()))
    assert ray_cluster(built)["historyServerOptions"]
    assert errors(validators, built) == []


def test_a_mistyped_field_is_seen(validators):
    [content] = of_kind(deepcopy(overlay("cluster")), "RayCluster")
    content["spec"]["headGroupSpec"]["template"]["spec"]["terminationGracePeriodSecond"] = 180
    [error] = errors(validators, [content])
    assert "terminationGracePeriodSecond" in error


def errors(validators, manifests) -> list[str]:
    """What is wrong with the manifests of KubeRay's kinds, of which there is one."""
    [content] = [each for each in manifests if each["kind"] in CRDS]
    return [f"{error.json_path}: {error.message}" for error in validators[content["kind"]].iter_errors(content)]
