"""A section of the configuration that comes in kinds: a pydantic discriminated union to which others may add."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from corpus.registry import Registry, UnknownMember

Section = TypeVar("Section", bound=BaseModel)


class ConfigKinds(Registry[type[Section]], Generic[Section]):
    """Kind -> the model of its section, which has a field `kind: Literal[...]` with the kind's name.

    As the metadata of a field it makes that field a union of all registered models, told apart by `kind`:

        captioner: Annotated[SerializeAsAny[CaptionerConfig], CAPTIONERS]

    A discriminated union of pydantic is closed when the class is defined; this one looks into the registry when a
    configuration is read.

    Args:
        kind: What a member is, in the singular, for messages: "captioner kind".
        default: The kind of a section that names none.
    """

    def __init__(self, kind: str, default: str) -> None:
        super().__init__(kind)
        self.default = default

    def read(self, content: Any) -> Any:
        """Validate a section with the model of its kind. Anything but a dictionary is returned as it is.

        Raises:
            ValidationError: The kind is unknown, a key belongs to another kind, or the model refuses the content.
        """
        if not isinstance(content, dict):
            return content
        kind = content.get("kind", self.default)
        try:
            model = self.find(str(kind))
        except UnknownMember as error:
            raise self._refused([(("kind",), str(error), kind)]) from error
        if foreign := [
            ((key,), f"{key} is a setting of {self._owners(key)}, and kind is {kind}: leave it out, or set kind", value)
            for key, value in content.items()
            if key not in model.model_fields and self._owners(key)
        ]:
            raise self._refused(foreign)
        return model.model_validate(content)

    def _owners(self, key: str) -> str:
        """The kinds that have a key, as words; empty where none has."""
        names = [name for name, model in self.items() if key in model.model_fields]
        return f"kind {' and '.join(names)}" if names else ""

    def _refused(self, problems: list[tuple[tuple[str, ...], str, Any]]) -> ValidationError:
        details = [
            InitErrorDetails(
                type=PydanticCustomError("kind", "{message}", {"message": message}), loc=location, input=value
            )
            for location, message, value in problems
        ]
        return ValidationError.from_exception_data(self.kind, details)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))


def kinds_of(field: FieldInfo) -> ConfigKinds | None:
    """The kinds that a field comes in; None for a field that is no such union."""
    return next((each for each in field.metadata if isinstance(each, ConfigKinds)), None)
