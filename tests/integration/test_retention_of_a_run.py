"""Retention on a copy of a real run."""

import shutil

from corpus.annotations import AnnotationStore
from orchestrator.policies.retention import CHAMPION_METRIC, KINDS, RetentionConfig, champion, plan_retention
from orchestrator.state.deletion import carry_out, find_leftovers
from support.unguarded import unguarded

CONFIG = RetentionConfig()


def rounds_left(directory) -> dict[str, list[int]]:
    found = find_leftovers(directory)
    return {kind: sorted({each.round for each in found if each.kind == kind}) for kind in KINDS}


def test_a_finished_run_keeps_all_annotations_and_what_its_records_need(smoke_run, tmp_path):
    """On a copy of a real run, with records that say that two more rounds came after."""
    copy = unguarded(tmp_path / "run")
    shutil.copytree(smoke_run.run_dir, copy.path)
    records = smoke_run.records
    assert all(each.metrics[CHAMPION_METRIC] < 0 for each in records)
    later = [records[-1].model_copy(update={"round": number, "metrics": {CHAMPION_METRIC: None}}) for number in (3, 4)]
    best = champion(records, CONFIG)
    carry_out(plan_retention(records + later, find_leftovers(copy), CONFIG), copy)
    assert rounds_left(copy) == {"weights": [0, best], "labels": [best], "feedback": [best]}
    store, original = AnnotationStore(copy.annotations), AnnotationStore(smoke_run.run_dir / "annotations")
    for version in range(len(records) + 1):
        assert store.read(version).equals(original.read(version))
