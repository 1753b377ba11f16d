"""The closed loop, as the algorithm reads."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from orchestrator.run import steps as real_steps


class Steps(Protocol):
    """The steps of a round. `orchestrator.run.steps` has the real ones, orchestrator/simulation/steps.py others."""

    def train(self, *arguments: Any, **settings: Any) -> Any:
        """Train a fold's model."""

    def publish(self, *arguments: Any, **settings: Any) -> Any:
        """Have the captioner serve the weights."""

    def train_beside(self, *arguments: Any, **settings: Any) -> Any:
        """Begin the training that goes on while labels are written, where the schedule has one."""

    def score(self, *arguments: Any, **settings: Any) -> Any:
        """Score every clause."""

    def find_flagged(self, *arguments: Any, **settings: Any) -> Any:
        """Flag clauses, and choose those to query."""

    def relabel(self, *arguments: Any, **settings: Any) -> Any:
        """Query the captioner."""

    def join(self, *arguments: Any, **settings: Any) -> Any:
        """Join what the folds found."""

    def aggregate(self, *arguments: Any, **settings: Any) -> Any:
        """Weigh all label sources."""

    def refresh(self, *arguments: Any, **settings: Any) -> Any:
        """Commit the annotations and shuffle them."""

    def evaluate(self, *arguments: Any, **settings: Any) -> Any:
        """Compare with the truth, where there is one."""


class Running(Protocol):
    """What holds a run while it runs: `orchestrator.run.session.Session`, or a simulated one."""

    def start(self) -> tuple[Any, Any]:
        """Start the run; returns its corpus and its actors."""
        ...

    def remaining_rounds(self) -> Iterable[Any]:
        """The rounds that are not recorded yet."""
        ...

    def recording(self, round_: Any, /) -> AbstractContextManager[Any]:
        """Run the body as a round, and write its record last."""
        ...

    def finish(self) -> None:
        """Do what can be done only when all rounds are over."""
        ...


def run_loop(session: Running, steps: Steps = real_steps) -> None:
    """Run all rounds that are not recorded yet. Each one writes its record last, as its block is left."""
    corpus, actors = session.start()

    for round_ in session.remaining_rounds():
        with session.recording(round_) as recorder:
            for fold in corpus.folds:  # one fold that trains on and labels all tiles, unless labelling is out of fold
                weights = steps.train(round_, corpus, fold, actors.trainer)
                recorder.add_training(weights)
                receipt = steps.publish(round_, fold, weights, actors)
                steps.train_beside(round_, corpus, fold, weights, actors.trainer)
                scores = steps.score(round_, corpus, fold, actors.scorers)
                flagged, queried = steps.find_flagged(round_, corpus, fold, scores, actors.scorers)
                proposals = steps.relabel(round_, corpus, fold, scores, queried, actors.captioner)
                recorder.add_labelling(fold, receipt, scores, flagged, queried, proposals)

            findings = steps.join(corpus, recorder.findings)
            update = steps.aggregate(round_, corpus, findings, actors.scorers)
            recorder.add_update(corpus, findings, update)
            corpus = steps.refresh(round_, corpus, findings, update)
            recorder.add_evaluation(corpus, steps.evaluate(round_, corpus, findings, update, actors.evaluator))

    session.finish()
