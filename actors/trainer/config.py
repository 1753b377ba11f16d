"""Configuration of training: declared once, documented here."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from actors.trainer.augment import AugmentConfig
from corpus.storage.models import StrictModel
from corpus.storage.precision import PRECISION, Precision

_STAGE_2 = {"reduce_bucket_size": 50_000_000}
"""DeepSpeed's buffer for gradients on their way has 2 GB, of whatever size the model is; so it has .2 GB."""


class TrainConfig(StrictModel):
    """The DeepSpeed job under Ray Train."""

    first_round_epochs: int = Field(
        default=16, ge=1, description="passes over the corpus in a round that starts from scratch, as round 1 does"
    )
    round_epochs: int = Field(
        default=10, ge=1, description="passes over the corpus in a round that goes on with the one before"
    )
    micro_batch_tiles: int = Field(
        default=32, ge=2, description="tiles contrasted with one another in one forward pass"
    )
    micro_batches_per_step: int = Field(
        default=2, ge=1, description="micro-batches whose gradients make one optimiser step"
    )
    learning_rate: float = Field(
        default=4e-3, gt=0, description="peak of AdamW's learning rate in a round that starts from scratch"
    )
    later_learning_rate: float = Field(
        default=2.5e-3, gt=0, description="peak of the learning rate in a round that goes on"
    )
    final_learning_rate_share: float = Field(
        default=0.02, ge=0, le=1, description="of the peak, at the end of a round (cosine)"
    )
    warmup_share: float = Field(default=0.08, ge=0, lt=1, description="share of a round's steps of linear warm-up")
    weight_decay: float = Field(default=0.05, ge=0, description="AdamW's decoupled weight decay")
    gradient_clipping: float = Field(default=1.0, gt=0, description="largest norm of the gradient")
    min_workers: int = Field(default=1, ge=1, description="training workers at least (elastic)")
    max_workers: int = Field(
        default=2,
        ge=1,
        description="training workers at most (elastic); they take what the cluster has beside "
        "captioner and scorer, and are no more than micro_batches_per_step, as others would "
        "have nothing to do",
    )
    cpus_per_worker: int = Field(default=1, ge=1, description="logical CPUs reserved for a worker; whole CPUs only")
    gpus_per_worker: int = Field(
        default=0, ge=0, description="GPUs reserved for a worker: 0 trains on the CPU over gloo"
    )
    threads_per_worker: int = Field(default=1, ge=1, description="CPU threads of a worker")
    max_failures: int = Field(
        default=-1,
        ge=-1,
        description="worker failures survived in a run; -1: any number, as long as training moves on between them",
    )
    resize_interval_s: float = Field(default=30, gt=0, description="how often the worker group considers growing")
    precision: Precision = Field(
        default="fp32", description=f"of the towers: {PRECISION}; weights and losses are float32"
    )
    zero_stage: Literal[1, 2] = Field(
        default=1,
        description="what DeepSpeed spreads over the workers: 1 the optimiser's state, 2 also the gradients. 3, which "
        "spreads the weights, is refused",
    )
    activation_checkpointing: bool = Field(
        default=False,
        description="transformer layers compute their activations again in the backward pass: less memory, a third "
        "more time, the same results",
    )
    compile: bool = Field(
        default=False, description="torch compiles vision towers and transformer layers, which takes minutes at a start"
    )
    checkpoint_every_s: float = Field(
        default=30,
        ge=0,
        description="seconds from one checkpoint within a round to the next, 0: after every step; they are written "
        "while training goes on; a kill costs at most these, the writing of one, and a start",
    )
    keep_checkpoints: int = Field(
        default=2, ge=2, description="newest checkpoints of the trainer's state that are kept"
    )
    start_timeout_s: float = Field(default=300, gt=0, description="time for the first worker group to start")
    regroup_timeout_s: float = Field(
        default=120,
        gt=0,
        description="a worker group that finds no place for so long is asked for again, and smaller if need be",
    )
    noise_correction: bool = Field(
        default=True,
        description="the clause losses expect as many wrong labels as the annotations' confidence says (forward "
        "correction), and do not have the models learn these errors by heart",
    )
    augment: AugmentConfig = Field(default_factory=AugmentConfig)

    @field_validator("zero_stage", mode="before")
    @classmethod
    def _without_spread_weights(cls, stage: Any) -> Any:
        if stage == 3:
            raise ValueError(
                "stage 3 spreads the weights over the workers, and a group that is resized could not go on from its "
                "checkpoint exactly: the momentum teacher is no part of it. Set train.zero_stage to 2, and "
                "train.activation_checkpointing to true where memory is short"
            )
        return stage

    @model_validator(mode="after")
    def _bounds(self) -> "TrainConfig":
        if self.min_workers > self.max_workers:
            raise ValueError(f"min_workers ({self.min_workers}) is larger than max_workers ({self.max_workers})")
        return self

    @property
    def most_workers(self) -> int:
        """Training workers at most that each have a micro-batch of a step, or the least number if that is larger."""
        return max(self.min_workers, min(self.max_workers, self.micro_batches_per_step))

    @property
    def communication_backend(self) -> str:
        """The backend of torch.distributed.

        Losses and the teacher's embeddings are reduced and gathered on the CPU, which NCCL refuses, so that workers on
        GPUs have both.
        """
        return "cpu:gloo,cuda:nccl" if self.gpus_per_worker else "gloo"

    def epochs(self, from_scratch: bool) -> int:
        """Passes over the corpus in a round."""
        return self.first_round_epochs if from_scratch else self.round_epochs

    def peak_learning_rate(self, from_scratch: bool) -> float:
        """The largest learning rate of a round."""
        return self.learning_rate if from_scratch else self.later_learning_rate

    def learning_rate_at(self, from_scratch: bool, step: int, steps: int) -> float:
        """Linear warm-up, then cosine, anew in every round so that each round ends with settled weights."""
        from math import cos, pi

        peak = self.peak_learning_rate(from_scratch)
        warmup = max(1, round(steps * self.warmup_share))
        if step < warmup:
            return peak * (step + 1) / warmup
        progress = (step - warmup) / max(1, steps - warmup)
        low = self.final_learning_rate_share
        return peak * (low + (1 - low) * 0.5 * (1 + cos(pi * progress)))

    def deepspeed(self, world_size: int) -> dict:
        """DeepSpeed's own configuration for a world size, with the same global batch at every size."""
        passes = -(-self.micro_batches_per_step // world_size)
        return {
            "train_batch_size": self.micro_batch_tiles * passes * world_size,
            "train_micro_batch_size_per_gpu": self.micro_batch_tiles,
            "gradient_accumulation_steps": passes,
            "gradient_clipping": self.gradient_clipping,
            # Stage 0 has no universal checkpoint to resize from. Stage 2 reduces gradients in the order of their hooks,
            # so that a rank that has no micro-batch left has to pass one all the same (step.py).
            "zero_optimization": {"stage": self.zero_stage, **(_STAGE_2 if self.zero_stage == 2 else {})},
            "optimizer": {
                "type": "AdamW",
                "params": {
                    "lr": self.learning_rate,
                    "betas": [0.9, 0.98],
                    "eps": 1e-8,
                    "weight_decay": self.weight_decay,
                    "torch_adam": True,
                },
            },
            "steps_per_print": 10**9,
            "wall_clock_breakdown": False,
        }
