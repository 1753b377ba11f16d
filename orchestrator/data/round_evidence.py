"""A round's findings and label update as the evidence that is kept of it, made where the tiles were weighed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hcot_llm.aggregation.block_update import BlockUpdate, Remember
from hcot_llm.aggregation.people import UNDECIDED, PeoplesWord
from hcot_llm.aggregation.wholly_wrong import ways_to_be_wrong
from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.policies.folds import Findings
from orchestrator.state.evidence import Evidence, Weights, evidence_table


@dataclass(frozen=True)
class BlockEvidence:
    """What every source but the weighing said of the n tiles of a block; its call adds the weighing. See `Evidence`."""

    schema: AnnotationSchema
    tile_ids: tuple[str, ...]
    distributions: Mapping[str, Mapping[str, np.ndarray]]
    flags: Mapping[str, np.ndarray]
    proposed: np.ndarray
    gains: Mapping[str, np.ndarray]
    decided: np.ndarray

    def __call__(self, update: BlockUpdate) -> pa.Table:
        """The rows that are written of the block."""
        weighing, schema = update.weighing, self.schema
        said = {name: self.distributions[name] for name in ("encoder", "captioner", "neighbours")}
        said |= {"alone": weighing.alone, "posterior": weighing.posterior}
        return evidence_table(
            Evidence(
                schema,
                self.tile_ids,
                said | {name: each for name, each in self.distributions.items() if name not in said},
                {**self.flags, "accepted": update.accepted, "rejected": update.rejected},
                self.proposed,
                self.gains,
                weighing.wholly_wrong,
                Weights(
                    update.models,
                    weighing.source_weights,
                    weighing.joint_inverse_temperature,
                    ways_to_be_wrong(schema),
                ),
                self.decided,
            )
        )


def evidence_of(
    findings: Findings,
    rows: slice,
    people: PeoplesWord | None = None,
    statistics: Mapping[str, np.ndarray] | None = None,
) -> Remember:
    """What makes of a block's update the rows of evidence.

    Args:
        findings: of all tiles.
        rows: of the block.
        people: What people decided of all tiles; None: nothing.
        statistics: Per clause what classifiers on statistics say of all tiles; None: they are no source.
    """
    feedback, proposals, annotations = findings.feedback, findings.proposals, findings.annotations
    said = {
        "encoder": feedback.zero_shot,
        "captioner": proposals.distributions,
        "neighbours": feedback.neighbours,
        **({} if statistics is None else {"statistics": statistics}),
    }
    flagged = findings.flagged[rows]
    return BlockEvidence(
        annotations.schema,
        annotations.tile_ids[rows],
        {name: {clause: each[rows] for clause, each in by_clause.items()} for name, by_clause in said.items()},
        {"flagged": flagged, "queried": findings.queried[rows]},
        proposals.proposed[rows],
        {"itc_gain": feedback.itc_gain[rows], "itm_gain": feedback.itm_gain[rows]},
        np.full(flagged.shape, UNDECIDED) if people is None else people.values[rows],
    )
