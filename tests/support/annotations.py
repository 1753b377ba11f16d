"""Small annotation tables."""

import pyarrow as pa

from corpus.annotation_rows import ANNOTATION_SCHEMA

CLAUSES = ("terrain", "road", "building")  # on purpose not in alphabetical order


def annotations(tiles=("b", "a", "c"), value="plain", round_=0, source="seed") -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "tile_id": tile,
                "clause": clause,
                "value": value,
                "text": f"{clause} is {value}.",
                "level": 1,
                "source": source,
                "confidence": 0.5,
                "round": round_,
                "weights_sha256": "",
                "prompt_sha256": "",
            }
            for tile in tiles
            for clause in CLAUSES
        ],
        schema=ANNOTATION_SCHEMA,
    )
