"""Is a disturbed run equal to an undisturbed one, and has it lost or doubled anything?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable

from corpus.annotations import AnnotationStore
from model.checkpoint import weights_sha256
from orchestrator.state.records import read_records
from orchestrator.state.run_directory import RunDirectory


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
        if there != kept or (there and weights_sha256(ours.weights(record.round)) != wanted.weights_sha256):
            different.append(f"the weights of round {record.round} on disk")
    store, other = AnnotationStore(ours.annotations), AnnotationStore(theirs.annotations)
    wanted = [pairs(other, theirs.run_id, round_) for round_ in range(len(expected) + 1)]
    return Comparison(*count(store, ours.run_id, wanted), tuple(different))


def count(store: AnnotationStore, run_id: str, wanted: Sequence[Counter]) -> tuple[int, int, int]:
    """Count what a run has lost and what stands there more than once.

    wanted: the annotations of every round, the initial ones first. Returns the annotations that are lost, those that
    are there without being wanted or more than once, and the rounds that were committed more than once.
    """
    found = [pairs(store, run_id, round_) for round_ in range(len(wanted))]
    commits = Counter(commit.round_ for commit in store.history() if commit.run_id == run_id)
    return (
        sum((want - has).total() for want, has in zip(wanted, found, strict=True)),
        sum((has - want).total() for want, has in zip(wanted, found, strict=True)),
        sum(each > 1 for each in commits.values()),
    )


def pairs(store: AnnotationStore, run_id: str, round_: int) -> Counter:
    """How often each (tile, clause) stands in a round's version; none where the round was not committed.

    Read as the table holds it: the store's own reader would refuse a doubled one.
    """
    version = store.version_of(run_id, round_)
    if version is None:
        return Counter()
    table = DeltaTable(str(store.path), version=version).to_pyarrow_table(columns=["tile_id", "clause"])
    return Counter(zip(table["tile_id"].to_pylist(), table["clause"].to_pylist(), strict=True))
