"""Modules outside the project that register members of its own registries: captioner kinds, tasks, sensors.

The configuration names them (`plugins`). The driver imports them before it reads the rest of the configuration. Every
process that the driver starts finds their names in an environment variable, and imports them at its first look into a
registry.
"""

import importlib
import os
from collections.abc import Iterable
from typing import Final

from corpus.storage.errors import InputError

VARIABLE: Final = "KNOWLIP_PLUGINS"


class PluginError(InputError):
    """A plugin that cannot be imported; the message says which, why, and what to do."""


def load_plugins(modules: Iterable[str]) -> None:
    """Import modules, and have the processes that are started from now on import them too.

    Args:
        modules: Dotted names of modules on the Python path.

    Raises:
        PluginError: A module is not there, or fails as it is imported.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            raise PluginError(
                f"the plugin '{module}' cannot be imported ({type(error).__name__}: {error}). Install it, or put the "
                "folder that holds it on PYTHONPATH; on a cluster, on every node"
            ) from error
        if module not in _named():
            os.environ[VARIABLE] = ",".join([*_named(), module])


def load_named_plugins() -> None:
    """Import the plugins that the environment names. A process that has imported them does nothing.

    Raises:
        PluginError: see `load_plugins`.
    """
    wanted = [module for module in _named() if module not in _loaded]
    _loaded.update(wanted)  # first, as a plugin may look into a registry while it is imported
    load_plugins(wanted)


def plugin_environment() -> dict[str, str]:
    """The environment variable that tells a process of a cluster which plugins to import; empty without plugins."""
    return {VARIABLE: os.environ[VARIABLE]} if _named() else {}


def _named() -> list[str]:
    return [module for module in os.environ.get(VARIABLE, "").split(",") if module]


_loaded: set[str] = set()
