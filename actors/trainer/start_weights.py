"""What the weights of round 0 are made of. A rank makes them: it has torch loaded, which the driver need not have."""

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

    def make(self) -> None:
        """Create or copy the weights, where there are none yet.

        Raises:
            DiskFull: They do not fit on the disk.
            LeaseLost: Another driver has taken over.
            PretrainedError: A tower is to start from weights that are not there, or are of another size.
            WeightsError: The weights to copy are not safe to read.
        """
        from actors.weights import copy_weights, create_weights

        if self.directory.exists():
            return
        if self.source is not None:
            copy_weights(self.source, self.directory, self.writer)
        else:
            create_weights(self.schema, self.directory, self.model, self.seed, self.writer)
