"""What is kept free beside training."""

from orchestrator.cluster.requirements import beside_training
from orchestrator.cluster.resources import Resources
from orchestrator.config.load import load_config
from support.paths import ROOT


def test_captioners_are_held_back_as_they_are_and_others_only_where_the_group_would_take_what_they_need():
    config = load_config(
        ROOT / "configs" / "smoke.yaml",
        [
            "captioner.max_replicas=3",
            "captioner.gpus_per_replica=0.5",
            "captioner.cpus_per_replica=2",
            "train.max_workers=8",
        ],
    )
    assert config.train.most_workers == config.train.micro_batches_per_step == 2
    captioner, scorer, data = {"CPU": 2, "GPU": 0.5}, {"CPU": 1, "GPU": 0}, {"CPU": 1, "GPU": 0}

    def held(captioners: int, cpus: int, gpus: float = 2) -> list[dict[str, float]]:
        return beside_training(config, captioners, Resources(cpus, gpus))

    assert held(0, cpus=2 + 2 + 1 + 1) == held(1, cpus=6) == [captioner]
    assert held(0, cpus=5) == held(0, cpus=9, gpus=0.4) == [captioner, scorer, data]
    assert held(3, cpus=10) == [captioner] * 3
    assert held(3, cpus=9) == [captioner] * 3 + [scorer, data]
