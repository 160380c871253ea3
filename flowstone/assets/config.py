"""`Config`: the settings of an asset that a run may change, as a pydantic model.

Loaded by whoever defines one. What is asked of such classes elsewhere (reading, writing down, saying what is wrong)
is here as functions, because every name of a model is a name that its fields cannot have.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Secret, SecretBytes, SecretStr, ValidationError

from flowstone.assets.asset import Configured
from flowstone.assets.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Config", "Refused", "read_fields", "read_json", "written"]

_SECRETS: Final = (Secret, SecretBytes, SecretStr)
_LONGEST: Final = 64 * 1024  # Bytes: each record of the asset has it.
_DEEPEST: Final = 200  # What pydantic reads from JSON.
_MOST_NAMED: Final = 10


class Config(BaseModel, Configured):
    """The settings of an asset: subclass it, and annotate a parameter with the subclass.

    ```python
    class ReportConfig(Config):
        threshold: int = 3

    @pipeline.asset
    def report(raw: list[int], config: ReportConfig) -> int:
        return sum(value > config.threshold for value in raw)

    await runtime.materialize("report", config={"threshold": 5})
    ```

    A frozen pydantic model that refuses unknown fields. It is part of the run and of each record, so what it holds
    must be JSON. Fields of pydantic's `SecretStr` are neither stored nor shown: their values come from their
    defaults.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        ser_json_inf_nan="strings",
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )


class Refused(ValueError):
    """Fields do not fit a class.

    Attributes:
        field: The first that does not, with dots; None if it is no single one.
        unknown: Whether it is no field of the class at all.
        hint: What may have been meant, as a sentence with a space before it, or empty.
        secret: Whether it is a secret, which nobody passes.
    """

    def __init__(
        self,
        message: str,
        field: str | None = None,
        *,
        unknown: bool = False,
        hint: str = "",
        secret: bool = False,
    ) -> None:
        super().__init__(message)
        self.secret = secret
        self.field = field
        self.unknown = unknown
        self.hint = hint


def read_fields(model: type[Config], given: Config | Mapping[str, Any]) -> dict[str, Any]:
    """What somebody passed, checked, as JSON: only the fields that were passed.

    Raises:
        Refused: It does not fit, has a secret, or is not the same any more when it is read from JSON.
    """
    if isinstance(given, Configured) and type(given) is not model:
        raise Refused(f"it takes {model.__name__}, not {type(given).__name__}")
    read = (
        given if isinstance(given, Config) else _validated(model, lambda: model.model_validate(dict(given)))
    )
    for field, value in _leaves(_plain(read, exclude_unset=True, warnings="none")):
        if isinstance(value, _SECRETS):
            raise Refused(
                f"{field} is a secret, and a config is stored with its run: leave it out, and let the field have a "
                f"default_factory that reads it where it is used, or take it from a resource",
                field,
                secret=True,
            )
    data = _as_json(read, only_set=True)
    again = read_json(model, data)
    changed = (name for name in read.model_fields_set if getattr(again, name) != getattr(read, name))
    for name in changed:
        raise Refused(
            f"{name} is not the same any more when it is read from JSON: give it a type that JSON has", name
        )
    return data


def read_json(model: type[Config], data: Mapping[str, Any]) -> Config:
    """The config of fields that `read_fields` gave, and of defaults for all others.

    Raises:
        Refused: They do not fit the class as it is now.
    """
    return _validated(model, lambda: model.model_validate_json(json.dumps(dict(data))))


def written(config: Config) -> dict[str, Any]:
    """All fields as JSON, for the record; stars for secrets.

    Raises:
        Refused: They are too large, or hold what no store keeps.
    """
    return _as_json(config, only_set=False)


def _as_json(config: Config, *, only_set: bool) -> dict[str, Any]:
    options: Any = {"round_trip": True, "exclude_unset": only_set, "warnings": "none"}
    plain = _plain(config, **options)
    _check_storable(plain)
    try:
        text = config.model_dump_json(**options)
        data = _ordered(json.loads(text), plain)
    except Exception as error:  # Serialisers of users' fields run in here.
        raise _not_json(error) from error
    _check_storable(data)  # Other texts than before: those of enums and of users' serialisers.
    if len(text.encode()) > _LONGEST:
        raise Refused(
            f"it is {len(text.encode()):,} bytes of JSON, of at most {_LONGEST:,}: pass large data as an asset "
            f"(pipeline.value)"
        )
    return data  # type: ignore[no-any-return] # a model is an object


