"""Who may work on a shared cluster: the policy alone, with times and nodes that the test says."""

import pytest

from orchestrator.policies.admission import Admission, Claim, Node, Processes, fits, waiting_message

FOUR = (Node(4),)


def claim(run: str, cpus: int = 4, least: int | None = None, driver: str = "first") -> Claim:
    return Claim(run, driver, f"{run}'s user on host, /runs/{run}", (Processes(least or cpus, cpus, 1.0),))


class Desk:
    """An admission with a clock of its own."""

    def __init__(self, nodes=FOUR, **settings) -> None:
        self.admission, self.nodes, self.now = Admission(**settings), nodes, 0.0

    def ask(self, asked: Claim, holds: bool = False):
        return self.admission.ask(asked, self.nodes, self.now, 1_000_000 + self.now, holds)

    def admitted(self, *claims: Claim) -> list[bool]:
        return [self.ask(each).admitted for each in claims]


def test_runs_are_admitted_one_after_the_other_where_only_one_has_room():
    desk, runs = Desk(), [claim(name) for name in "abc"]
    assert desk.admitted(*runs) == [True, False, False]
    desk.admission.release("a", "first")
    assert desk.admitted(*runs[2:], *runs[1:2]) == [False, True], "b asked before c"
    desk.admission.release("b", "first")
    assert desk.admitted(runs[2]) == [True]


def test_runs_that_fit_together_are_admitted_together():
    assert Desk((Node(8),)).admitted(claim("a"), claim("b"), claim("c")) == [True, True, False]


def test_what_a_run_may_grow_to_counts_and_not_what_it_needs():
    """An elastic training group takes what is free: a run admitted by its least would find nothing left."""
    assert Desk((Node(8),)).admitted(claim("a", 6, least=4), claim("b", 4)) == [True, False]


def test_a_run_that_may_grow_beyond_the_cluster_has_it_alone():
    assert Desk().admitted(claim("a", 100, least=2), claim("b", 1)) == [True, False]


def test_nobody_overtakes_a_large_run_that_waits():
    desk = Desk()
    assert desk.admitted(claim("a", 3), claim("large", 4), claim("small", 1)) == [True, False, False]
    assert desk.ask(claim("small", 1)).ahead == ("large's user on host, /runs/large",)
    desk.admission.release("a", "first")
    assert desk.admitted(claim("large", 4), claim("small", 1)) == [True, False]


def test_a_run_that_the_nodes_can_carry_no_more_holds_up_nobody():
    desk = Desk((Node(4), Node(4)))
    assert desk.admitted(claim("a", 3), claim("large", 8)) == [True, False]
    desk.nodes = FOUR  # a node is gone
    assert desk.admitted(claim("large", 8), claim("small", 1)) == [False, True]


def test_a_claim_that_is_not_renewed_expires():
    desk = Desk()
    assert desk.admitted(claim("killed"), claim("b")) == [True, False]
    desk.now = 59.0
    assert desk.admitted(claim("b")) == [False]
    desk.now = 60.5
    assert desk.ask(claim("b")).admitted
    assert desk.ask(claim("b")).expired == ("killed",), "whoever comes next has to end what it left"
    assert not desk.ask(claim("killed", driver="second")).admitted
    assert desk.ask(claim("b")).expired == ()


def test_a_renewed_claim_lasts():
    desk = Desk()
    desk.ask(claim("a"))
    for _ in range(20):
        desk.now += 10
        assert desk.admitted(claim("a"), claim("b")) == [True, False]


def test_a_waiting_run_that_was_killed_holds_up_nobody_for_longer():
    desk = Desk()
    assert desk.admitted(claim("a"), claim("killed"), claim("c")) == [True, False, False]
    for _ in range(7):
        desk.now += 10
        assert desk.admitted(claim("a"), claim("c")) == [True, False]
    desk.admission.release("a", "first")
    assert desk.admitted(claim("c")) == [True]


def test_a_resumed_run_goes_on_with_its_claim_and_its_old_driver_cannot_give_it_up():
    desk = Desk()
    assert desk.admitted(claim("a"), claim("b"), claim("a", driver="second")) == [True, False, True]
    desk.admission.release("a", "first")
    assert desk.admitted(claim("b")) == [False]
    desk.admission.release("a", "second")
    assert desk.admitted(claim("b")) == [True]


def test_one_that_takes_over_learns_who_is_at_work_before_it_admits_anybody():
    desk = Desk(closed_until=30.0)
    assert desk.admitted(claim("new")) == [False]
    assert desk.ask(claim("working"), holds=True).admitted
    desk.now = 31.0
    assert desk.admitted(claim("new")) == [False]
    desk.admission.release("working", "first")
    assert desk.admitted(claim("new")) == [True]


@pytest.mark.parametrize(
    ("nodes", "kinds", "together"),
    [
        ((Node(3), Node(3)), (Processes(2, 2, 2), Processes(2, 2, 1)), True),
        ((Node(2), Node(2)), (Processes(1, 1, 3),), False),
        ((Node(3), Node(3)), (Processes(3, 3, 2),), False),
        ((Node(4, 1), Node(8)), (Processes(1, 1, 1, 1), Processes(8, 8, 1)), True),
        ((Node(1),), (Processes(10, 10, 0.1),), True),
        ((Node(1, 1),), (Processes(1, 1, 0, 0.7), Processes(1, 1, 0, 0.4)), False),
    ],
)
def test_each_process_has_to_fit_whole_on_one_node(nodes, kinds, together):
    assert fits([Claim("a", "d", "o", kinds)], nodes) is together


def test_who_waits_is_told_for_what_and_who_holds_it():
    desk = Desk()
    desk.ask(claim("a"))
    desk.ask(claim("b", 2))
    said = waiting_message(claim("c", 1), desk.ask(claim("c", 1)))
    assert said == (
        "room on the cluster for 1 CPU; held by a's user on host, /runs/a (4 CPUs, since 13:46 UTC); "
        "asked for before by b's user on host, /runs/b"
    )
