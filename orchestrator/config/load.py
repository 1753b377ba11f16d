"""Reads and writes a configuration: YAML with overrides, sections in files of their own, errors in words."""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from corpus.plugins import PluginError, load_plugins
from corpus.storage.errors import ConfigError
from corpus.storage.redaction import without_user
from corpus.storage.writer import PRIVATE, UNGUARDED
from corpus.storage.yaml import dump_yaml, load_yaml
from hcot_llm.schema.files import load_schema
from orchestrator.config.keys import keys
from orchestrator.config.schema import ModuleName, RunConfig
from orchestrator.state.format import FORMAT, FORMAT_KEY

_FILED = ("model", "schedule", "schema")  # sections that may be given by the name of a file
_SHIPPED = Path(__file__).resolve().parents[2] / "configs"
"""What comes with the project, beside its packages in a checkout and where a wheel is installed."""


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file and apply `key.sub=value` overrides.

    Raises:
        ConfigError: no such file, not YAML, an unknown or mistyped key (with the nearest known one), a bad value.
    """
    path = given_or_shipped(path)
    if not path.is_file():
        raise ConfigError(f"There is no configuration {path}. The ones that come with the project lie in {_SHIPPED}/.")
    content = read_yaml(path)
    content.pop(FORMAT_KEY, None)  # of a configuration that was copied from a run directory
    content.setdefault("name", path.stem)
    # A section's file is opened first where single keys of it are overridden.
    for override in sorted(overrides, key=lambda override: override.partition("=")[0] not in _FILED):
        for section in _FILED:
            if override.startswith(f"{section}."):
                _open_section(content, section, path)
        _open_storage(content)
        _override(content, override)
    for section in _FILED:
        _open_section(content, section, path)
    _load_plugins(content, path)
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_explain(error, path)) from error


def given_or_shipped(path: Path) -> Path:
    """Return the file; where there is none, what comes with the project under such a path (configs/default.yaml)."""
    shipped = _SHIPPED.parent / path
    return shipped if path.parts[:1] == (_SHIPPED.name,) and not path.exists() and shipped.is_file() else path


def save_config(config: RunConfig, path: Path) -> None:
    """Write the whole configuration, defaults included and paths absolute.

    A run can be resumed from it alone and from anywhere. A kill or a power cut leaves the whole file or none.
    """
    text = dump_yaml({FORMAT_KEY: FORMAT, **portable(config)})
    UNGUARDED.write_text(path, text, mode=PRIVATE)


def load_saved_config(path: Path) -> RunConfig:
    """Read what `save_config` wrote: no default stands in for a key that was lost.

    Raises:
        ConfigError: the file is damaged.
    """
    content = read_yaml(path)
    if missing := [
        name for name in (field.alias or key for key, field in RunConfig.model_fields.items()) if name not in content
    ]:
        raise ConfigError(
            f"{path} is damaged: it has no {', '.join(missing)}. It is written whole, so it was changed "
            "afterwards; restore it from a copy."
        )
    return load_config(path)


def portable(config: RunConfig) -> dict[str, Any]:
    """The whole configuration as plain values, paths absolute."""
    return with_paths(config, lambda path: str(Path(path).resolve()))


def with_paths(config: RunConfig, place: Callable[[str], str]) -> dict[str, Any]:
    """The whole configuration as plain values, each path that it names as `place` gives it."""
    content = config.model_dump(mode="json")
    towers = [content["model"][part]["vision"] for part in ("encoder", "captioner")]
    for section, key in (
        # What is no path is a name.
        *((tower, "pretrained") for tower in towers if tower["pretrained"] and Path(tower["pretrained"]).exists()),
        (content, "start_weights"),
        *((content["corpus"], key) for key in ("data_dir", "tiles", "initial", "decisions")),
        *((content["corpus"]["labelled"], key) for key in ("labels", "image")),
        (content["cluster"], "spill_dir"),
        *((content["benchmark"], key) for key in ("data_dir", "weights", "checkpoints_dir")),
        *((content["benchmark"]["checkpoints"], name) for name in content["benchmark"]["checkpoints"]),
        *((content["benchmark"]["paths"], name) for name in content["benchmark"]["paths"]),
    ):
        if section[key] is not None:
            section[key] = place(section[key])
    return content


def differing_keys(config: RunConfig, other: RunConfig) -> list[str]:
    """Dotted keys in which two configurations differ. Of paths only the names count: another machine has other places.

    How a store is asked is left out.
    """
    ours, theirs = (flat_keys(with_paths(each, lambda path: Path(path).name)) for each in (config, other))
    return [
        key
        for key in sorted({*ours, *theirs})
        if ours.get(key) != theirs.get(key) and not key.startswith(("storage.", "corpus.data_dir"))
    ]


def flatten(config: RunConfig) -> dict[str, Any]:
    """Dotted keys and plain values, for a tracker's parameters; of the annotation schema its name and digest."""
    content = config.model_dump(mode="json")
    content["schema"] = {"name": config.annotation_schema.name, "sha256": config.annotation_schema.digest}
    return flat_keys(content)


