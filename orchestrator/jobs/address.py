"""Where a cluster's job server is; looked at before Ray sees it, which takes long over what is none."""

from urllib.parse import urlsplit

from corpus.storage.errors import InputError
from corpus.storage.redaction import without_user


class UnusableAddress(InputError):
    """No address of a job server."""


def job_server(address: str) -> str:
    """Return the address where it is one of a job server.

    Raises:
        UnusableAddress: it is not.
    """
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port
        usable = False
    if not usable:
        said = (
            f"'{without_user(address)}' is no address of a cluster's job server" if address else "No cluster is named"
        )
        raise UnusableAddress(
            f"{said}: write --address http://HOST:PORT, for instance http://localhost:8265, which is Ray's dashboard "
            "(RAY_API_SERVER_ADDRESS and RAY_ADDRESS stand in for it where a command says so)."
        )
    return address
