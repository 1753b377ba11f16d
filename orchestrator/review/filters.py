"""The filter of a review, such as 'clause=road, confidence<0.6, changed': which clauses of which tiles are asked."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from corpus.registry import Registry
from corpus.storage.errors import InputError
from orchestrator.report.story import Story
from orchestrator.state.evidence import Evidence

_TERM: Final = re.compile(r"\s*([a-z_]+)\s*(<=|>=|!=|<|>|=)\s*(.+?)\s*")


class FilterError(InputError):
    """A filter that cannot be read; the message says which part, and what there is."""


@dataclass(frozen=True)
class Facts:
    """What a filter may ask about the N tiles and C clauses of a run, as its last round left them.

    tiles: tile_id -> row of the corpus's list of tiles; {} where that is not known. decided: bool [N, C], by people.
    """

    story: Story
    tiles: Mapping[str, Mapping[str, object]]
    decided: np.ndarray

    def of_tiles(self, test: Callable[[str], bool]) -> np.ndarray:
        """Bool [N, 1], by tile id."""
        return np.asarray([test(tile_id) for tile_id in self.story.states[-1].tile_ids])[:, None]

    def of_clauses(self, test: Callable[[str], bool]) -> np.ndarray:
        """Bool [1, C], by the clause's name."""
        return np.asarray([test(name) for name in self.story.schema.names])[None, :]


Words = Registry[Callable[[Facts], np.ndarray]]
WORDS: Words = Registry("word of a filter")
"""A word -> which clauses it means, bool that broadcasts to [N, C]."""
KEYS: Registry[Callable[[Facts, str], np.ndarray]] = Registry("key of a filter")
"""A key that is compared with a text: key=text."""
NUMBERS: Registry[Callable[[Facts], np.ndarray]] = Registry("number of a filter")
"""A key that is compared with a number: key<number."""


def choose(facts: Facts, text: str) -> np.ndarray:
    """The clauses that meet all parts of a filter, bool [N, C]; all of them where the filter is empty.

    Raises:
        FilterError: a part cannot be read.
    """
    state = facts.story.states[-1]
    chosen = np.ones(state.values.shape, dtype=bool)
    for part in (part.strip() for part in text.split(",")):
        if part:
            chosen &= _part(facts, part)
    return chosen


def _part(facts: Facts, part: str) -> np.ndarray:
    if part in WORDS:
        return WORDS[part](facts)
    if (term := _TERM.fullmatch(part)) is None:
        raise FilterError(f"--filter: '{part}' is no condition. {_known(part)}")
    key, sign, wanted = term.groups()
    if key in NUMBERS:
        return _compared(NUMBERS[key](facts), sign, wanted, part)
    if key not in KEYS:
        raise FilterError(f"--filter: there is no '{key}'. {_known(key)}")
    if sign not in ("=", "!="):
        raise FilterError(f"--filter: '{part}' compares a text with {sign}; write {key}={wanted}.")
    met = np.logical_or.reduce([KEYS[key](facts, each.strip()) for each in wanted.split("|")])
    return met if sign == "=" else ~met


def _compared(numbers: np.ndarray, sign: str, wanted: str, part: str) -> np.ndarray:
    try:
        limit = float(wanted)
    except ValueError as error:
        raise FilterError(f"--filter: '{part}' compares with {wanted!r}, which is no number.") from error
    return {
        "<": numbers < limit,
        "<=": numbers <= limit,
        ">": numbers > limit,
        ">=": numbers >= limit,
        "=": numbers == limit,
        "!=": numbers != limit,
    }[sign]


def _known(word: str) -> str:
    near = difflib.get_close_matches(word, [*WORDS, *KEYS, *NUMBERS], n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return (
        f"Conditions are joined by commas: {', '.join(f'{key}=...' for key in KEYS)}, "
        f"{', '.join(f'{key}<0.6' for key in NUMBERS)}, {', '.join(WORDS)}.{hint}"
    )


def _flag(name: str) -> Callable[[Facts], np.ndarray]:
    return lambda facts: _evidence(facts, name).flags[name]


def _evidence(facts: Facts, word: str) -> Evidence:
    if (evidence := facts.story.last_evidence) is None:
        raise FilterError(f"--filter: '{word}' needs the evidence of the last round, and the run has none.")
    return evidence


def _disagree(facts: Facts) -> np.ndarray:
    """Encoder and captioner hold different values most probable."""
    evidence, columns = _evidence(facts, "disagree"), []
    for clause in facts.story.schema.names:
        encoder, captioner = (evidence.distributions[name][clause] for name in ("encoder", "captioner"))
        asked = ~np.isnan(captioner).any(axis=1)
        columns.append(asked & (encoder.argmax(axis=1) != np.nan_to_num(captioner).argmax(axis=1)))
    return np.stack(columns, axis=1)


def _values(facts: Facts, value: str) -> np.ndarray:
    state, schema = facts.story.states[-1], facts.story.schema
    if not any(value in words for words in schema.vocabulary.values()):
        raise FilterError(f"--filter: no clause has the value '{value}'.")
    columns = [state.values[:, schema.column[name]] == schema.value_index[name].get(value, -1) for name in schema.names]
    return np.stack(columns, axis=1)


def _clauses(facts: Facts, name: str) -> np.ndarray:
    if name not in facts.story.schema.column:
        raise FilterError(f"--filter: there is no clause '{name}'; there are {', '.join(facts.story.schema.names)}.")
    return facts.of_clauses(lambda each: each == name)


def _of_tile(key: str) -> Callable[[Facts, str], np.ndarray]:
    return lambda facts, wanted: facts.of_tiles(lambda tile: str(facts.tiles.get(tile, {}).get(key, "")) == wanted)


WORDS.add("changed", lambda facts: facts.story.states[-1].values != facts.story.states[0].values)
WORDS.add("decided", lambda facts: facts.decided)
for _name in ("flagged", "queried", "accepted", "rejected"):
    WORDS.add(_name, _flag(_name))
WORDS.add("disagree", _disagree)
KEYS.add("clause", _clauses)
KEYS.add("value", _values)
KEYS.add("group", lambda facts, name: facts.of_clauses(lambda each: facts.story.schema.group[each] == name))
KEYS.add("tile", lambda facts, name: facts.of_tiles(lambda each: each == name))
for _name in ("city", "country", "platform", "split"):
    KEYS.add(_name, _of_tile(_name))
KEYS.add("source", lambda facts, name: facts.story.states[-1].source == name)
NUMBERS.add("confidence", lambda facts: facts.story.states[-1].confidence)
NUMBERS.add("level", lambda facts: np.asarray([list(facts.story.schema.level.values())]))
