"""Members of one kind by name: the place where a sensor, a task or a captioner is added, also from outside."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from corpus.plugins import load_named_plugins
from corpus.storage.errors import InputError

Member = TypeVar("Member")


class UnknownMember(InputError, ValueError):
    """No member of this name is registered; the message names the nearest one and lists all.

    It is a ValueError, too, so that a pydantic validator may let it pass.
    """


class Registry(Mapping[str, Member], Generic[Member]):
    """Name -> member, in the order of registration.

    A module outside the project adds a member with `add`, or with `register` above a class. The configuration names the
    module in `plugins`, and every process imports it at its first look into a registry (corpus/plugins.py).

    Args:
        kind: What a member is, in the singular, for messages: "sensor".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._members: dict[str, Member] = {}

    def add(self, name: str, member: Member) -> Member:
        """Register a member and return it. Registering an equal member again changes nothing.

        Raises:
            ValueError: another member has the name.
        """
        if name in self._members and self._members[name] != member:
            raise ValueError(f"There is a {self.kind} '{name}' already: register the new one under another name.")
        self._members[name] = member
        return member

    def register(self, name: str) -> Callable[[Member], Member]:
        """The decorator that registers a class or function under a name; errors as `add`."""
        return lambda member: self.add(name, member)

    def find(self, name: str) -> Member:
        """The member of a name.

        Raises:
            UnknownMember: there is none.
        """
        members = self._complete()
        if name not in members:
            near = difflib.get_close_matches(name, members, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            known = ", ".join(sorted(members)) or "nothing"
            raise UnknownMember(f"There is no {self.kind} '{name}'; registered: {known}.{hint}")
        return members[name]

    def _complete(self) -> dict[str, Member]:
        """All members, those of plugins among them."""
        load_named_plugins()
        return self._members

    def __getitem__(self, name: str) -> Member:
        return self._complete()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._complete())

    def __len__(self) -> int:
        return len(self._complete())
