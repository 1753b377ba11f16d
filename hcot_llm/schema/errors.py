"""What can be wrong with a schema, a clause or an answer."""

from typing import Final

from corpus.storage.errors import InputError


class SchemaError(InputError, ValueError):
    """A clause or value that the schema does not have, or a schema that cannot be used."""


class SchemaMismatch(SchemaError):
    """Weights, a corpus or a run of another schema; the message names both and says what to do."""


class AnswerError(ValueError):
    """An answer that cannot be used.

    Attributes:
        reason: The kind of the problem, one of `REASONS`.
    """

    REASONS: Final = (
        "cut",
        "repetition",
        "not_json",
        "wrong_type",
        "out_of_vocabulary",
        "empty",
        "missing_clause",
        "over_long",
        "inconsistent",
    )

    def __init__(self, reason: str, detail: str) -> None:
        if reason not in self.REASONS:
            raise ValueError(f"{reason!r} is no reason of AnswerError; there are: {', '.join(self.REASONS)}.")
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
