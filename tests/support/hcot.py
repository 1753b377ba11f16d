"""The default annotation schema, as tests use it."""

from hcot_llm.schema.files import default_schema

HCOT = default_schema()
CLAUSES = HCOT.names
VOCABULARY = HCOT.vocabulary
ABSENT = "none"
TARGET_CLAUSES = HCOT.blocks[0].clauses
NO_TARGETS = {clause: HCOT.absence[clause] for clause in TARGET_CLAUSES}
