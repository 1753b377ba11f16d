"""The images of k8s/: what they are built from is there, changes seldom before often, and is what the project says."""

import re
import subprocess
import tomllib

import pytest

from support.paths import ROOT

RAY, MLFLOW = ROOT / "k8s" / "Dockerfile", ROOT / "k8s" / "mlflow" / "Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def copied() -> list[str]:
    """Sources of the COPY lines of Ray's image, in their order."""
    lines = [line.split()[1:-1] for line in RAY.read_text().splitlines() if line.startswith("COPY ")]
    return [source for line in lines for source in line]


def test_all_that_is_copied_is_there_and_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in copied():
        assert (ROOT / source).exists(), source
        assert any(source == each or source.startswith(f"{each}/") for each in kept), source
    assert kept - {source for source in copied() if "/" not in source} == {"tools/install.sh", "k8s/mlflow"}


def test_every_package_and_all_configurations_are_in_the_image():
    packages = {each.rstrip("*") for each in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert "configs" in packages
    assert packages <= set(copied())


def test_the_build_context_has_nothing_that_lies_about():
    first = next(line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#"))
    assert first == "*"


def test_dependencies_are_installed_before_the_code_is_copied():
    text = RAY.read_text()
    dependencies, code, project = (
        text.index(each) for each in ("install.sh dependencies", "COPY orchestrator", "install.sh project")
    )
    assert dependencies < text.index("compile_communication_op") < code < project


@pytest.mark.parametrize("path", [RAY, MLFLOW], ids=["ray", "mlflow"])
def test_an_image_has_a_base_by_digest_and_ends_as_the_user_of_the_pods(path):
    text = path.read_text()
    assert re.search(r"^ARG BASE=python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert re.findall(r"^USER (\d+)$", text, re.MULTILINE)[-1] == "1000"


def test_the_server_of_mlflow_is_the_one_of_the_lock_with_clients_of_its_stores():
    lock, server = (
        dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / path).read_text(), re.MULTILINE))
        for path in ("requirements.lock", "k8s/mlflow/requirements.txt")
    )
    assert server.items() <= lock.items()
    assert {"mlflow", "SQLAlchemy", "psycopg-binary", "boto3"} <= set(server)


def test_the_images_have_the_clients_of_stores_with_and_without_a_gpu():
    clients = {name for extra in ("s3", "postgres") for name in PROJECT["project"]["optional-dependencies"][extra]}
    assert {each.replace("[binary]", "") for each in clients} <= set((ROOT / "requirements.lock").read_text().split())
    wanted = re.search(r"^wanted = \((.*)\)$", (ROOT / "tools" / "install.sh").read_text(), re.MULTILINE)
    assert {'"gpu"', '"s3"', '"postgres"'} <= set(wanted[1].split(", "))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["dependencies", "tpu"], "'tpu' is neither cpu nor gpu"),
        (["code"], "'code' is none of all, dependencies and project"),
    ],
)
def test_an_unknown_part_or_accelerator_is_refused_before_anything_is_installed(given, said):
    done = subprocess.run([ROOT / "tools" / "install.sh", *given], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert said in done.stderr