def _plain(config: Config, **options: Any) -> dict[str, Any]:
    try:
        return config.model_dump(**options)
    except Exception as error:  # As above.
        raise _not_json(error) from error


def _not_json(error: Exception) -> Refused:
    return Refused(f"it cannot be written as JSON: {type(error).__name__}: {error}")


def _check_storable(given: Mapping[str, Any]) -> None:
    for field, value in _leaves(given):
        if not _is_storable(field + value if isinstance(value, str) else field):
            raise Refused(f"{field} has a NUL or half a surrogate pair in it, which no store keeps", field)


def _ordered(data: Any, plain: Any) -> Any:
    """The JSON of some data with its sets in an order that does not depend on hashes."""
    if isinstance(plain, dict) and isinstance(data, dict):
        return {
            key: _ordered(each, value)
            for (key, each), value in zip(data.items(), plain.values(), strict=True)
        }
    if isinstance(plain, set | frozenset) and isinstance(data, list):
        return sorted(data, key=json.dumps)
    if isinstance(plain, list | tuple) and isinstance(data, list):
        return [_ordered(each, value) for each, value in zip(data, plain, strict=True)]
    return data


def _validated(model: type[Config], read: Any) -> Config:
    try:
        return read()  # type: ignore[no-any-return] # a model_validate of `model`
    except ValidationError as error:
        problems = [_Problem.of(model, each) for each in error.errors(include_input=False, include_url=False)]
        words, first = "; ".join(each.words for each in problems[:_MOST_NAMED]), problems[0]
        hint = next((each.hint for each in problems[:_MOST_NAMED] if each.hint), "")
        if len(problems) > _MOST_NAMED:
            words += f"; and {len(problems) - _MOST_NAMED:,} more"
        raise Refused(words, first.field, unknown=first.unknown, hint=hint, secret=first.secret) from None
    except Exception as error:  # Validators and default factories of users run in here.
        raise Refused(f"{type(error).__name__}: {error}") from error


class _Problem(NamedTuple):
    """What is wrong with one field, in words."""

    field: str | None
    words: str
    unknown: bool = False
    hint: str = ""
    secret: bool = False

    @classmethod
    def of(cls, model: type[Config], details: Any) -> _Problem:
        path = [str(each) for each in details["loc"]]
        field = ".".join(path) if path else None
        if details["type"] == "extra_forbidden":
            hint = did_you_mean(path[-1], model.model_fields) if len(path) == 1 else ""
            return cls(field, f"there is no field {field!r}{_of(model)}", unknown=True, hint=hint)
        if details["type"] == "missing":
            secret = _is_secret(model, path)
            words = (
                "is a secret without a default: give it a default_factory that reads it where it is used"
                if secret
                else "is required and has no default"
            )
            return cls(field, f"{field} {words}", secret=secret)
        message = details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        return cls(field, message if field is None else f"{field}: {message}")


def _of(model: type[Config]) -> str:
    names = ", ".join(model.model_fields)
    return f" ({model.__name__} has {names or 'none'})"


def _is_secret(model: type[Config], path: list[str]) -> bool:
    declared = model.model_fields.get(path[0])
    annotation = None if declared is None or len(path) > 1 else declared.annotation
    return isinstance(annotation, type) and issubclass(annotation, _SECRETS)


def _leaves(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values in what pydantic made of a config, and what is empty, each with its field, with dots.

    Raises:
        Refused: It is nested too deep; so is what contains itself.
    """
    waiting: list[tuple[str, Any, int]] = [("", given, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        if depth > _DEEPEST:
            field = path.partition(".")[0]
            raise Refused(f"{field} is nested more than {_DEEPEST} deep, or contains itself", field)
        if isinstance(value, dict) and value:
            waiting.extend(
                (f"{path}.{key}" if path else str(key), each, depth + 1) for key, each in value.items()
            )
        elif isinstance(value, list | tuple | set | frozenset) and value:
            waiting.extend((f"{path}.{position}", each, depth + 1) for position, each in enumerate(value))
        else:
            yield path, value


def _is_storable(text: str) -> bool:
    return re.search("[\x00\ud800-\udfff]", text) is None
