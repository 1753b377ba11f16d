"""What the configuration of a run has that the run before it had not."""

from collections.abc import Mapping

from mlflow import MlflowClient

DIFFERENCES = "knowlip.differs_from_run_before"
"""Tag of a run of the loop."""
_LONGEST = 1000  # characters; a tag holds some thousands


def differences_from_run_before(
    client: MlflowClient, experiment_id: str, run_id: str, params: Mapping[str, str]
) -> str | None:
    """Compare with the last run of the loop that began in the experiment before this one.

    Args:
        client: of the store.
        experiment_id: of the run.
        run_id: of the run.
        params: of the run, as texts by dotted keys.

    Returns:
        The run before and each key that differs, such as "run-3: rounds 2 → 5"; None where there is no run before.
    """
    begun = client.get_run(run_id).info.start_time
    earlier = client.search_runs(
        [experiment_id],
        f"tags.`knowlip.kind` = 'loop' and attributes.start_time < {begun}",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    if not earlier:
        return None
    [before] = earlier
    theirs = before.data.params
    said = [
        f"{key} {theirs.get(key, 'unset')} → {params.get(key, 'unset')}"
        for key in sorted({*theirs, *params})
        if theirs.get(key) != params.get(key)
    ]
    text = f"{before.info.run_name}: {'; '.join(said) or 'nothing'}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
