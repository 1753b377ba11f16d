"""A section of the configuration in kinds: an open discriminated union."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError

from corpus.config_kinds import ConfigKinds, kinds_of


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")
    colour: str = "red"


class Circle(Shape):
    kind: Literal["circle"] = "circle"
    radius: int = Field(default=1, ge=0)


class Square(Shape):
    kind: Literal["square"] = "square"
    side: int = 1


SHAPES = ConfigKinds[Shape]("shape", default="circle")
SHAPES.add("circle", Circle)
SHAPES.add("square", Square)


class Picture(BaseModel):
    shape: Annotated[SerializeAsAny[Shape], SHAPES] = Field(default_factory=Circle)


def problem(content: dict) -> tuple[tuple, str]:
    with pytest.raises(ValidationError) as caught:
        Picture.model_validate({"shape": content})
    [found] = caught.value.errors()
    return found["loc"], found["msg"]


def test_a_section_is_read_by_the_model_of_its_kind():
    assert Picture.model_validate({"shape": {"kind": "square", "side": 3}}).shape == Square(side=3)
    assert Picture.model_validate({"shape": {"radius": 3}}).shape == Circle(radius=3)
    assert Picture(shape=Square()).shape == Square()


def test_a_section_is_written_with_the_keys_of_its_kind_and_read_again():
    picture = Picture(shape=Square(side=3, colour="blue"))
    content = picture.model_dump(mode="json")
    assert content == {"shape": {"colour": "blue", "kind": "square", "side": 3}}
    assert Picture.model_validate(content) == picture
    assert Picture.model_validate_json(picture.model_dump_json()) == picture


def test_a_kind_that_is_registered_later_is_found():
    class Line(Shape):
        kind: Literal["line"] = "line"

    SHAPES.add("line", Line)
    assert isinstance(Picture.model_validate({"shape": {"kind": "line"}}).shape, Line)


def test_an_unknown_kind_is_answered_with_the_known_ones_and_the_nearest():
    where, said = problem({"kind": "squares"})
    assert where == ("shape", "kind")
    assert "no shape 'squares'" in said
    assert "circle" in said
    assert "Did you mean 'square'?" in said


def test_a_setting_of_another_kind_is_refused_by_its_name():
    where, said = problem({"kind": "circle", "side": 2})
    assert where == ("shape", "side")
    assert said == "side is a setting of kind square, and kind is circle: leave it out, or set kind"


def test_what_the_model_of_the_kind_refuses_keeps_its_place():
    assert problem({"radius": -1})[0] == ("shape", "radius")
    assert problem({"radios": 1})[0] == ("shape", "radios")


def test_a_field_tells_the_kinds_it_comes_in():
    assert kinds_of(Picture.model_fields["shape"]) is SHAPES
    assert kinds_of(Shape.model_fields["colour"]) is None
