"""Imports go one way: orchestrator -> actors -> benchmark -> {model, hcot_llm} -> corpus."""

import ast
from pathlib import Path

import pytest

from support.paths import ROOT

# Each package may import itself and those of smaller rank; two of the same rank not each other.
RANK = {"corpus": 0, "model": 1, "hcot_llm": 1, "benchmark": 2, "actors": 3, "orchestrator": 4}
# What a layer must not know, by top-level module.
FORBIDDEN = {
    "corpus": {"ray", "torch", "transformers", "vllm", "deepspeed", "mlflow"},
    "model": {"ray", "vllm", "mlflow", "rasterio", "deltalake"},
    "hcot_llm": {"ray", "deepspeed", "mlflow"},
    "benchmark": {"ray"},
    "orchestrator": {"torch", "transformers", "vllm"},
}
FILES = sorted(path for package in RANK for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> list[tuple[int, str]]:
    """(line, top-level module) of every import statement, also those inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name.split(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append((node.lineno, (node.module or "").split(".")[0]))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "import_module",
            "__import__",
        ):
            found += [
                (node.lineno, arg.value.split(".")[0])
                for arg in node.args[:1]
                if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            ]
    return found


def violations(package: str, imports: list[tuple[int, str]]) -> list[str]:
    wrong = [
        f"line {line}: {package} must not import {name}"
        for line, name in imports
        if name in RANK and name != package and RANK[name] >= RANK[package]
    ]
    return wrong + [
        f"line {line}: {package} must not know {name}" for line, name in imports if name in FORBIDDEN.get(package, ())
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    assert violations(path.relative_to(ROOT).parts[0], imported(path)) == []


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("corpus", "model"),
        ("model", "hcot_llm"),
        ("hcot_llm", "model"),
        ("benchmark", "actors"),
        ("actors", "orchestrator"),
        ("benchmark", "ray"),
        ("corpus", "torch"),
    ],
)
def test_the_rule_is_seen_to_bite(package, name):
    assert violations(package, [(1, name)])


def test_every_package_exists_and_nothing_else_is_importable():
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(RANK)
