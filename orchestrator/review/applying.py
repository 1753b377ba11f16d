"""Decisions in the annotations at once: a version of the table that is the last round's with all that stands in it."""

from pathlib import Path

from corpus.annotations import AnnotationStore
from corpus.storage.arrow import compute as pc
from hcot_llm.aggregation.matrix import matrix_from_table
from orchestrator.data.annotation_rows import annotation_rows
from orchestrator.decisions.corpus import entered, read_word
from orchestrator.state.lease import LeaseHeld, LeaseKeeper, killed_driver, read_lease
from orchestrator.state.records import read_records
from orchestrator.state.run_directory import RunDirectory


def commit_decisions(run_dir: Path, number: int) -> int | None:
    """Commit the last round's annotations with all decisions that stand, and return the version.

    The loop goes on from its rounds' own versions, not from this one: it weighs the decisions itself.

    Args:
        run_dir: of the run.
        number: of the file of decisions that is new.

    Returns:
        None where a driver works on the run, or was killed, and takes the decisions with its next round; or no round
        has begun.
    """
    directory, config = RunDirectory.open(run_dir)
    lease = read_lease(directory.path)
    if (lease is not None and lease.is_held()) or killed_driver(directory.path) is not None:
        return None  # what is known of a killed driver stands in its lease, until the run is resumed
    keeper = LeaseKeeper(directory)
    try:
        keeper.acquire()
    except LeaseHeld:  # a driver has begun since
        return None
    try:
        store, run_id, schema = AnnotationStore(directory.annotations), directory.run_id, config.annotation_schema
        records = read_records(directory.path)
        last = records[-1].round if records else 0
        first, version = store.version_of(run_id, 0), store.version_of(run_id, last)
        if first is None or version is None:
            return None
        table, initial = store.read(version), matrix_from_table(schema, store.read(first))
        people = read_word(directory.path, schema, initial.tile_ids)
        matrix = entered(matrix_from_table(schema, table), people, initial, store, run_id)
        of_first_clause = table.filter(pc.equal(table["clause"], schema.names[0])).sort_by("tile_id")
        hashes = of_first_clause["weights_sha256"].to_pylist()
        prompt = of_first_clause["prompt_sha256"][0].as_py()
        rows = annotation_rows(matrix, table, last, hashes, prompt)
        about = {"schema": schema.name, "schema_sha256": schema.digest, "decisions": str(number)}
        return store.commit(rows, run_id=f"{run_id} decisions", round_=number, metadata=about)
    finally:
        keeper.release()
