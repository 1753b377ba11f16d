"""Makes the corpus of a labelled set: its tiles, the labels as truth, and labels with errors as initial annotations.

The errors are made before the loop, as those of simulated scenes are. The loop sees the wrong labels only.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.labelled.config import LabelledConfig
from corpus.labelled.labels import LabelledImage, read_labels
from corpus.labelled.write import write_labelled
from corpus.storage.rng import derive_seed
from corpus.storage.writer import UNGUARDED
from hcot_llm.initial.annotations import expected_accuracy, stated_annotations
from hcot_llm.initial.label_errors import LabelErrorsConfig, with_errors
from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.config.schema import CorpusConfig
from orchestrator.data.weak_annotator import taken_for, weak_statistics


def write_tiles_and_truth(
    images: Sequence[LabelledImage],
    config: LabelledConfig,
    schema: AnnotationSchema,
    root: Path,
    progress: Callable[[int, int], None],
) -> None:
    """Write `root`/corpus with a tile of every image, and `root`/truth with its labels.

    Raises:
        LabelError: an image cannot be used; the message names its line.
    """
    write_labelled(images, root / "corpus", config, progress)
    (root / "truth").mkdir(exist_ok=True)
    columns = {
        "tile_id": [image.tile_id for image in images],
        **{clause: [image.values[clause] for image in images] for clause in schema.names},
    }
    with UNGUARDED.place(root / "truth" / "truth.parquet") as partial:
        pq.write_table(pa.table(columns), partial)


def annotate_labelled(
    images: Sequence[LabelledImage],
    errors: LabelErrorsConfig,
    confidence: float | None,
    schema: AnnotationSchema,
    root: Path,
    run_seed: int,
) -> pa.Table:
    """Return the initial annotations, INITIAL_SCHEMA: the labels with errors, of held-out images too.

    Args:
        images: of the set.
        errors: that are made.
        confidence: what the annotations state; None: the schema's accuracy of the clause.
        schema: of the annotations.
        root: of the corpus.
        run_seed: Seed of the run.
    """
    features = weak_statistics(root / "corpus") if errors.kind == "image_dependent" else None
    said = {
        clause: _wrong_labels(images, clause, schema, errors, features, derive_seed(run_seed, "label errors", clause))
        for clause in schema.names
    }
    values = {image.tile_id: {clause: said[clause][row] for clause in schema.names} for row, image in enumerate(images)}
    stated = {
        clause: expected_accuracy(schema, clause) if confidence is None else confidence for clause in schema.names
    }
    return stated_annotations(schema, values, stated, derive_seed(run_seed, "label wording"))


def groups_of(config: CorpusConfig, schema: AnnotationSchema) -> dict[str, str]:
    """tile_id -> what the images of one object share; empty where tiles are no images of a labelled set."""
    if config.kind != "labelled":
        return {}
    return {image.tile_id: image.group for image in read_labels(config.labelled, schema.vocabulary)}


def _wrong_labels(
    images: Sequence[LabelledImage],
    clause: str,
    schema: AnnotationSchema,
    errors: LabelErrorsConfig,
    features: np.ndarray | None,
    seed: int,
) -> list[str]:
    words = schema.vocabulary[clause]
    labels = np.asarray([schema.value_index[clause][image.values[clause]] for image in images])
    groups = [image.group for image in images]
    mistakes = None if features is None else taken_for(features, labels, len(words), groups)
    wrong = with_errors(labels, len(words), errors, groups=groups, seed=seed, taken_for=mistakes)
    return [words[value] for value in wrong]
