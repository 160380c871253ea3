"""Who may do what at the HTTP server: tokens, and what a server asks of those that it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.runtime.run_details import RunDetails

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from flowstone.runs.access import AccessToken, Role

__all__ = ["Granting"]


class Granting(RunDetails):
    """The calls of `Runtime` that make, revoke and check access tokens."""

    async def create_token(
        self,
        name: str,
        role: Role | str,
        expires: datetime | timedelta | None = None,
        *,
        by: str | None = None,
    ) -> str:
        """Make a token for the HTTP server. It is told here and nowhere else: the store has a digest of it.

        Args:
            name: Whose it is; it is recorded with what is done by it. Up to 100 letters, digits and `. _ - + @`.
            role: `read`, `operate` or `admin`.
            expires: From when on it is worth nothing: an instant, or how long from now. Default: it is revoked.
            by: Who makes it. Default: whoever the runtime acts for (`actor=`).

        Returns:
            The token, which is sent as `Authorization: Bearer TOKEN`, or typed into the login page.

        Raises:
            AccessTokenTaken: A token that is not revoked has that name.
            ArgumentError: It cannot have that name, that role or that end; or `by` is no text.
        """
        from flowstone.store.access import create_token  # noqa: PLC0415 - few runtimes have any

        ctx = self._started()
        by = self._client.asker(by)
        secret, _ = await create_token(ctx.store, name, role, now=ctx.clock.now(), by=by, expires=expires)
        return secret

    async def tokens(self) -> Sequence[AccessToken]:
        """All access tokens, the newest first, the revoked ones too: what is known of them, not themselves."""
        return await self._started().store.tokens.all()

    async def revoke_token(self, name: str, *, by: str | None = None) -> AccessToken:
        """Have a token be worth nothing from now on, and end the sessions that were begun with it.

        Args:
            name: Its name.
            by: Who has it revoked. Default: whoever the runtime acts for.

        Returns:
            What is known of it.

        Raises:
            AccessTokenNotFound: No token of that name can be revoked.
            ArgumentError: `by` is no text.
        """
        from flowstone.store.access import revoke_token  # noqa: PLC0415 - as above

        ctx = self._started()
        return await revoke_token(ctx.store, name, now=ctx.clock.now(), by=self._client.asker(by))

    async def identify(self, secret: str) -> AccessToken | None:
        """Whose token this is, or by whose token this session was begun; None if it is worth nothing.

        Args:
            secret: A token, or what `log_in` gave.
        """
        from flowstone.store.access import holder  # noqa: PLC0415 - as above

        ctx = self._started()
        return await holder(ctx.store, secret, now=ctx.clock.now())

    async def log_in(self, token: str) -> str | None:
        """Begin a session: a secret that stands for the token for seven days at most, for a browser's cookie.

        Args:
            token: The token.

        Returns:
            The session's secret; None if the token is worth nothing.
        """
        from flowstone.store.access import begin_session  # noqa: PLC0415 - as above

        ctx = self._started()
        return await begin_session(ctx.store, token, now=ctx.clock.now())

    async def log_out(self, session: str) -> None:
        """End a session, if it goes on.

        Args:
            session: What `log_in` gave.
        """
        from flowstone.store.access import end_session  # noqa: PLC0415 - as above

        ctx = self._started()
        await end_session(ctx.store, session, now=ctx.clock.now())
