"""The posterior of every clause's true value, from the models' distributions and the initial annotations.

The truth is never read. First each clause is weighed by itself: the source weight of each model and the confusion of
the initial annotations are estimated (hcot_llm/aggregation/clause.py). Then all clauses of a tile are weighed
together, which is HCoT's level 5. Only values that are consistent with one another count. An initial annotation may
be wrong as a whole (hcot_llm/aggregation/wholly_wrong.py). Where many clauses of a tile contradict the models, its
initial annotation says little about any clause.

Tiles lie in blocks, which workers weigh. What is fitted are sums over the blocks, and is small: `WeighingFit`. With it
any block can be weighed anywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.clause import ClauseFit, fit_clauses
from hcot_llm.aggregation.handed import Block, Tiles, hand_over
from hcot_llm.aggregation.joint_fit import JointFit, each_alone, fit_joint, weigh_jointly, weigh_models_jointly
from hcot_llm.aggregation.label_noise import SourceWeightPrior
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.repeated_errors import clauses_with_repeated_errors, excess_agreement
from hcot_llm.aggregation.wholly_wrong import ways_to_be_wrong
from hcot_llm.schema.annotation_schema import AnnotationSchema


@dataclass(frozen=True)
class Weighing:
    """Posterior of all clauses of n tiles.

    Attributes:
        posterior: Per clause float [n, V], posterior of the true value.
        source_weights: Per clause the source weight of each model.
        wholly_wrong: float [n, W], probability of each of the W ways to be wrong as a whole, see `ways_to_be_wrong`.
            Zeros where the clauses were weighed one by one.
        joint_inverse_temperature: Power to which the pooled models of all clauses are taken, on top of the source
            weights. 1 where the clauses were weighed one by one.
        alone: Per clause float [n, V], posterior before the rules and the other clauses had their say.
    """

    posterior: dict[str, np.ndarray]
    source_weights: dict[str, list[float]]
    wholly_wrong: np.ndarray
    joint_inverse_temperature: float
    alone: dict[str, np.ndarray]

    def probability(self, values: np.ndarray) -> np.ndarray:
        """Posterior probability of given values.

        Args:
            values: int [n, C], indices of the values.

        Returns:
            float [n, C].
        """
        rows = np.arange(len(values))
        return np.stack([each[rows, values[:, column]] for column, each in enumerate(self.posterior.values())], 1)


@dataclass(frozen=True)
class WeighingFit:
    """All that was fitted to weigh tiles with.

    Attributes:
        schema: of the clauses.
        alone: Per clause what was fitted for it by itself.
        joint: What was fitted for all clauses together; None: each clause is weighed for itself.
        standing: Clauses in which no model counts, nor do other clauses.
        expected: Per model the source weight that is expected of it; () where models are alike.
    """

    schema: AnnotationSchema
    alone: list[ClauseFit]
    joint: JointFit | None
    standing: frozenset[str] = frozenset()
    expected: tuple[float, ...] = ()

    @property
    def source_weights(self) -> dict[str, list[float]]:
        """Per clause the source weight of each model."""
        return {clause: each.source_weights for clause, each in zip(self.schema.names, self.alone, strict=True)}

    @property
    def joint_inverse_temperature(self) -> float:
        """See `Weighing`."""
        return 1.0 if self.joint is None else self.joint.inverse_temperature

    def weigh(self, block: Block) -> Weighing:
        """Weigh the tiles of a block."""
        names, alone = self.schema.names, each_alone(block, self.alone)
        by_clause = {clause: each.posterior for clause, each in zip(names, alone, strict=True)}
        if self.joint is None:
            nothing = np.zeros((len(block[0].initial), len(ways_to_be_wrong(self.schema))))
            return Weighing(by_clause, self.source_weights, nothing, 1.0, by_clause)
        joint = weigh_jointly(self.schema, block, alone, self.joint)
        posterior = {
            clause: by_clause[clause] if clause in self.standing else together
            for clause, together in zip(names, joint.values, strict=True)
        }
        return Weighing(
            posterior, self.source_weights, joint.hypothesis[:, 1:], self.joint.inverse_temperature, by_clause
        )

    def without_initial(self, block: Block) -> dict[str, np.ndarray]:
        """What the models together say of the tiles of a block, as if nobody had annotated these.

        Where none of the models counts, each has its expected weight over their number: annotations that it cannot be
        weighed against say nothing of how good it is.

        Returns:
            Per clause float [n, V]; rows sum to one.
        """
        names, count = self.schema.names, len(block[0].sources)
        expected = [each / count for each in self.expected or (1.0,) * count]
        fits = [fit if any(fit.source_weights) else replace(fit, source_weights=expected) for fit in self.alone]
        alone = each_alone(block, fits)
        if self.joint is None:
            return {clause: each.pooled for clause, each in zip(names, alone, strict=True)}
        _, together = weigh_models_jointly(self.schema, alone, self.joint.inverse_temperature, self.joint.class_prior)
        return dict(zip(names, together.values, strict=True))


def weigh(
    models: Sequence[Mapping[str, np.ndarray]],
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    config: AcceptanceConfig,
    priors: Sequence[SourceWeightPrior] | None = None,
    said: Mapping[str, np.ndarray] | None = None,
) -> Weighing:
    """Posterior of the true values of N tiles that all lie here.

    Args:
        models: Per model and clause its distribution, float [N, V]; NaN rows where the model was not queried.
        initial: The initial annotations, with the known accuracy of each as its confidence.
        held_out: bool [N], True for tiles that no model was trained on. Without any, the source weights are those
            expected by `priors`, divided by the number of models.
        config: How the errors of the initial annotations are estimated, and whether clauses are weighed together.
        priors: Per model the prior of its source weight, see `fit_source_weights`.
        said: Per clause float [N, V], how probable what people said is under each true value; None: nothing was said.
    """
    tiles = hand_over(models, initial, held_out, config, said)
    fit = fit_weighing(tiles, config, priors)
    parts = [fit.weigh(block) for block in tiles.blocks]
    return Weighing(
        _joined([part.posterior for part in parts]),
        fit.source_weights,
        np.concatenate([part.wholly_wrong for part in parts]),
        fit.joint_inverse_temperature,
        _joined([part.alone for part in parts]),
    )


def fit_weighing(
    tiles: Tiles, config: AcceptanceConfig, priors: Sequence[SourceWeightPrior] | None = None
) -> WeighingFit:
    """Fit all that tiles are weighed with: sums over blocks, in the order of the blocks.

    Args:
        tiles: What is said of them.
        config: How the errors of the initial annotations are estimated, and whether clauses are weighed together.
        priors: Per model the prior of its source weight, see `fit_source_weights`.
    """
    schema, workers = tiles.schema, tiles.workers
    before = [
        ClauseFit.before(tiles.models, len(words), accuracy)
        for accuracy, words in zip(tiles.accuracy, schema.vocabulary.values(), strict=True)
    ]
    fitted = fit_clauses(tiles.held_out, tiles.blocks, before, config.noise_pseudo_count, priors, workers)

    def counting_but_in(standing: frozenset[str]) -> list[ClauseFit]:
        return [
            first if clause in standing else fit
            for clause, first, fit in zip(schema.names, before, fitted, strict=True)
        ]

    excess = workers.map(excess_agreement, list(zip(tiles.held_out, counting_but_in(tiles.standing), strict=True)))
    standing = tiles.standing | clauses_with_repeated_errors(schema, excess)
    alone = counting_but_in(standing)
    joint = fit_joint(tiles, alone, config) if config.consistency else None
    expected = () if priors is None else tuple(prior.expected for prior in priors)
    return WeighingFit(schema, alone, joint, standing, expected)


def _joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {clause: np.concatenate([part[clause] for part in parts]) for clause in parts[0]}
