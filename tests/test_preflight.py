"""What a run would lack is named before anything starts."""

from pathlib import Path

import pytest
from ports import free_port

from orchestrator.cluster import ClusterUnreachable
from orchestrator.config import load_config
from orchestrator.errors import expected_errors
from orchestrator.preflight import PreflightError, Resources, check, needed, offered, preflight

SMOKE = Path(__file__).resolve().parent.parent / "configs" / "smoke.yaml"
PLENTY = Resources(cpus=64, gpus=8, memory_gib=512)


def test_what_a_run_needs_is_counted_by_hand():
    config = load_config(SMOKE, ["train.min_workers=2", "train.max_workers=3", "train.cpus_per_worker=4",
                                 "captioner.min_replicas=2", "captioner.max_replicas=2", "captioner.gpus_per_replica=0.5",
                                 "score.min_workers=3", "score.max_workers=3", "cluster.memory_gib=20"])
    assert needed(config) == Resources(cpus=2 * 4 + 2 * 1 + 3 * 1 + 1, gpus=1.0, memory_gib=20)


@pytest.mark.parametrize("name", ["smoke", "default", "sentinel1"])
def test_configurations_that_come_along_fit_the_cluster_they_start(name):
    config = load_config(SMOKE.with_name(f"{name}.yaml"))
    assert needed(config).cpus <= offered(config).cpus
    assert needed(config).gpus == 0


def test_a_cluster_that_does_not_answer_is_named_with_what_to_look_at():
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ClusterUnreachable, match=f"cluster.address={address}.*ray status.*RAY_AUTH_MODE=token") as error:
        offered(load_config(SMOKE, [f"cluster.address={address}"]))
    assert isinstance(error.value, expected_errors())


def test_enough_is_enough():
    config = load_config(SMOKE)
    check(needed(config), needed(config), config)


def test_every_shortfall_is_named_with_its_keys():
    config = load_config(SMOKE, ["train.min_workers=40", "train.max_workers=40", "train.gpus_per_worker=1",
                                 "cluster.memory_gib=4000"])
    with pytest.raises(PreflightError) as error:
        check(needed(config), Resources(cpus=6, gpus=0, memory_gib=16), config)
    said = str(error.value)
    assert "43 CPUs are needed (40 training workers x 1" in said and "6 are offered" in said
    assert "cluster.local_cpus" in said
    assert "40 GPUs are needed and 0 are offered" in said and "train.gpus_per_worker" in said
    assert "4000 GiB of memory are needed (cluster.memory_gib) and 16.0 GiB are free" in said


def test_only_what_is_short_is_named():
    config = load_config(SMOKE, ["cluster.memory_gib=4000"])
    with pytest.raises(PreflightError) as error:
        check(needed(config), PLENTY, config)
    assert "CPUs" not in str(error.value) and "GPUs" not in str(error.value)


def test_a_local_cluster_is_checked_without_starting_it():
    import ray

    with pytest.raises(PreflightError, match="cluster is too small"):
        preflight(load_config(SMOKE, ["train.min_workers=1000", "train.max_workers=1000"]))
    assert not ray.is_initialized()
