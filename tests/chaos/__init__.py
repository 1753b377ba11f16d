"""Faults injected into real runs, and what became of them: `make chaos`."""

from support.ray_token import ask_for_token

ask_for_token()
