"""Access tokens."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from flowstone.runs.access import AccessToken, Role
from flowstone.wire.model import By, Given, Instant, Model, Text

__all__ = ["CreatedTokenModel", "NewTokenModel", "TokenModel"]


class TokenModel(Model):
    """What is known of an access token; not the token itself."""

    name: str
    """Its name, which is recorded with what is done by it."""
    role: Role
    """What its holder may do."""
    created_at: Instant
    """When it was made."""
    created_by: str | None
    """Who made it; null if nobody said."""
    expires_at: Instant | None
    """From when on it is worth nothing; null: never."""
    used_at: Instant | None
    """When it was used last, to the minute; null: never."""
    revoked_at: Instant | None
    """When it was revoked; null if it was not."""

    @classmethod
    def of(cls, token: AccessToken) -> TokenModel:
        """As the API shows it."""
        return cls.model_validate(token, from_attributes=True)

    def as_record(self) -> AccessToken:
        """What it shows."""
        return AccessToken(
            self.name,
            self.role,
            self.created_at,
            self.created_by,
            self.expires_at,
            self.used_at,
            self.revoked_at,
        )


class NewTokenModel(Given):
    """A token to be made."""

    name: Annotated[Text, Field(max_length=100, examples=["ada"])]
    """Up to 100 letters, digits and `. _ - + @`."""
    role: Role
    """What its holder may do."""
    expires_at: AwareDatetime | None = None
    """From when on it is worth nothing; null: it is revoked."""
    by: By | None = None
    """Who makes it, if that is not, or not only, who asks."""


class CreatedTokenModel(Model):
    """A token that was made."""

    name: str
    """Its name."""
    token: str
    """The token itself, which is told here and nowhere else."""
