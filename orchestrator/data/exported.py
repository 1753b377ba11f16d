"""The version of a run's corpus that an export is of."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from corpus.annotation_rows import AnnotationError
from corpus.annotations import AnnotationStore, Commit
from corpus.storage.errors import InputError
from corpus.tiles import read_tiles
from export.source import CommittedRound, ExportSource
from hcot_llm.schema.errors import SchemaMismatch
from hcot_llm.schema.files import check_same, read_schema
from orchestrator.config.schema import RunConfig
from orchestrator.data.inputs import read_inputs
from orchestrator.policies.retention import champion
from orchestrator.state.records import RoundRecord, check_recorded_schema, read_records
from orchestrator.state.run_directory import RunDirectory


class ExportedRoundError(InputError):
    """A version or round that cannot be exported; the message says which there are."""


def open_source(
    run_dir: Path, *, version: int | None = None, round_: int | None = None, best: bool = False, licence: str = ""
) -> ExportSource:
    """Open a version of a run's corpus: that of its last recorded round, unless another one is asked for.

    Args:
        run_dir: of the run. It may still be going on: what is committed does not change.
        version: of the annotations in the Delta table.
        round_: a recorded round; 0 are the initial annotations.
        best: the champion, see orchestrator.policies.retention.
        licence: of tiles of which nothing else tells.

    Raises:
        UserError: There is no such run, round or version, its corpus is gone, or another schema made it.
    """
    options = {"--version": version, "--round": round_, "--champion": best or None}
    if len(asked := [name for name, given in options.items() if given is not None]) > 1:
        raise ExportedRoundError(f"{' and '.join(asked)} ask for one version each: give one of them.")
    directory, config = RunDirectory.open(run_dir)
    schema, records = config.annotation_schema, read_records(directory.path)
    check_recorded_schema(run_dir, records, schema)
    store, run_id = AnnotationStore(directory.annotations), directory.run_id
    commits = _usable(store, run_id, len(records))
    if not commits:
        raise ExportedRoundError(
            f"The run {run_dir} has committed no annotations yet. Wait until it has begun, or name another run."
        )
    rounds = _rounds(store, run_id, commits, records)
    chosen = _choose(run_dir, commits, rounds, records, config, version, round_, best)
    _check_schema(store, chosen, config)
    inputs = read_inputs(directory.path)
    read_tiles(inputs.corpus_dir)
    check_same(
        f"The initial annotations of the corpus {inputs.corpus_dir}",
        read_schema(inputs.corpus_dir),
        schema,
        "Export the run with the corpus that it was started on.",
    )
    history = [each for each in rounds if each.version <= chosen.version]
    if history[-1].version != chosen.version:  # committed after its round, such as decisions of people
        history.append(CommittedRound(history[-1].round, chosen.version, chosen.committed))
    number = history[-1].round
    record = records[number - 1] if number else None
    return ExportSource(
        name=config.name,
        run_id=run_id,
        knowlip_version=importlib.metadata.version("knowlip"),
        corpus_dir=inputs.corpus_dir,
        store=store,
        version=chosen.version,
        rounds=tuple(history),
        schema=schema,
        tile_sha256=inputs.tiles,
        simulated=config.corpus.kind == "simulated",
        metrics=dict(record.metrics) if record else {},
        weights=directory.weights(number),
        weights_sha256=record.weights_sha256 if record else "",
        image_size_px=config.model.captioner.vision.image_size_px,
        licence=licence,
    )


def _usable(store: AnnotationStore, run_id: str, recorded: int) -> list[Commit]:
    """All commits by version, without those of a round that has no record: it did not happen."""
    return [commit for commit in store.history() if commit.run_id != run_id or commit.round_ <= recorded]


def _rounds(
    store: AnnotationStore, run_id: str, commits: Sequence[Commit], records: Sequence[RoundRecord]
) -> list[CommittedRound]:
    """The commits of the initial annotations and of all recorded rounds."""
    found = []
    for number in range(len(records) + 1):
        commit = next((each for each in commits if each.run_id == run_id and each.round_ == number), None)
        if commit is None:
            raise AnnotationError(
                f"{store.path} has no annotations of round {number} of {run_id}, which is recorded. Restore the table "
                "from a copy."
            )
        accepted = records[number - 1].counts.accepted if number else None
        found.append(CommittedRound(number, commit.version, commit.committed, accepted))
    return found


def _choose(
    run_dir: Path,
    commits: Sequence[Commit],
    rounds: Sequence[CommittedRound],
    records: Sequence[RoundRecord],
    config: RunConfig,
    version: int | None,
    round_: int | None,
    best: bool,
) -> Commit:
    """The commit that is asked for; the last one where nothing is."""
    if best:
        round_ = champion(records, config.retention)
        if round_ is None:
            raise ExportedRoundError(
                f"The run {run_dir} has no recorded round yet, so it has no champion. Wait for its first round, or "
                "export the initial annotations with --round 0."
            )
    if round_ is not None:
        if not 0 <= round_ < len(rounds):
            raise ExportedRoundError(
                f"The run {run_dir} has no round {round_}: its recorded rounds are 0 (the initial annotations) to "
                f"{len(rounds) - 1}."
            )
        version = rounds[round_].version
    if version is None:
        return commits[-1]
    found = next((commit for commit in commits if commit.version == version), None)
    if found is None:
        known = ", ".join(f"{commit.version} (round {commit.round_})" for commit in commits)
        raise ExportedRoundError(f"The run {run_dir} has no version {version} of a recorded round. There are: {known}.")
    return found


def _check_schema(store: AnnotationStore, commit: Commit, config: RunConfig) -> None:
    found = commit.metadata.get("schema_sha256", config.annotation_schema.digest)
    if found != config.annotation_schema.digest:
        raise SchemaMismatch(
            f"Version {commit.version} of {store.path} is of the annotation schema "
            f"'{commit.metadata.get('schema', 'none')}' ({found[:12]}), but the run's config.yaml has the schema "
            f"{config.annotation_schema.label}. Restore `schema` in config.yaml from a copy."
        )
