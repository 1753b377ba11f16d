"""The Pod Security Standard `restricted`, rule by rule as Kubernetes documents it."""

from typing import Any

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
PROFILES = {"RuntimeDefault", "Localhost"}


def violations(spec: dict[str, Any]) -> list[str]:
    """What keeps a pod out of a namespace that enforces the standard.

    Args:
        spec: of the pod.
    """
    pod = spec.get("securityContext", {})
    found = [f"spec.{key}" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    found += [
        f"volume {each['name']} of kind {kind}"
        for each in spec.get("volumes", [])
        for kind in each.keys() - {"name"} - VOLUMES
    ]
    for each in [*spec.get("initContainers", []), *spec["containers"]]:
        own = each.get("securityContext", {})
        security = pod | own
        added = set(own.get("capabilities", {}).get("add", []))
        kept = {
            "privileged": own.get("privileged", False) is not False,
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is not False,
            "runAsNonRoot": security.get("runAsNonRoot") is not True,
            "runAsUser": security.get("runAsUser") == 0,
            "seccompProfile": security.get("seccompProfile", {}).get("type") not in PROFILES,
            "capabilities.drop": own.get("capabilities", {}).get("drop") != ["ALL"],
            "capabilities.add": not added <= {"NET_BIND_SERVICE"},
            "hostPort": any("hostPort" in port for port in each.get("ports", [])),
        }
        found += [f"{each['name']}: {rule}" for rule, broken in kept.items() if broken]
    return found
