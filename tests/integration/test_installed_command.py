"""The command as pip installs it, in a process of its own."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from corpus.storage.yaml import load_yaml
from support.paths import ROOT
from support.shared_run import knowlip


def test_the_installed_command_reports_an_error_as_a_paragraph(tmp_path):
    done = knowlip("run", "absent.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: There is no configuration absent.yaml.")
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with the project's wheel installed; built from a copy, as a build writes beside its source."""
    folder = tmp_path_factory.mktemp("wheel")
    source, wheels, site = folder / "source", folder / "wheels", folder / "site"
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    for name in found:
        package = name.rstrip("*")
        shutil.copytree(ROOT / package, source / package, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", wheels, source)
    pip("install", "--no-deps", "--no-index", "--no-compile", "--target", site, *wheels.glob("*.whl"))
    return site


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def installed(site: Path, *arguments: str, cwd: Path) -> str:
    """Output of the command that the wheel has; an installation of a checkout stands behind it on the path."""
    code = (
        f"import orchestrator; assert orchestrator.__file__.startswith({str(site)!r}); "
        "from orchestrator.cli import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "120"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_has_every_file_that_lies_beside_the_modules(site):
    def files(root: Path, package: str) -> set[Path]:
        every = (each.relative_to(root) for each in (root / package).rglob("*") if each.is_file())
        return {each for each in every if "__pycache__" not in each.parts}

    packages = [each.name for each in site.iterdir() if each.suffix != ".dist-info" and each.name != "bin"]
    assert {"configs", "hcot_llm", "orchestrator"} <= set(packages)
    for package in packages:
        assert files(site, package) == files(ROOT, package)


def test_a_configuration_of_ones_own_takes_its_parts_from_the_wheel(site, tmp_path):
    named = "model: model/tiny.yaml\nschedule: schedule/paper.yaml\nschema: schema/mstar.yaml\n"
    (tmp_path / "my.yaml").write_text(named)
    shown = load_yaml(installed(site, "config", "my.yaml", cwd=tmp_path))
    assert (shown["name"], shown["schema"]["name"]) == ("my", "mstar")
    (tmp_path / "my.yaml").write_text("model: model/tiny.yaml\n")
    assert installed(site, "plan", "my.yaml", cwd=tmp_path).startswith("Rounds")


def test_the_configurations_of_the_documentation_are_in_the_wheel(site, tmp_path):
    shown = load_yaml(installed(site, "config", "configs/default.yaml", cwd=tmp_path))
    assert shown["name"] == "default"
    assert list(tmp_path.iterdir()) == []
