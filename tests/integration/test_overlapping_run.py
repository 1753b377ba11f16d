"""Real runs whose rounds are trained while others are labelled: repeatable, and each label says its model."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from corpus.annotations import AnnotationStore
from hcot_llm.schema.files import default_schema
from orchestrator.config.load import load_config
from orchestrator.data.prepare import prepare_corpus
from orchestrator.state.run_directory import RunDirectory
from support.paths import ROOT
from support.shared_run import Run, run_loop_once

CORPUS = ("corpus.simulated.tiles=64", "corpus.simulated.cities=8")
SMALL = (
    "rounds=3",
    "train.first_round_epochs=1",
    "train.max_workers=1",
    "score.max_workers=1",
    "tracking.kind=none",
    "evaluation.tasks=[annotation_accuracy]",
)
"""Settings of a run that takes little more than its start."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Run, Run]:
    """The same run twice. Its captioner looks answers up, as an engine takes long to start."""
    data_dir = tmp_path_factory.mktemp("data")
    config = load_config(ROOT / "configs" / "smoke.yaml", [f"corpus.data_dir={data_dir}", *CORPUS])
    schema = default_schema()
    tiles = prepare_corpus(config.corpus, schema, run_seed=config.seed).tiles["tile_id"].to_pylist()
    said = [{clause: values[row % len(values)] for clause, values in schema.vocabulary.items()} for row in range(64)]
    table = data_dir / "answers.json"
    table.write_text(json.dumps(dict(zip(tiles, said, strict=True))))
    captioner = ("plugins=[support.toy_captioner]", "captioner.kind=table", f"captioner.table={table}")
    with pytest.MonkeyPatch.context() as patched:
        paths = (str(ROOT / "tests"), os.environ.get("PYTHONPATH"))
        patched.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))

        def run(folder: Path) -> Run:
            return run_loop_once(folder, data_dir, "schedule.staleness=1", *CORPUS, *SMALL, *captioner)

        with ThreadPoolExecutor() as pool:  # each waits for the start of processes most of the time
            first, second = pool.map(run, [tmp_path_factory.mktemp(name) for name in ("first", "second")])
    return first, second


def test_a_run_with_overlap_comes_to_the_same_again(runs):
    first, second = (
        [(record.corpus_digest, record.weights_sha256, record.counts) for record in run.records] for run in runs
    )
    assert first == second
    assert len({digest for digest, *_ in first}) == 3


def test_every_round_says_on_which_annotations_its_weights_were_trained(runs):
    for run in runs:
        assert [(record.trained_on_version, record.corpus_version) for record in run.records] == [
            (0, 1),
            (0, 2),
            (1, 3),
        ]
        assert [record.trained_ahead_s > 0 for record in run.records] == [False, True, True]


def test_every_label_says_which_weights_made_it(runs):
    store = AnnotationStore(RunDirectory(runs[0].run_dir).annotations)
    for record in runs[0].records:
        table = store.read(record.corpus_version)
        assert set(table["weights_sha256"].to_pylist()) == {record.weights_sha256}
        assert set(table["round"].to_pylist()) == {record.round}
