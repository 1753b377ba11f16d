"""Members by name, added from anywhere."""

import pytest

from corpus.registry import Registry, UnknownMember
from corpus.storage.errors import UserError


@pytest.fixture
def tools():
    registry = Registry[type]("tool")
    registry.add("integer", int)
    return registry


def test_members_keep_the_order_of_registration(tools):
    tools.add("absent", str)
    assert list(tools.items()) == [("integer", int), ("absent", str)]


def test_a_decorator_registers_a_class_and_leaves_it_as_it_is(tools):
    @tools.register("hammer")
    class Hammer:
        pass

    assert tools.find("hammer") is Hammer


def test_an_unknown_name_is_answered_with_the_known_ones(tools):
    with pytest.raises(UnknownMember, match=r"no tool 'integr'; registered: integer\. Did you mean 'integer'\?"):
        tools.find("integr")
    with pytest.raises(UnknownMember, match=r"There is no tool 'xyz'; registered: integer\.$"):
        tools.find("xyz")
    assert "integr" not in tools
    assert tools.get("integr") is None
    assert issubclass(UnknownMember, UserError)


def test_a_second_member_of_a_name_is_refused_and_the_same_one_is_not(tools):
    tools.add("integer", int)
    with pytest.raises(ValueError, match="There is a tool 'integer' already"):
        tools.add("integer", float)
    assert tools["integer"] is int
