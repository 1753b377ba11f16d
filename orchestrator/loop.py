"""The closed loop, as the algorithm reads."""

from orchestrator.run.session import Session


def run_loop(session: Session) -> None:
    """Train, publish, score, relabel, accept, refresh, evaluate; a round without a record did not happen."""
    with session.startup():
        corpus = session.open_corpus()
        session.start_actors(corpus)

    for round_ in session.remaining_rounds():
        with session.round(round_) as this:
            for fold in corpus.folds:  # one that trains on and labels all tiles, unless labelling is out of fold
                with this.phase("train"):
                    weights = session.train(corpus, fold, round_, on_progress=this.training_progress)
                    this.trained(weights)

                with this.phase("publish"):
                    this.published(session.publish(fold, round_, weights))

                with this.phase("score"):
                    scores = session.score(corpus, fold, round_)
                    doubtful, asked = session.find_doubtful(corpus, fold, scores, round_)

                with this.phase("label"):
                    proposals = session.relabel(
                        corpus, fold, scores, asked, round_, on_progress=this.labelling_progress
                    )
                    this.found(fold, scores, doubtful, asked, proposals)

            with this.phase("label"):
                findings = this.findings(corpus)
                settlement = session.settle(corpus, findings, round_)
                this.settled(corpus, findings, settlement)

            with this.phase("refresh"):
                corpus = session.refresh(corpus, settlement, findings, round_)
                this.refreshed(corpus)

            with this.phase("evaluate"):
                this.evaluated(session.evaluate(corpus, findings, round_))

    session.summarise()
