"""Followers and what is to be delivered to them as JSON-able lists, and back, exactly: as `codec` has the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.exact_dates import REAL
from flowstone.store.codec import decode_event, decode_failure, encode_event, encode_failure
from flowstone.store.deliveries import Delivery, Follower, FollowerState

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "decode_delivery",
    "decode_follower",
    "decode_follower_state",
    "encode_delivery",
    "encode_follower",
    "encode_follower_state",
]


def encode_follower(follower: Follower) -> list[Any]:
    """The follower as a JSON-able list."""
    assets = None if follower.assets is None else sorted(follower.assets)
    return [follower.name, sorted(follower.kinds), assets, follower.anywhere]


def decode_follower(data: Sequence[Any]) -> Follower:
    """The follower of a list made by `encode_follower`."""
    name, kinds, assets, anywhere = data
    return Follower(name, frozenset(kinds), None if assets is None else frozenset(assets), anywhere)


def encode_follower_state(state: FollowerState) -> list[Any]:
    """A follower and what was given up, as a JSON-able list."""
    failure, at, failing = state.failure, state.failed_at, state.failing
    return [
        encode_follower(state.follower),
        state.given_up,
        None if failure is None else encode_failure(failure),
        None if at is None else at.isoformat(),
        *([] if failing is None else [encode_failure(failing)]),
    ]


def decode_follower_state(data: Sequence[Any]) -> FollowerState:
    """What a list made by `encode_follower_state` says. Raises `Unreadable`."""
    follower, given_up, failure, at, *failing = data
    return FollowerState(
        decode_follower(follower),
        given_up=given_up,
        failure=None if failure is None else decode_failure(failure),
        failed_at=None if at is None else REAL.datetime.fromisoformat(at),
        failing=decode_failure(failing[0]) if failing else None,
    )


def encode_delivery(delivery: Delivery) -> list[Any]:
    """What is pending in a lane, as a JSON-able list."""
    return [delivery.number, encode_event(delivery.event), delivery.attempts]


def decode_delivery(lane: str, data: Sequence[Any]) -> Delivery:
    """What a list made by `encode_delivery` says. Raises `Unreadable`."""
    number, event, attempts = data
    return Delivery(lane, number, decode_event(event), attempts)
