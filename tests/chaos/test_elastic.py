"""A node is added to the cluster while the run trains, and taken away again; nobody touches the run."""

import pytest

from chaos.driver import start
from chaos.nodes import SETTINGS, Resized, first_node, grow_and_shrink
from support.paths import ROOT


@pytest.fixture(scope="module")
def resized(smoke_run, tmp_path_factory) -> Resized:
    """What was seen of a run whose cluster grew and shrank while it trained."""
    folder = tmp_path_factory.mktemp("elastic")
    with first_node() as cluster:
        driver = start(
            ROOT / "configs/smoke.yaml",
            folder,
            [
                *SETTINGS,
                f"cluster.address={cluster.address}",
                f"corpus.data_dir={smoke_run.data_dir}",
                "rounds=1",
                "train.first_round_epochs=400",
            ],
        )
        try:
            return grow_and_shrink(cluster, driver, folder / "run")
        finally:
            driver.clear()  # what is left of so many epochs is not needed


def test_a_node_added_to_a_live_cluster_is_used(resized):
    assert resized.alone.world_size == 1
    assert resized.together.world_size == 2
    assert resized.together.step > resized.alone.step


def test_a_removed_node_is_survived_without_going_back_further_than_a_checkpoint(resized):
    assert resized.again.world_size == 1
    assert resized.again.step > resized.together.step
