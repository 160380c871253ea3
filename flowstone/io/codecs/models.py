"""pydantic models as JSON.

A model is written as its fields, each exactly, together with what pydantic keeps beside them (which fields
were set, extra fields, private attributes), and put back without validation. Two cases go another way:

* The class has changed since (its fields or their annotations): the stored fields are validated by the class
  as it is now, so defaults, `extra=` and validators decide, as for any old data.
* A field holds something only pydantic knows how to write (a URL, an IP address): the whole model is written
  by its own JSON, provided that this very text loads to an equal model. `SecretStr`, whose JSON is a row of
  stars, is so refused instead of lost.

Why not the model's own JSON for all: it turns NaN and infinities into null, loses subclasses in fields
declared as their base, excluded fields and private attributes, and runs validators a second time.

pydantic is looked up in `sys.modules`: where it was never imported there are no models.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from typing import TYPE_CHECKING, Any

from flowstone.io.codecs.codec import CodecError
from flowstone.io.codecs.state import encode_state, is_cached

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from flowstone.io.codecs.classes import Classes

__all__ = ["decode_model", "decode_model_json", "encode_model", "is_model"]


def is_model(value: object) -> bool:
    """Whether `value` is an instance of a pydantic model."""
    return is_model_class(type(value))


def is_model_class(cls: type) -> bool:
    base = getattr(sys.modules.get("pydantic.main"), "BaseModel", None)
    return base is not None and issubclass(cls, base)


def encode_model(value: Any, classes: Classes, encode: Callable[[Any], Any]) -> dict[str, Any]:
    """The model as a tagged object; `encode` encodes a part of its state."""
    try:
        return {"$model": _encode_state(value, classes, encode)}
    except CodecError:
        text = _own_json(value)
        if text is None:
            raise
        return {"$model_json": [classes.name(type(value)), text]}


def decode_model(content: dict[str, Any], classes: Classes) -> object:
    """The model of a `$model` object."""
    cls: Any = classes.find(content["class"], is_model_class)
    if content["shape"] != classes.shape(cls, _shape):
        return _validated(cls, content["fields"], content.get("extra") or {})
    instance = cls.__new__(cls)
    # RootModel keeps its state in its own way; both put it back as `copy` and `pickle` would.
    root = sys.modules["pydantic"].RootModel
    keeper = root if issubclass(cls, root) else sys.modules["pydantic"].BaseModel
    keeper.__setstate__(
        instance,
        {
            "__dict__": content["fields"],
            "__pydantic_fields_set__": content["set"],
            "__pydantic_extra__": content.get("extra"),
            "__pydantic_private__": content.get("private"),
        },
    )
    return instance


def decode_model_json(content: list[str], classes: Classes) -> object:
    """The model of a `$model_json` object."""
    cls: Any = classes.find(content[0], is_model_class)
    return _validate(cls, lambda: cls.model_validate_json(content[1]))


def _encode_state(value: BaseModel, classes: Classes, encode: Callable[[Any], Any]) -> dict[str, Any]:
    cls = type(value)
    fields = {name: part for name, part in value.__dict__.items() if not is_cached(cls, name)}
    state = {
        "class": classes.name(cls),
        "shape": classes.shape(cls, _shape),
        "fields": encode_state(fields, encode),
        "set": encode(set(value.model_fields_set)),
    }
    if value.__pydantic_extra__ is not None:
        state["extra"] = encode(value.__pydantic_extra__)
    private = _private(value)
    if private is not None:
        state["private"] = encode_state(private, encode)
    return state


def _private(value: BaseModel) -> dict[str, Any] | None:
    private = value.__pydantic_private__
    if private is None:
        return None
    undefined = sys.modules["pydantic_core"].PydanticUndefined
    return {name: part for name, part in private.items() if part is not undefined}


def _own_json(value: Any) -> str | None:
    """The model's own JSON, if it leads back to an equal model; None otherwise."""
    cls = type(value)
    try:
        text: str = value.model_dump_json(round_trip=True, by_alias=_takes_aliases(cls), warnings=False)
        loaded = cls.model_validate_json(text)
        # `==` alone takes the enum member for its number; `repr` alone takes one secret for another.
        return text if loaded == value and repr(loaded) == repr(value) else None
    except Exception:
        return None


def _takes_aliases(cls: Any) -> bool:
    config = cls.model_config
    return not (config.get("populate_by_name") or config.get("validate_by_name"))


def _shape(cls: Any) -> str:
    """A digest of the field names and annotations: whether a stored state still fits the class."""
    described = [[name, repr(field.annotation)] for name, field in cls.model_fields.items()]
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", json.dumps(described))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def _validated(cls: Any, fields: dict[str, Any], extra: dict[str, Any]) -> object:
    known: dict[str, FieldInfo] = cls.model_fields
    by_alias = _takes_aliases(cls)
    named = {_input_name(name, known.get(name), by_alias=by_alias): part for name, part in fields.items()}
    return _validate(cls, lambda: cls.model_validate({**extra, **named}))


def _input_name(name: str, field: FieldInfo | None, *, by_alias: bool) -> str:
    alias = field.validation_alias if field is not None and by_alias else None
    choices = getattr(alias, "choices", [alias])
    return next((choice for choice in choices if isinstance(choice, str)), name)


def _validate(cls: Any, validate: Callable[[], object]) -> object:
    try:
        return validate()
    except Exception as error:
        raise CodecError(
            f"the model {cls.__qualname__} has changed since it was stored and refuses it ({_told(error)})",
            "materialize it again, or let the model accept the old fields",
        ) from error


def _told(error: Exception) -> str:
    """The first complaint in one line, without the value, which may be long or private."""
    complaints: list[Any] = getattr(error, "errors", list)()
    if not complaints:
        return f"{type(error).__name__}: {str(error)[:300]}"
    place = ".".join(map(str, complaints[0]["loc"]))
    return f"{place}: {complaints[0]['msg']}"[:300]
