"""Points of MLflow's charts, each entered once, and keys and values as every MLflow store takes them."""

import json
import re
from collections.abc import Sequence
from typing import Any

from corpus.storage.redaction import without_user
from orchestrator.tracking.charts import first_stands
from orchestrator.tracking.outbox import Outbox

_LONGEST = 500  # characters of a parameter's value that every MLflow store takes
_UNSAFE = re.compile(r"[^A-Za-z0-9_\-. :/]")


class MetricPoints:
    """Writes points into an outbox, but for those that it has.

    A round that was interrupted runs again and comes to the same numbers; they are entered once. Its times are others:
    the first stand.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._known = {
            _identity(entry.run, point)
            for entry in outbox.entries()
            if entry.kind == "metrics"
            for point in entry.values["points"]
        }

    def write(
        self,
        number: int,
        points: Sequence[tuple[str, float, int]],
        with_parent: bool = False,
        of_model: bool = False,
    ) -> None:
        """Enter points of a round's run, or of the parent.

        Args:
            number: The round, or `LOOP`.
            points: Key, value and step of each.
            with_parent: Whether the parent's charts have them, too.
            of_model: Whether the headlines are shown with the round's logged model as well.
        """
        fresh = [point for point in points if _identity(number, point) not in self._known]
        if fresh:
            values = {"points": fresh, "with_parent": with_parent, "of_model": of_model}
            self._outbox.write("metrics", number, values)
            self._known.update(_identity(number, point) for point in fresh)


def key_of(name: str) -> str:
    """A key that every MLflow store takes."""
    return _UNSAFE.sub("_", name)


def text_of(value: Any) -> str:
    """A value as the text of a parameter, without passwords, as long as every MLflow store takes it."""
    return without_user(json.dumps(value) if isinstance(value, (list, dict)) else str(value))[:_LONGEST]


def _identity(number: int, point: Sequence[Any]) -> tuple[int, str, int, str]:
    key, value, step = point
    # As text, since NaN is not equal to itself.
    return number, key, step, "" if first_stands(key) else repr(value)
