"""The calls of `Client` that change what there is without a run: values, partition sets, pools, tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flowstone.client.arguments import asset_text, partition_text
from flowstone.client.deciding import Deciding
from flowstone.errors import PartitionError
from flowstone.wire.assets import InvalidatedModel
from flowstone.wire.partition_sets import ChangedKeysModel, KeyModel
from flowstone.wire.pools import PoolModel
from flowstone.wire.tokens import CreatedTokenModel, TokenModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.access import AccessToken, Role
    from flowstone.runs.pools import Pool

__all__ = ["Operating"]


class Operating(Deciding):
    """The calls of `Client` that change what there is without a run."""

    async def invalidate(
        self,
        asset: Any,
        *,
        partition: Any = None,
        downstream: bool = False,
        by: str | None = None,
        reason: str = "",
    ) -> int:
        """As `Runtime.invalidate`; it needs a token that may `admin`."""
        body = {
            "partition": partition_text(partition),
            "downstream": downstream,
            "by": by,
            "reason": reason,
        }
        told = await self._transport.post(
            InvalidatedModel, "assets", asset_text(asset), "invalidate", body=body
        )
        return told.invalidated

    async def partitions(self, name: str) -> Sequence[str]:
        """As `Runtime.partitions`."""
        found = await self._transport.listed(KeyModel, "partition-sets", name)
        return [each.partition_key for each in found]

    async def add_partitions(self, name: str, keys: Sequence[Any], *, by: str | None = None) -> int:
        """As `Runtime.add_partitions`."""
        return await self._changed(name, "add", keys, by)

    async def remove_partitions(self, name: str, keys: Sequence[Any], *, by: str | None = None) -> int:
        """As `Runtime.remove_partitions`."""
        return await self._changed(name, "remove", keys, by)

    async def pools(self) -> Sequence[Pool]:
        """As `Runtime.pools`."""
        return [each.as_record() for each in await self._transport.listed(PoolModel, "pools")]

    async def set_pool(self, name: str, *, slots: int | None, by: str | None = None) -> Pool:
        """As `Runtime.set_pool`; it needs a token that may `admin`."""
        told = await self._transport.post(
            PoolModel, "pools", name, body={"slots": slots, "by": by}, again=True
        )
        return told.as_record()

    async def create_token(
        self,
        name: str,
        role: Role | str,
        expires: datetime | timedelta | None = None,
        *,
        by: str | None = None,
    ) -> str:
        """As `Runtime.create_token`; it needs a token that may `admin`, whose name is recorded beside `by`."""
        end = datetime.now(UTC) + expires if isinstance(expires, timedelta) else expires
        body = {
            "name": name,
            "role": str(role),
            "expires_at": None if end is None else end.isoformat(),
            "by": by,
        }
        return (await self._transport.post(CreatedTokenModel, "tokens", body=body)).token

    async def tokens(self) -> Sequence[AccessToken]:
        """As `Runtime.tokens`; it needs a token that may `admin`."""
        return [each.as_record() for each in await self._transport.get_list(TokenModel, "tokens")]

    async def revoke_token(self, name: str, *, by: str | None = None) -> AccessToken:
        """As `Runtime.revoke_token`; it needs a token that may `admin`."""
        return (await self._transport.delete(TokenModel, "tokens", name, by=by)).as_record()

    async def _changed(self, name: str, what: str, keys: Sequence[Any], by: str | None) -> int:
        texts = [partition_text(key) for key in keys]
        if None in texts:
            raise PartitionError(f"None is no key of {name!r}.")
        told = await self._transport.post(
            ChangedKeysModel, "partition-sets", name, what, body={"keys": texts, "by": by}, again=True
        )
        return told.changed
