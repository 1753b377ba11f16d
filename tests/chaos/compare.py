"""Is a disturbed run equal to an undisturbed one, and has it lost or doubled anything?"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from corpus.annotations import AnnotationStore
from model.checkpoint import weights_sha256
from orchestrator.records import read_records
from orchestrator.run_directory import RunDirectory


@dataclass(frozen=True)
class Comparison:
    """A run against an undisturbed one of the same configuration.

    lost, duplicated: annotations (tile, clause) that are missing or stand twice, over all rounds' versions.
    commits_twice: rounds that were committed more than once. different: what differs, in words; empty where all
    records, weights and annotations are equal.
    """

    lost: int
    duplicated: int
    commits_twice: int
    different: tuple[str, ...]


def compare(run_dir: Path, undisturbed: Path) -> Comparison:
    """Compare two finished runs by their records, their weights on disk and their annotation tables."""
    ours, theirs = RunDirectory(run_dir), RunDirectory(undisturbed)
    records, expected = read_records(ours.path), read_records(theirs.path)
    different = [] if len(records) == len(expected) else [f"{len(records)} rounds instead of {len(expected)}"]
    for record, wanted in zip(records, expected, strict=False):
        for name in ("weights_sha256", "corpus_digest", "counts"):
            if getattr(record, name) != getattr(wanted, name):
                different.append(f"{name} of round {record.round}")
        there, kept = ours.weights(record.round).is_dir(), theirs.weights(record.round).is_dir()
        if there != kept or there and weights_sha256(ours.weights(record.round)) != wanted.weights_sha256:
            different.append(f"the weights of round {record.round} on disk")
    store, other = AnnotationStore(ours.annotations), AnnotationStore(theirs.annotations)
    lost = duplicated = 0
    for round_ in range(len(expected) + 1):
        version = store.version_of(ours.run_id, round_)
        wanted = _pairs(other.read(other.version_of(theirs.run_id, round_)))
        found = Counter() if version is None else _pairs(store.read(version))
        lost += sum((wanted - found).values())
        duplicated += sum((found - wanted).values())
    commits = Counter(commit.round_ for commit in store.history() if commit.run_id == ours.run_id)
    return Comparison(lost, duplicated, sum(count > 1 for count in commits.values()), tuple(different))


def _pairs(table: pa.Table) -> Counter:
    return Counter(zip(table["tile_id"].to_pylist(), table["clause"].to_pylist(), strict=True))
