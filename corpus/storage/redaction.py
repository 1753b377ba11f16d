"""Keeps secrets out of what is printed and stored."""

import re

_USER_INFO = re.compile(r"(?<=://)[^/\s]*@")


def without_user(text: str) -> str:
    """Return the text without user names and passwords in its URLs."""
    return _USER_INFO.sub("", text)
