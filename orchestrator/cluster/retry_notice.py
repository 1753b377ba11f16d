"""Tells the user that a request to another machine is tried again."""

from rich.console import Console
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from corpus.storage.redaction import without_user

_LONGEST = 200


def announce_retries(console: Console) -> None:
    """Print a line with the cause for every retry of this process, in place of stamina's own, which names no cause."""

    def print_retry(details: RetryDetails) -> None:
        cause = " ".join(without_user(str(details.caused_by)).split())[:_LONGEST] or type(details.caused_by).__name__
        console.print(
            f"Trying again in {details.wait_for:.0f} s: {cause}", markup=False, highlight=False, soft_wrap=True
        )

    set_on_retry_hooks([print_retry])
