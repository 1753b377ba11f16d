"""Plugins in a test: what they register, and that they were imported, is forgotten when the test is over."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from corpus import plugins
from corpus.registry import Registry
from support.paths import ROOT


@contextmanager
def forgotten_afterwards(module: str, *registries: Registry) -> Iterator[str]:
    """Yield the name of a module in tests/ that registers members; started processes can import it, too."""
    before = sys.modules.get(module)
    with pytest.MonkeyPatch.context() as patch:
        for registry in registries:
            patch.setattr(registry, "_members", dict(registry))
        patch.setenv(plugins.VARIABLE, "")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        patch.setattr(plugins, "_loaded", set())
        try:
            yield module
        finally:
            if before is None:
                sys.modules.pop(module, None)
            else:  # what another test file imported stays, as its members do
                sys.modules[module] = before