def flat_keys(content: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys and values of nested sections."""

    def walk(prefix: str, value: Any):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(f"{prefix}.{key}" if prefix else key, inner)
        else:
            yield prefix, value

    return dict(walk("", content))


def parse_override(override: str) -> tuple[str, Any]:
    """Key and value of `key.sub=value`, the value read as YAML.

    Raises:
        ConfigError: it is not of that form, or the value is not YAML.
    """
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override}: write it as key=value, for instance --set train.round_epochs=4.")
    try:
        return key, load_yaml(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: the value is not YAML: {error}.") from error


def _load_plugins(content: dict, path: Path) -> None:
    """Import the plugins first: the kinds that they register are read like the others."""
    try:
        load_plugins(TypeAdapter(tuple[ModuleName, ...]).validate_python(content.get("plugins", ())))
    except ValidationError:
        return  # the whole configuration is about to be refused for it, in the same words as for other keys
    except PluginError as error:
        raise ConfigError(f"The configuration {path} cannot be used:\n  plugins: {error}.") from error


def _override(content: dict, override: str) -> None:
    key, value = parse_override(override)
    *parents, last = key.split(".")
    place = content
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise ConfigError(
                f"--set {override}: '{parent}' is a value in the configuration file and has no keys inside."
            )
    place[last] = value


def _open_storage(content: dict) -> None:
    """Make a section of a storage that is given by its URI alone, or not at all, so that keys of it can be set."""
    if isinstance(uri := content.get("storage"), str):
        content["storage"] = {"uri": uri}
    elif uri is None:
        content.pop("storage", None)


def _open_section(content: dict, section: str, path: Path) -> None:
    """Put a section's keys in place of the name of the file that holds them."""
    name = content.get(section)
    if not isinstance(name, str):
        return
    file = next((each / name for each in (path.parent, _SHIPPED) if (each / name).is_file()), None)
    if file is None:
        raise ConfigError(
            f"The configuration's `{section}` names {path.parent / name}, which does not exist. "
            f"See {_SHIPPED / section}/."
        )
    content[section] = read_yaml(file)
    if section == "schema":
        load_schema(file)  # its errors name what is wrong in the words of a schema


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values; {} where it is empty.

    Raises:
        ConfigError: It is not YAML, or holds something else.
    """
    try:
        content = load_yaml(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}. Correct the file.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold keys and values, not {type(content).__name__}.")
    return content


def _explain(error: ValidationError, path: Path) -> str:
    lines = [f"The configuration {path} cannot be used:"]
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, [each.name for each in keys(RunConfig)], n=1)
            hint = f" Did you mean '{near[0]}'?" if near else " `knowlip config` lists the keys."
            lines.append(f"  {key}: no such key.{hint}")
        else:
            got = "" if isinstance(problem["input"], dict) else f" (got {without_user(repr(problem['input']))[:200]})"
            lines.append(f"  {key or 'configuration'}: {problem['msg']}{got}.")
    return "\n".join(lines)
