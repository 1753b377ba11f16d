"""The corpus as a round finds it."""

from dataclasses import dataclass, field

import numpy as np
import ray.data

from actors.data.image_index import ImageIndex
from actors.statistics.source import StatisticsSource
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.matrix import AnnotationMatrix, select
from hcot_llm.aggregation.people import PeoplesWord
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.data.training_targets import TrainingSet
from orchestrator.policies.folds import Fold


@dataclass(frozen=True)
class CorpusState:
    """The corpus as a round finds it.

    Attributes:
        prepared: the tiles, and what goes with them.
        images: the tiles' images, a row a tile.
        image_index: Place of each tile's image in the object store.
        annotations: current annotations of all N tiles.
        initial: the annotations of all N tiles that the run started from.
        in_training: bool [N], False for tiles that are held out of training.
        version: Version of the annotations in the Delta table.
        digest: hash of the annotations' content.
        folds: the run's models.
        training_sets: what the next rounds are trained on, the round's own first. There are two where a round is
            trained while the round before is labelled.
        loss_mask: bool [training tiles, clauses], the clauses that the captioner is trained to write by these
            annotations.
        people: What people have decided; None: nothing.
        image_gsd_m: Metres per pixel of each tile's images, of which a large tile's are other than its own.
        statistics: what shallow classifiers say of all N tiles; None where they are no label source.
    """

    prepared: PreparedCorpus
    images: ray.data.Dataset
    image_index: ImageIndex
    annotations: AnnotationMatrix
    initial: AnnotationMatrix
    in_training: np.ndarray
    version: int
    digest: str
    folds: tuple[Fold, ...]
    training_sets: tuple[TrainingSet, ...]
    loss_mask: np.ndarray
    people: PeoplesWord | None = None
    image_gsd_m: dict[str, float] = field(default_factory=dict)
    statistics: StatisticsSource | None = None

    def acceptance(self, config: AcceptanceConfig) -> AcceptanceConfig:
        """How sources are weighed: with statistics the accuracy of initial annotations is their confidence already."""
        return config if self.statistics is None else config.stated

    def training_set(self, round_: int) -> TrainingSet:
        """What a round is trained on, of those in `training_sets`."""
        [found] = (each for each in self.training_sets if each.round == round_)
        return found

    @property
    def training(self) -> AnnotationMatrix:
        """Current annotations of the training tiles."""
        return select(self.annotations, self.in_training)

    @property
    def training_initial(self) -> AnnotationMatrix:
        """Initial annotations of the training tiles."""
        return select(self.initial, self.in_training)
