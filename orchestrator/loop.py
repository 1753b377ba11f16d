"""The closed loop, as the algorithm reads."""

from orchestrator.session import Session


def run_loop(session: Session) -> None:
    """Train, publish, score, relabel, accept, refresh, evaluate; a round without a record did not happen."""
    with session.startup():
        corpus = session.open_corpus()
        session.start_actors(corpus)

    for round_ in session.remaining_rounds():
        with session.round(round_) as this:
            with this.phase("train"):
                weights = session.trainer.train(round_, corpus.blocks, session.directory.weights(round_),
                                                on_progress=this.training_progress)
                this.trained(weights)

            with this.phase("publish"):
                receipt = session.captioner.publish(session.directory.weights(round_), weights.weights_sha256)
                this.published(receipt)

            with this.phase("score"):
                scores = session.score(corpus, round_)
                doubtful = session.find_doubtful(corpus, scores)

            with this.phase("label"):
                proposals = session.relabel(corpus, scores, doubtful, round_, on_progress=this.labelling_progress)
                settlement = session.settle(corpus, scores, proposals)
                this.labelled(corpus, doubtful, proposals, settlement)

            with this.phase("refresh"):
                corpus = session.refresh(corpus, settlement, scores, round_, weights.weights_sha256)
                this.refreshed(corpus)

            with this.phase("evaluate"):
                this.evaluated(session.evaluate(corpus, scores, round_))

    session.summarise()
