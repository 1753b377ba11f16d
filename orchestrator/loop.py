"""The closed loop, as the algorithm reads."""

from orchestrator.policies.folds import join_findings
from orchestrator.run.session import Session
from orchestrator.run.steps import aggregate, evaluate, find_flagged, publish, refresh, relabel, score, train


def run_loop(session: Session) -> None:
    """Run all rounds that are not recorded yet. Each one writes its record last, as its block is left."""
    corpus, actors = session.start()

    for round_ in session.remaining_rounds():
        with session.recording(round_) as recorder:
            for fold in corpus.folds:  # one fold that trains on and labels all tiles, unless labelling is out of fold
                weights = train(round_, corpus, fold, actors.trainer)
                recorder.add_training(weights)
                receipt = publish(round_, fold, weights, actors.captioner)
                scores = score(round_, corpus, fold)
                flagged, queried = find_flagged(round_, corpus, fold, scores)
                proposals = relabel(round_, corpus, fold, scores, queried, actors.captioner)
                recorder.add_labelling(fold, receipt, scores, flagged, queried, proposals)

            findings = join_findings(corpus.annotations.tile_ids, recorder.findings)
            update = aggregate(round_, corpus, findings)
            recorder.add_update(corpus, findings, update)
            corpus = refresh(round_, corpus, findings, update)
            recorder.add_evaluation(corpus, evaluate(round_, corpus, findings, actors.evaluator))

    session.finish()
