"""What every model is: fields that explain themselves, and nothing that is not understood.

What goes out is a `Model`. What comes in is a `Given`: a name that it does not know is refused, in a sentence that
suggests the nearest one: a filter or an option that is silently left out does something else than was asked.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, model_validator
from pydantic_core import PydanticCustomError

from flowstone.assets.suggest import did_you_mean

__all__ = ["MOST", "SENTENCE", "By", "ByModel", "Given", "Instant", "Model", "Text", "iso", "sentence"]

MOST: Final = 2**31 - 1
"""The largest number that every store can count."""

SENTENCE: Final = "sentence"
"""The type of a validation error whose message says all there is to say."""


def sentence(text: str) -> PydanticCustomError:
    """A validation error that says all there is to say."""
    return PydanticCustomError(SENTENCE, "{text}", {"text": text})


def iso(moment: datetime) -> str:
    """As the API writes an instant: ISO 8601, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Instant = Annotated[datetime, AfterValidator(_utc), PlainSerializer(iso, when_used="json")]
"""An instant: ISO 8601, in UTC."""


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise sentence("A text has a NUL in it, which no store can keep.")
    return text


Text = Annotated[str, AfterValidator(_without_nul)]
"""A text that every store can keep."""


By = Annotated[Text, Field(min_length=1, max_length=200)]
"""Somebody in whose name something is done; it is recorded beside the name of the token."""


class Model(BaseModel):
    """Something that the API shows."""

    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)


class Given(BaseModel):
    """Something that the API is given."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _knows(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for name in given:
                if name not in cls.model_fields:
                    known = ", ".join(f"`{each}`" for each in cls.model_fields) or "none"
                    hint = did_you_mean(str(name)[:100], cls.model_fields)
                    raise sentence(
                        f"There is nothing called `{name:.100}` here.{hint or f' There is {known}.'}"
                    )
        return given


class ByModel(Given):
    """In whose name."""

    by: By | None = None
    """Who asks for it, if that is not, or not only, whose token it is."""
