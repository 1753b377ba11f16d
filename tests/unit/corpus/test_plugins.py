"""Plugins: modules from outside that register members, in the driver and in the processes it starts."""

import os
import subprocess
import sys

import pytest

from corpus.plugins import VARIABLE, PluginError, load_plugins, plugin_environment
from support.paths import ROOT

PLUGIN = """
from corpus.registry import Registry

TOOLS = Registry("tool")
TOOLS.add("hammer", 1)
TOOLS.find("hammer")  # a look into a registry while the plugin is imported
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch) -> str:
    """A module `toy_plugin` on the path of this process and of those it starts."""
    (tmp_path / "toy_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    monkeypatch.setenv(VARIABLE, "")
    yield "toy_plugin"
    sys.modules.pop("toy_plugin", None)


def test_a_plugin_is_imported_and_named_to_other_processes(plugin):
    assert plugin_environment() == {}
    load_plugins([plugin, plugin])
    assert plugin in sys.modules
    assert plugin_environment() == {VARIABLE: plugin}


def test_a_started_process_imports_the_plugins_at_its_first_look_into_a_registry(plugin):
    load_plugins([plugin])
    look = (
        "import sys; from corpus.registry import Registry; registry = Registry('tool')\n"
        "before = 'toy_plugin' in sys.modules; list(registry)\n"
        "print(before, 'toy_plugin' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_plugin_that_is_not_there_is_refused_with_a_remedy(plugin):
    with pytest.raises(PluginError, match=r"plugin 'toy_plugn' cannot be imported .*PYTHONPATH"):
        load_plugins(["toy_plugn"])
    assert plugin_environment() == {}
