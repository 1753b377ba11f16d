"""Imports go one way: orchestrator -> actors -> {benchmark, export} -> {model, hcot_llm} -> corpus; also inside."""

import ast
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pytest

from support.paths import ROOT

# Each package may import itself and those of smaller rank; two of the same rank not each other.
RANK = {"corpus": 0, "model": 1, "hcot_llm": 1, "benchmark": 2, "export": 2, "actors": 3, "orchestrator": 4}
# What a layer must not know, by top-level module.
FORBIDDEN = {
    "corpus": {"ray", "torch", "transformers", "vllm", "deepspeed", "mlflow"},
    "model": {"ray", "vllm", "mlflow", "rasterio", "deltalake"},
    "hcot_llm": {"ray", "deepspeed", "mlflow"},
    "benchmark": {"ray"},
    "export": {"ray", "mlflow"},
    "orchestrator": {"torch", "transformers", "vllm"},
}
# Inside a package, from the bottom: a part imports parts of earlier rows, never of its own row or of a later one. A
# part is a sub-package or a file. Files of one part may import each other, as long as there is no cycle.
ORDER = (
    (
        ("corpus.storage",),
        ("corpus.cities",),
        ("corpus.geotiff", "corpus.tiles"),
        ("corpus.ingest", "corpus.simulate", "corpus.labelled", "corpus.radiometry"),
    ),
    (
        ("hcot_llm.schema",),
        ("hcot_llm.text", "hcot_llm.knowledge", "hcot_llm.aggregation"),
        ("hcot_llm.prompts", "hcot_llm.initial"),
        ("hcot_llm.engines",),
    ),
    (
        ("export.licence",),
        ("export.sample", "export.json_stream"),
        ("export.source", "export.pixels", "export.footprint"),
        ("export.base",),
        ("export.write",),
        ("export.formats",),
        ("export.registry",),
    ),
    (
        ("actors.data",),
        ("actors.captioner",),
        ("actors.weights",),
        ("actors.scorer", "actors.trainer", "actors.evaluator"),
    ),
    (
        ("orchestrator.policies",),
        ("orchestrator.state.format", "orchestrator.tracking.registry"),
        ("orchestrator.config",),
        ("orchestrator.state",),
        ("orchestrator.decisions",),
        ("orchestrator.monitoring", "orchestrator.cluster", "orchestrator.tracking", "orchestrator.data"),
        ("orchestrator.report",),
        ("orchestrator.review",),
        ("orchestrator.run.phases", "orchestrator.run.actors", "orchestrator.run.lifetimes", "orchestrator.run.origin"),
        ("orchestrator.run.restored",),
        ("orchestrator.run.stored",),
        ("orchestrator.run.round",),
        ("orchestrator.run.steps", "orchestrator.run.room"),
        ("orchestrator.run.recorder",),
        ("orchestrator.run.session", "orchestrator.run.preflight"),
        ("orchestrator.loop",),
        ("orchestrator.simulation",),
        ("orchestrator.open_corpus",),
        ("orchestrator.start",),
        ("orchestrator.experiments", "orchestrator.jobs"),
        ("orchestrator.cli",),
    ),
)
# An import that is still to go: a schema checks itself as it is made.
NOT_YET = {("hcot_llm.schema.annotation_schema", "hcot_llm.schema.problems")}
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
        ("export", "benchmark"),
        ("export", "actors"),
        ("actors", "orchestrator"),
        ("benchmark", "ray"),
        ("corpus", "torch"),
    ],
)
def test_the_rule_is_seen_to_bite(package, name):
    assert violations(package, [(1, name)])


