"""What libraries of this process, and of the processes it starts, take from the environment: set before they look."""

import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path

# requests and gRPC know networks, httpx and urllib addresses and names.
LOOPBACK = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def prepare_environment() -> None:
    """Have programs of the installation found, loopback go past every proxy, and HOME be set.

    Called once, before anything that reads the environment is imported.
    """
    # DeepSpeed looks for ninja, which the environment has, on the PATH, which need not have the environment.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", "")])
    os.environ.update(past_proxies(os.environ))
    if not os.environ.get("HOME") and (home := _home_of_user()) is not None:
        os.environ["HOME"] = home  # Ray's native code knows no other way to it


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """What to set so that no HTTP client sends loopback to a proxy, which would see keys; {} where there is no proxy.

    Args:
        environment: variables as they are; what NO_PROXY holds stays in it.
    """
    if not any(environment.get(name) or environment.get(name.upper()) for name in _PROXIES):
        return {}
    given = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    names = [name.strip() for name in given.split(",") if name.strip()]
    if "*" in names:
        return {}
    joined = ",".join([*names, *(name for name in LOOPBACK if name not in names)])
    return {"no_proxy": joined, "NO_PROXY": joined}


def _home_of_user() -> str | None:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir or None
    except KeyError:  # a user without an entry, as in many containers
        return None
