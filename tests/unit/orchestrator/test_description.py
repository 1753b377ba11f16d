"""What stands at the top of a run's page in a tracker."""

from orchestrator.state.records import InitialSummary
from orchestrator.tracking.description import Description
from support.records import record, timings

INITIAL = InitialSummary(annotation_accuracy=0.797, tiles=8, quarantined=0, simulated=True)


def described(minutes: float = 3.0, **given) -> Description:
    """A run of three rounds that started so many minutes ago."""
    times = iter([0.0, *[60 * minutes] * 9])
    return Description(3, "runs/a", clock=lambda: next(times), **given)


def test_a_run_that_goes_on_says_phase_round_change_and_minutes():
    text = described(records=[record(1, timings=timings(10))], initial=INITIAL).enter("label", 2)
    assert text.startswith("**round 2 of 3, label**, as of 1970-01-01 00:03 UTC")
    assert "Annotation accuracy 0.7970 → 0.9100 after round 1." in text
    assert "1.0 minutes in recorded rounds; 3.0 minutes since this start." in text
    assert "Waits" not in text


def test_what_it_waits_for_stands_there_until_the_next_phase():
    description = described()
    description.enter("train", 1)
    description.waits = "Ray waits for 4 CPU."
    assert "**Waits:** Ray waits for 4 CPU." in description.now()
    assert "Waits" not in description.enter("publish", 1)


def test_every_end_says_how_it_was_and_how_to_go_on():
    description = described(initial=INITIAL)
    description.enter("score", 1)
    for status in ("failed", "interrupted"):
        said = description.ended(status)
        assert said.startswith(
            f"**{status}** after 0 of 3 rounds, in round 1 of 3, score; go on with `knowlip resume r"
        )
        assert "0.7970 initially; no round is recorded yet" in said
    description.records = [record(1, end="round 1 accepted 1.0%")]
    assert description.ended("finished").startswith("**finished** after 1 of 3 rounds: round 1 accepted 1.0%")


def test_without_truth_the_accepted_clauses_are_told():
    text = described(records=[record(1, metrics={"annotation_accuracy": None})]).enter("train", 2)
    assert "No truth to compare with; round 1 accepted 12 clauses." in text
