"""Validation of STAC without a network: pystac has the core's schemas, tests/support/schemas/stac those of extensions.

They are copies of the published ones (Apache-2.0), each named by extension and version.
"""

import json
from pathlib import Path

import pystac
from pystac.validation.stac_validator import JsonSchemaSTACValidator

FOLDER = Path(__file__).with_name("schemas") / "stac"


def validator() -> JsonSchemaSTACValidator:
    """pystac's own validator, which finds every schema on this disk."""
    made = JsonSchemaSTACValidator()
    for path in FOLDER.glob("*.json"):
        name, _, version = path.stem.rpartition("-")
        made.schema_cache[f"https://stac-extensions.github.io/{name}/{version}/schema.json"] = json.loads(
            path.read_text()
        )
    return made


def validate(content: pystac.STACObject) -> list[str]:
    """The schemas that an item or a collection was found valid by. Raises pystac.STACValidationError: it is not."""
    return [str(each) for each in content.validate(validator=validator())]
