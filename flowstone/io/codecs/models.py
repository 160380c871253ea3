"""pydantic models as JSON.

A model is written as its fields, each exactly, together with what pydantic keeps beside them (which fields
were set, extra fields, private attributes), and put back without validation. Two cases go another way:

* The class has changed since (its fields or their annotations): the stored fields are validated by the class
  as it is now, so defaults, `extra=` and validators decide, as for any old data.
* A field holds something that only the model knows how to write (a type of another library, with a serializer
  and a validator): the model's own JSON is written as well, provided that this very text gives that field an equal
  value. `SecretStr`, whose JSON is a row of stars, is so refused instead of lost, unless the model has a
  serializer that gives the secret away.

Why not the model's own JSON for all: it turns NaN and infinities into null, loses subclasses in fields
declared as their base, excluded fields and private attributes, and runs validators a second time.

pydantic is looked up in `sys.modules`: where it was never imported there are no models.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flowstone.io.codecs.attributes import attributes, encode_attributes, put_back
from flowstone.io.codecs.codec import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from flowstone.io.codecs.classes import Classes

__all__ = ["decode_model", "decode_model_json", "encode_model", "is_model"]


def is_model(value: object) -> bool:
    """Whether `value` is an instance of a pydantic model."""
    return is_model_class(type(value))


def is_model_class(cls: type) -> bool:
    """Whether `cls` is a pydantic model; pydantic is not imported to find out."""
    base = getattr(sys.modules.get("pydantic.main"), "BaseModel", None)
    return base is not None and issubclass(cls, base)


def encode_model(value: Any, classes: Classes, encode: Callable[[Any], Any]) -> dict[str, Any]:
    """The model as a tagged object; `encode` encodes a part of its state."""
    cls = type(value)
    fields, refused = _encode_fields(attributes(value, classes.slots(cls)), encode)
    state = {
        "class": classes.reference(cls),
        "shape": classes.shape(cls, _shape),
        "fields": fields,
        "set": encode(set(value.model_fields_set)),
    }
    if refused:
        state["own_json"] = [list(refused), _own_json(value, refused)]
    if value.__pydantic_extra__ is not None:
        state["extra"] = encode(value.__pydantic_extra__)
    private = _private(value)
    if private is not None:
        state["private"] = encode_attributes(private, encode)
    return {"$model": state}


def decode_model(content: dict[str, Any], classes: Classes) -> object:
    """The model of a `$model` object."""
    cls: Any = classes.find(content["class"], is_model_class)
    fields = content["fields"]
    names, text = content.get("own_json", ((), ""))
    if content["shape"] != classes.shape(cls, _shape):
        return _validated(cls, fields, {**(json.loads(text) if text else {}), **(content.get("extra") or {})})
    if names:
        own = _validate(cls, lambda: cls.model_validate_json(text)).__dict__
        fields = _in_order(cls, {**fields, **{name: own[name] for name in names}})
    instance = object.__new__(cls)
    # RootModel keeps its state in its own way; both put it back as `copy` and `pickle` would.
    root = sys.modules["pydantic"].RootModel
    keeper = root if issubclass(cls, root) else sys.modules["pydantic"].BaseModel
    slots = classes.slots(cls)
    keeper.__setstate__(
        instance,
        {
            "__dict__": {name: part for name, part in fields.items() if name not in slots.names},
            "__pydantic_fields_set__": content["set"],
            "__pydantic_extra__": content.get("extra"),
            "__pydantic_private__": content.get("private"),
        },
    )
    put_back(instance, {name: part for name, part in fields.items() if name in slots.names}, slots)
    return instance


def decode_model_json(content: list[str], classes: Classes) -> object:
    """The model of a `$model_json` object."""
    cls: Any = classes.find(content[0], is_model_class)
    return _validate(cls, lambda: cls.model_validate_json(content[1]))


def _encode_fields(
    kept: dict[str, Any], encode: Callable[[Any], Any]
) -> tuple[dict[str, Any], dict[str, CodecError]]:
    """The fields, encoded, and those that cannot be, with the reason."""
    refused: dict[str, CodecError] = {}
    if not all(map(str.isidentifier, kept)):
        return encode_attributes(kept, encode), refused
    encoded = {}
    for name, part in kept.items():
        try:
            encoded[name] = encode(part)
        except CodecError as error:
            refused[name] = error.inside(f".{name}")
    return encoded, refused


def _in_order(cls: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields in the order of their definition, in which a model shows them."""
    order = [name for name in cls.model_fields if name in fields]
    return {**{name: fields[name] for name in order}, **fields}


def _private(value: BaseModel) -> dict[str, Any] | None:
    private = value.__pydantic_private__
    if private is None:
        return None
    undefined = sys.modules["pydantic_core"].PydanticUndefined
    return {name: part for name, part in private.items() if part is not undefined}


def _own_json(value: Any, refused: Mapping[str, CodecError]) -> str:
    """The model's own JSON, if it gives these fields equal values.

    Raises:
        CodecError: It does not; the reason why one of them could not be written by itself.
    """
    cls = type(value)
    with suppress(Exception):  # Serializers and validators are the user's code.
        text: str = value.model_dump_json(round_trip=True, by_alias=_takes_aliases(cls), warnings=False)
        loaded = cls.model_validate_json(text).__dict__
        if all(_is_same(loaded[name], value.__dict__[name]) for name in refused):
            return text
    raise next(iter(refused.values()))


def _is_same(loaded: Any, part: Any) -> bool:
    # `==` alone takes the enum member for its number; `repr` alone takes one secret for another.
    return type(loaded) is type(part) and bool(loaded == part) and repr(loaded) == repr(part)


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


def _validate(cls: Any, validate: Callable[[], Any]) -> Any:
    try:
        return validate()
    except Exception as error:
        raise CodecError(
            f"the model {cls.__qualname__} has changed since it was stored and refuses it ({_cause(error)})",
            "materialize it again, or let the model accept the old fields",
        ) from error


def _cause(error: Exception) -> str:
    """The first complaint in one line, without the value, which may be long or private."""
    complaints: list[Any] = getattr(error, "errors", list)()
    if not complaints:
        return f"{type(error).__name__}: {str(error)[:300]}"
    place = ".".join(map(str, complaints[0]["loc"]))
    return f"{place}: {complaints[0]['msg']}"[:300]
