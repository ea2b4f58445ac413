"""Pydantic schema: what a model class of pydantic says of its fields, and of the code that checks them."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from nbflow.llm.form import Json


def schema_of_model(model: type[BaseModel]) -> Json:
    """The JSON schema of a pydantic model, in which a decimal number is a number."""
    from pydantic import BaseModel, RootModel
    from pydantic.errors import PydanticUserError
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        def decimal_schema(self, schema: Any) -> Json:
            number = {"type": "float"}
            bounds = {
                name: float(schema[name])
                for name in ("ge", "gt", "le", "lt", "multiple_of")
                if name in schema
            }
            return self.float_schema({**number, **bounds})  # type: ignore[typeddict-item]  # made of its parts

    is_class = isinstance(model, type) and issubclass(model, BaseModel)
    if not is_class or issubclass(model, RootModel):
        raise UsageError(
            f"extractor({model!r}): it takes a pydantic model, a class of your own with "
            "BaseModel as its base."
        )
    try:
        return model.model_json_schema(schema_generator=Generator)
    except PydanticUserError as error:
        field = _culprit(model, Generator)
        of = f"The field {field!r} of {model.__name__}" if field else model.__name__
        raise UsageError(f"{of} cannot be asked for: {error.message}") from None


def _culprit(model: type[BaseModel], generator: Any) -> str:
    """The field that has no JSON schema."""
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    for name, field in model.model_fields.items():
        try:
            annotation: Any = field.annotation
            TypeAdapter(annotation).json_schema(schema_generator=generator)
        except PydanticUserError:
            return name
    return ""


def has_code(model: Any) -> bool:
    """Whether a class, or one that it holds, checks or changes values by code of its own."""
    from pydantic import BaseModel

    seen: list[Any] = []
    left = [model]
    while left:
        part = left.pop()
        if part in seen:
            continue
        seen.append(part)
        left += typing.get_args(part)
        if isinstance(part, type) and issubclass(part, BaseModel):
            if _checks(part):
                return True
            for field in part.model_fields.values():
                left += [field.annotation, *field.metadata]
        elif _is_code(part):
            return True
    return False


def _checks(model: Any) -> bool:
    """Whether a class has validators."""
    from pydantic import BaseModel

    decorators = model.__pydantic_decorators__
    found = [
        decorators.validators,
        decorators.field_validators,
        decorators.root_validators,
        decorators.model_validators,
        model.model_post_init is not BaseModel.model_post_init,
    ]
    return any(found)


def _is_code(part: Any) -> bool:
    """Whether something in an annotation is, or holds, code of the user's."""
    function = getattr(part, "func", None)
    if callable(function):
        return not _is_of(function, "nbflow")
    makes = hasattr(part, "__get_pydantic_core_schema__")
    return makes and not _is_of(
        part if isinstance(part, type) else type(part), "pydantic", "nbflow"
    )


def _is_of(thing: Any, *packages: str) -> bool:
    return str(thing.__module__).partition(".")[0] in packages
