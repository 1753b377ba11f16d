"""The tables of a new MLflow store: made once by MLflow, which takes two seconds, and copied afterwards."""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.made_once import made_once


def copied_tables(make: Callable[[Any], None], factory: pytest.TempPathFactory) -> Callable[[Any], None]:
    """MLflow's function that makes the tables behind an engine, which copies those of an earlier call where it can."""

    def tables(engine: Any) -> None:
        if engine.dialect.name != "sqlite" or not engine.url.database or not _is_empty(engine.url.database):
            make(engine)
            return
        with (
            closing(sqlite3.connect(_template(make, factory))) as made,
            closing(sqlite3.connect(engine.url.database)) as new,
        ):
            made.backup(new)

    return tables


def copy_tables_in(monkeypatch: pytest.MonkeyPatch, factory: pytest.TempPathFactory) -> None:
    """Have new stores of this process copied, where it has imported MLflow's stores."""
    if stores := sys.modules.get("mlflow.store.db.utils"):
        monkeypatch.setattr(stores, "_initialize_tables", copied_tables(stores._initialize_tables, factory))


def _is_empty(database: str) -> bool:
    with closing(sqlite3.connect(database)) as store:
        return not store.execute("select count(*) from sqlite_master").fetchone()[0]


def _template(make: Callable[[Any], None], factory: pytest.TempPathFactory) -> Path:
    def fill(folder: Path) -> None:
        from sqlalchemy import create_engine

        engine = create_engine(f"sqlite:///{folder}/mlflow.db")
        make(engine)
        engine.dispose()

    return made_once(factory, "mlflow_tables", fill) / "mlflow.db"