def test_every_package_exists_and_nothing_else_is_importable():
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(RANK)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def modules_imported(source: str, modules: Collection[str] = MODULES) -> set[str]:
    """Modules of the product that a file imports, also inside functions; not those imported for type checking alone."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        for node in ast.iter_child_nodes(todo.pop()):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names} & set(modules)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    found |= {inner if inner in modules else node.module} & set(modules)
            todo.append(node)
    return found


IMPORTS = {
    module: {other for other in modules_imported(path.read_text(encoding="utf-8")) if (module, other) not in NOT_YET}
    for module, path in MODULES.items()
}


def cycle_in(imports: Mapping[str, Collection[str]]) -> list[str]:
    """The modules of one import cycle in their order; empty where there is none."""
    finished: set[str] = set()

    def visit(module: str, way: list[str]) -> list[str]:
        if module in way:
            return way[way.index(module) :]
        if module not in finished:
            for other in sorted(imports[module]):
                if found := visit(other, [*way, module]):
                    return found
            finished.add(module)
        return []

    return next((found for module in sorted(imports) if (found := visit(module, []))), [])


def test_no_files_import_each_other_in_a_circle():
    assert cycle_in(IMPORTS) == []


def test_a_circle_of_imports_is_seen_also_when_one_is_inside_a_function():
    names = ("one", "two", "three")
    sources = {
        "one": "from two import a",
        "two": "def f():\n    import three",
        "three": "from typing import TYPE_CHECKING\nfrom one import b",
    }
    imports = {name: modules_imported(source, names) for name, source in sources.items()}
    assert cycle_in(imports) == ["one", "two", "three"]
    sources["three"] = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from one import b"
    assert cycle_in({name: modules_imported(source, names) for name, source in sources.items()}) == []


def rank_in(rows: Sequence[Sequence[str]], module: str) -> tuple[int, str] | None:
    """Number of the row, and the part, that a module belongs to; None where the rows do not name it."""
    parts = [
        (number, part)
        for number, row in enumerate(rows)
        for part in row
        if module == part or module.startswith(f"{part}.")
    ]
    return max(parts, key=lambda found: len(found[1]), default=None)


def upward(imports: Mapping[str, Collection[str]]) -> list[str]:
    """Imports from a part to one of its own row, or of a later row."""
    wrong = []
    for rows in ORDER:
        for module in sorted(imports):
            own = rank_in(rows, module)
            for other in sorted(imports[module]):
                theirs = rank_in(rows, other)
                if own is not None and theirs is not None and own[1] != theirs[1] and own[0] <= theirs[0]:
                    wrong.append(f"{module} must not import {other}")
    return wrong


def test_sub_packages_import_one_way():
    assert upward(IMPORTS) == []


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("orchestrator.policies.schedule", "orchestrator.state.records"),
        ("orchestrator.policies.stall", "orchestrator.monitoring.watchdog"),
        ("orchestrator.state.records", "orchestrator.run.session"),
        ("orchestrator.run.recorder", "orchestrator.run.session"),
        ("orchestrator.report.summary", "orchestrator.run.steps"),
        ("orchestrator.monitoring.status", "orchestrator.tracking.outbox"),
        ("actors.captioner.native", "actors.trainer.group"),
        ("hcot_llm.schema.clauses", "hcot_llm.text.render"),
        ("corpus.storage.disk", "corpus.tiles"),
    ],
)
def test_an_import_against_the_order_is_seen(module, other):
    assert upward({module: {other}}) == [f"{module} must not import {other}"]


def test_policies_know_nothing_else_of_the_orchestrator():
    known = {other for module in MODULES if module.startswith("orchestrator.policies.") for other in IMPORTS[module]}
    assert {other for other in known if other.startswith("orchestrator.")} <= {
        module for module in MODULES if module.startswith("orchestrator.policies.")
    }


def test_the_order_names_every_part_of_the_orchestrator():
    [rows] = [rows for rows in ORDER if rows[0] == ("orchestrator.policies",)]
    unnamed = [module for module in MODULES if module.startswith("orchestrator.") and rank_in(rows, module) is None]
    assert [module for module in unnamed if MODULES[module].name != "__init__.py"] == []


def test_every_name_in_the_order_exists():
    for part in (part for rows in ORDER for row in rows for part in row):
        assert any(module == part or module.startswith(f"{part}.") for module in MODULES), part


def test_no_exception_stays_once_its_import_is_gone():
    for module, other in NOT_YET:
        assert other in modules_imported(MODULES[module].read_text(encoding="utf-8")), (module, other)
