"""What the weights of round 0 are made of.

A rank makes untrained ones: it has torch loaded, which the driver need not have. The driver makes those that come from
files, as these may lie on its machine alone.
"""

from dataclasses import dataclass
from pathlib import Path

from corpus.storage.writer import UNGUARDED, Writer
from hcot_llm.schema.annotation_schema import AnnotationSchema
from model.config import ModelConfig


@dataclass(frozen=True)
class StartWeights:
    """Where a run's first weights lie, and how they are made where there are none yet.

    Attributes:
        directory: Folder of the weights.
        schema: Schema of the annotations.
        model: Sizes of the models.
        seed: Seed of untrained weights.
        source: Weights of an earlier run that are copied; None: untrained ones.
        writer: Writer that holds the run's lease.
    """

    directory: Path
    schema: AnnotationSchema
    model: ModelConfig
    seed: int
    source: Path | None = None
    writer: Writer = UNGUARDED

    @property
    def comes_from_files(self) -> bool:
        """Whether weights of others are read for it."""
        towers = (self.model.encoder.vision, self.model.captioner.vision)
        return self.source is not None or any(vision.pretrained is not None for vision in towers)

    def make(self) -> None:
        """Create or copy the weights, where there are none yet.

        Raises:
            DiskFull: They do not fit on the disk.
            LeaseLost: Another driver has taken over.
            PretrainedError: A tower is to start from weights that are not there, or are of another size.
            WeightsError: The weights to copy are not safe to read.
        """
        if self.directory.exists():
            return
        from actors.weights import copy_weights, create_weights

        if self.source is not None:
            copy_weights(self.source, self.directory, self.writer)
        else:
            create_weights(self.schema, self.directory, self.model, self.seed, self.writer)
