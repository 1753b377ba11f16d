"""A round's findings and label update as the evidence that is kept of it."""

from collections.abc import Mapping

import numpy as np

from hcot_llm.aggregation.people import UNDECIDED, PeoplesWord
from hcot_llm.aggregation.posterior import ways_to_be_wrong
from hcot_llm.aggregation.relabel import LabelUpdate
from orchestrator.policies.folds import Findings
from orchestrator.state.evidence import Evidence, Weights


def evidence_of(
    findings: Findings,
    update: LabelUpdate,
    people: PeoplesWord | None = None,
    statistics: Mapping[str, np.ndarray] | None = None,
) -> Evidence:
    """What every source said of all tiles, as it is kept."""
    feedback, proposals, schema = findings.feedback, findings.proposals, update.matrix.schema
    return Evidence(
        schema,
        update.matrix.tile_ids,
        {
            "encoder": feedback.zero_shot,
            "captioner": proposals.distributions,
            "neighbours": feedback.neighbours,
            "alone": update.alone,
            "posterior": update.posterior,
            **({} if statistics is None else {"statistics": statistics}),
        },
        {
            "flagged": findings.flagged,
            "queried": findings.queried,
            "accepted": update.accepted,
            "rejected": update.rejected,
        },
        proposals.proposed,
        {"itc_gain": feedback.itc_gain, "itm_gain": feedback.itm_gain},
        update.wholly_wrong,
        Weights(update.models, update.source_weights, update.joint_inverse_temperature, ways_to_be_wrong(schema)),
        np.full(update.matrix.values.shape, UNDECIDED) if people is None else people.values,
    )
