"""Which runs may hold resources of one cluster at the same time.

The policy is plain: who asked for what, when, and what the nodes have decide who is admitted.
orchestrator/cluster/admission.py asks it, in one process of the cluster.

A run claims the most that it may hold at one time, and keeps the claim from its admission to its end. So runs that are
admitted never wait for what another one holds, and one of them always comes to its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

EXPIRES_AFTER_S = 60.0
"""A claim that was not renewed for so long is given up: its driver was killed, or is cut off."""
_UNIT = 10_000  # Ray counts resources in ten-thousandths; sums of fractions must not miss by a rounding error


@dataclass(frozen=True)
class Node:
    """Logical CPUs and GPUs of a node that is alive."""

    cpus: float
    gpus: float = 0


@dataclass(frozen=True)
class Processes:
    """Processes of one kind: how many a run needs, how many it may grow to, and what each reserves on one node."""

    least: int
    most: int
    cpus: float
    gpus: float = 0


@dataclass(frozen=True)
class Claim:
    """What a run asks for.

    Attributes:
        run: a name that no other run on the cluster has.
        driver: a name of the process that asks; a run that is resumed has another one.
        owner: who to name to others that wait: user, host and run directory.
        processes: all that the run may have at one time.
    """

    run: str
    driver: str
    owner: str
    processes: tuple[Processes, ...]

    @property
    def least(self) -> Node:
        """CPUs and GPUs that the run cannot do without."""
        return _sum((kind, kind.least) for kind in self.processes)

    @property
    def most(self) -> Node:
        """CPUs and GPUs that the run may hold at one time."""
        return _sum((kind, kind.most) for kind in self.processes)


@dataclass(frozen=True)
class Holder:
    """A run that is admitted: who, what it may hold, and since when, in seconds since 1970."""

    owner: str
    most: Node
    since: float

    def __str__(self) -> str:
        return f"{self.owner} ({_amount(self.most)}, since {datetime.fromtimestamp(self.since, UTC):%H:%M} UTC)"


@dataclass(frozen=True)
class Verdict:
    """The answer to a claim.

    Attributes:
        admitted: whether the run may begin.
        holders: the other runs that are admitted, in the order of their admission.
        ahead: owners of the claims that were made before this one and wait too.
        expired: runs whose drivers were killed while they held resources, and have not come back. What outlives its
            driver on the cluster is theirs no more.
    """

    admitted: bool
    holders: tuple[Holder, ...] = ()
    ahead: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()


@dataclass
class _Entry:
    claim: Claim
    renewed: float
    since: float


@dataclass
class Admission:
    """Admits claims in the order in which they were made, as long as all admitted ones fit on the nodes together.

    Times are seconds of one monotonic clock, `wall` apart, which is told to people.

    Attributes:
        expires_after_s: how long a claim lasts after it was last made.
        closed_until: nobody new is admitted before: where this object took over from one whose claims it does not know,
            their holders have to come and say so first.
    """

    expires_after_s: float = EXPIRES_AFTER_S
    closed_until: float = float("-inf")
    _admitted: dict[str, _Entry] = field(default_factory=dict, init=False)
    _waiting: dict[str, _Entry] = field(default_factory=dict, init=False)
    _expired: set[str] = field(default_factory=set, init=False)

    def ask(self, claim: Claim, nodes: Sequence[Node], now: float, wall: float, holds: bool = False) -> Verdict:
        """Make a claim, or renew it.

        A run that asks by another driver goes on with its claim: the run directory's lease lets only one driver work.

        Args:
            claim: what the run asks for.
            nodes: the nodes that are alive.
            now: the time.
            wall: the time in seconds since 1970.
            holds: whether the run was admitted before, and so holds what it claims, whatever is known of it here.
        """
        self._expire(now)
        self._expired.discard(claim.run)
        known = self._admitted if holds or claim.run in self._admitted else self._waiting
        if known is self._admitted:
            self._waiting.pop(claim.run, None)
        since = known[claim.run].since if claim.run in known else wall
        known[claim.run] = _Entry(claim, now, since)
        self._admit(nodes, now, wall)
        return self._verdict(claim.run)

    def release(self, run: str, driver: str) -> None:
        """Give up a claim, unless another driver of the run has taken it over."""
        for known in (self._admitted, self._waiting):
            if run in known and known[run].claim.driver == driver:
                del known[run]

    def _expire(self, now: float) -> None:
        for known in (self._admitted, self._waiting):
            for run in [run for run, entry in known.items() if now - entry.renewed > self.expires_after_s]:
                del known[run]
                if known is self._admitted:
                    self._expired.add(run)

    def _admit(self, nodes: Sequence[Node], now: float, wall: float) -> None:
        if now < self.closed_until:
            return
        for run, entry in list(self._waiting.items()):
            if self._has_room(entry.claim, nodes):
                del self._waiting[run]
                self._admitted[run] = _Entry(entry.claim, entry.renewed, wall)
            elif _within(entry.claim.least, nodes):
                return  # nobody overtakes it: a large run would wait for ever behind small ones

    def _has_room(self, claim: Claim, nodes: Sequence[Node]) -> bool:
        """Whether a claim fits beside the admitted ones. A run without others has had its preflight, which is exact."""
        return not self._admitted or fits([entry.claim for entry in self._admitted.values()] + [claim], nodes)

    def _verdict(self, run: str) -> Verdict:
        holders = tuple(
            Holder(entry.claim.owner, entry.claim.most, entry.since)
            for name, entry in self._admitted.items()
            if name != run
        )
        if run in self._admitted:
            return Verdict(True, holders, expired=tuple(sorted(self._expired)))
        names = list(self._waiting)
        ahead = tuple(self._waiting[name].claim.owner for name in names[: names.index(run)])
        return Verdict(False, holders, ahead)


def fits(claims: Sequence[Claim], nodes: Sequence[Node]) -> bool:
    """Return whether the most of all claims finds room, each process whole on one node.

    The largest process is placed first, each where least is left. True is certain. False may be wrong where processes
    are large; then a run waits although it need not.
    """
    free = [(round(node.gpus * _UNIT), round(node.cpus * _UNIT)) for node in nodes]
    wanted = [
        (round(kind.gpus * _UNIT), round(kind.cpus * _UNIT))
        for claim in claims
        for kind in claim.processes
        for _ in range(kind.most)
    ]
    for gpus, cpus in sorted(wanted, reverse=True):
        free.sort()
        place = next((i for i, node in enumerate(free) if node[0] >= gpus and node[1] >= cpus), None)
        if place is None:
            return False
        free[place] = (free[place][0] - gpus, free[place][1] - cpus)
    return True


def waiting_message(claim: Claim, verdict: Verdict) -> str:
    """Say what a run waits for and who holds it, without a full stop."""
    parts = [f"room on the cluster for {_amount(claim.most)}"]
    if verdict.holders:
        parts.append(f"held by {' and '.join(map(str, verdict.holders))}")
    if verdict.ahead:
        parts.append(f"asked for before by {' and '.join(verdict.ahead)}")
    return "; ".join(parts)


def _sum(counts) -> Node:
    pairs = list(counts)
    return Node(
        round(sum(kind.cpus * count for kind, count in pairs), 4),
        round(sum(kind.gpus * count for kind, count in pairs), 4),
    )


def _within(amount: Node, nodes: Sequence[Node]) -> bool:
    return amount.cpus <= sum(node.cpus for node in nodes) and amount.gpus <= sum(node.gpus for node in nodes)


def _amount(node: Node) -> str:
    cpus = f"{node.cpus:g} CPU{'' if node.cpus == 1 else 's'}"
    return f"{cpus} and {node.gpus:g} GPU{'' if node.gpus == 1 else 's'}" if node.gpus else cpus
