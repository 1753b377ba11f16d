"""The default annotation schema, as tests use it."""

from hcot_llm.schema.files import default_schema

HCOT = default_schema()
CLAUSES = HCOT.names
VOCABULARY = HCOT.vocabulary
ABSENT = "none"
TARGET_CLAUSES = HCOT.blocks[0].clauses
NO_TARGETS = {clause: HCOT.absence[clause] for clause in TARGET_CLAUSES}

# A consistent annotation of all clauses, in their order: two ships in a harbour.
SHIPS_IN_PORT = dict(
    zip(
        CLAUSES,
        (
            "coast",
            "port",
            "peripheral",
            "regular",
            "sharp",
            "sparse",
            "sparse",
            "sea",
            "2",
            "west",
            "extended",
            "medium",
            "ship",
            "cluster",
            "harbour",
            "calm_water",
        ),
        strict=True,
    )
)
