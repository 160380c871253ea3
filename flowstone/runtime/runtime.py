"""`Runtime`: the public face, from its construction to its end.

construction        the graph is built and validated, nothing runs
async with          the store is opened, then the supervision tree is started
materialize …       what starts a run and waits for it: computing.py
submit, plan …      what returns a handle, or a plan: submitting.py
automations …       what starts runs by itself: automating.py
looking             definitions, live things, nodes, the tree, health: observation.py
asking              runs, values, logs, history: inspection.py; all partitions of assets: asset_records.py
audit               who did what: auditing.py
amending            invalidating values, keys of dynamic sets: amending.py
answering           approvals and signals: decisions.py
one run             its steps, its attempts over time, retrying it: run_details.py
access              tokens of the HTTP server: granting.py
finding             assets by selection, current values, runs by how ids begin: finding.py
leaving             the tree stops from below: the watchman drains first, the store closes last
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from random import Random
from typing import TYPE_CHECKING, Any, Self

from flowstone.actors import Clock, Supervisor, SystemClock
from flowstone.assets.snapshot import Snapshot
from flowstone.counting import count
from flowstone.errors import RuntimeStopping, StoreUnavailable
from flowstone.remedies import Remedies
from flowstone.runtime.client.lineage import Lineage
from flowstone.runtime.client.run_client import RunClient
from flowstone.runtime.client.values import Values
from flowstone.runtime.composition import context_of, membership_of, node_watch_of, runs_of
from flowstone.runtime.configuration import options_from, warn_of_misspelt_variables
from flowstone.runtime.execution.child_tasks import adopt_tasks
from flowstone.runtime.execution.log_capture import LogCapture
from flowstone.runtime.finding import Finding
from flowstone.runtime.loop_affinity import not_running
from flowstone.runtime.options import by_name, given_pipelines
from flowstone.runtime.run.watchman import drain
from flowstone.runtime.services.asset_registry import AssetRegistry, Publish, check_equipped
from flowstone.runtime.services.attempt_logs import keeper_of_owner
from flowstone.runtime.services.managers import attached, named_managers
from flowstone.runtime.services.providers import as_provider
from flowstone.runtime.tree import runtime_tree
from flowstone.store.cluster import Notification
from flowstone.store.open import check_store, open_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping
    from types import TracebackType

    from flowstone.actors.child_tasks import TaskFactory
    from flowstone.assets.pipeline import Pipeline
    from flowstone.io.manager import IOManager
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.settings import Settings
    from flowstone.store.protocol import Store

__all__ = ["Runtime"]


class Runtime(Finding):
    """Computes assets, remembers what it computed, and supervises both. Use it with `async with`.

    It shares nothing with other runtimes, and belongs to the event loop that enters it. From other threads and
    loops: `asyncio.run_coroutine_threadsafe(runtime.materialize(...), runtime.loop).result()`. Anything else there
    raises `WrongLoop` at once.

    Args:
        pipelines: A `Pipeline`, or several.
        store: Where runs are remembered: `memory://`, `file://DIR`, or a store object. Default: the setting.
        io: IO managers by name. Unless you say otherwise the values of `default` last as long as the store: it is a
            `MemoryIO`, with a `file://` store a `FileIO` in its folder `values`, and where several nodes can share
            the store (Postgres, embedded or not) a `PostgresIO`.
        resources: Resources by name: a `ResourceProvider`, an `@asynccontextmanager` or `@contextmanager` function,
            what such a function returned, or any object; docs/resources.md says who opens and closes what.
        settings: Default: `Settings()`, which reads `FLOWSTONE_*` from the environment.
        worker: Whether to go on with unfinished runs of these pipelines whose owner is gone and, on a store that
            several nodes share, to take submitted runs and execute steps for other nodes. Others stay as they are.
        automate: Whether schedules and sensors act here: of several runtimes on one store one drives each of them.
        clock: Default: the system's.
        random: Source of run ids and jitter. Default: one of its own.
        actor: Who is on record as having done what is done by this runtime, where a call does not say otherwise
            (`by=`): a service, a user. Default: nobody.
        options: Any field of `Settings` by name, such as `max_concurrency=64`; wins over `settings`.

    Raises:
        DefinitionError: The pipelines make no valid graph.
        ValueError: An option is unknown or out of range.
        TypeError: `pipelines` is something else; `io` or `resources` is no mapping of names, or what `io` names is
            no IO manager; `store`, `clock`, `random`, `actor` or `settings` is something else.
    """

    def __init__(
        self,
        pipelines: Pipeline | Iterable[Pipeline],
        *,
        store: str | Store | None = None,
        io: Mapping[str, IOManager] | None = None,
        resources: Mapping[str, object] | None = None,
        settings: Settings | None = None,
        worker: bool = True,
        automate: bool = False,
        clock: Clock | None = None,
        random: Random | None = None,
        actor: str | None = None,
        **options: Any,
    ) -> None:
        given = given_pipelines(pipelines)
        self._settings = options_from(settings, options)
        self._snapshot = Snapshot.of(given)
        self._store = self._settings.store if store is None else store
        check_store(self._store)
        self._io = named_managers(io)
        given_resources = by_name("resources", resources)
        self._resources = {name: as_provider(value) for name, value in given_resources.items()}
        self._worker = worker
        self._automate = automate
        if not isinstance(clock, Clock | None):
            raise TypeError(f"Runtime(clock=…) takes a Clock, not a {type(clock).__name__}.")
        self._clock = clock or SystemClock()
        if not isinstance(random, Random | None):
            raise TypeError(f"Runtime(random=…) takes a random.Random, not a {type(random).__name__}.")
        self._random = random or Random()  # noqa: S311 - jitter and ids, not secrets
        if not isinstance(actor, str | None):
            raise TypeError(f"Runtime(actor=…) takes a name, not a {type(actor).__name__}.")
        self._actor = actor or None
        self._ctx: RuntimeContext | None = None
        self._tree: Supervisor | None = None
        self._factory: TaskFactory
        self._capture: LogCapture

    # Its life -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the store and start the tree.

        Raises:
            StoreUnavailable: The store does not open within `connect_timeout`.
            IOManagerError: An IO manager cannot work with this store.
        """
        if self._ctx is not None:
            raise RuntimeStopping("A Runtime is entered once: make a new one.")
        warn_of_misspelt_variables()
        store = open_store(self._store, auto_migrate=self._settings.auto_migrate)
        await self._within_connect_timeout(store.open())
        try:
            managers = attached(self._io, store)
            self._ctx = ctx = context_of(
                store, managers, self._snapshot, self._settings, self._clock, self._random, self._actor
            )
            self._runs = runs_of(ctx, worker=self._worker)
            self._client = RunClient(ctx, self._runs)
            self._values = Values(ctx, self._client, self._runs)
            self._lineage = Lineage(self._client, store)
            self._node_watch = node_watch_of(ctx)
            self._membership = membership = membership_of(
                ctx, self._runs, worker=self._worker, automate=self._automate, tree=self._shown_tree
            )
            self._tree = runtime_tree(
                ctx,
                self._runs,
                managers,
                self._resources,
                membership,
                worker=self._worker,
                automate=self._automate,
            )
            if membership is not None:
                await self._within_connect_timeout(membership.join())
            await self._within_connect_timeout(ctx.admission.pools.begin())
            await self._within_connect_timeout(self._have_followed(ctx, self._snapshot))
            await self._tree.__aenter__()
        except BaseException:
            await store.close()
            raise
        self._factory = adopt_tasks(asyncio.get_running_loop())
        self._capture = LogCapture.adopt(keeper_of_owner)
        ctx.affinity.running = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        ctx = self._started()
        assert self._tree is not None
        self._client.refuse_within_step()
        self._runs.open = False
        try:
            return await self._tree.__aexit__(kind, error, trace)
        finally:
            ctx.affinity.running = False
            self._factory.release(asyncio.get_running_loop())
            self._capture.release()
            self._runs.close()
            ctx.threads.close()
            if ctx.process_pool is not None:
                ctx.process_pool.close()
            ctx.notifications.close()
            ctx.stream.close()
            ctx.feeds.close()

    async def drain(self, timeout: float | None = None) -> bool:
        """Refuse new runs and let the live ones finish; stop what is left.

        What a call waits for is cancelled. Of a store that lasts, submitted runs stay unfinished, for another node
        or for whoever opens the store next.

        Args:
            timeout: Seconds to let them; default: `shutdown_timeout`.

        Returns:
            Whether all finished by themselves.
        """
        ctx = self._started()
        limit = self._settings.shutdown_timeout if timeout is None else timeout
        return await drain(ctx, self._runs, limit)

    async def reload(self, pipelines: Pipeline | Iterable[Pipeline]) -> None:
        """Work by other definitions: new runs take these, those that are running finish on theirs.

        They stand in the place of all that the runtime had. Runs that wait in a queue are new: they take the
        definitions that there are when they start. IO managers and resources stay as they are. Worker processes
        are replaced when they are idle; what they import, they import again.

        Args:
            pipelines: A `Pipeline`, or several.

        Raises:
            DefinitionError: The pipelines make no valid graph, or name an IO manager or a resource that the
                runtime does not have. Nothing has changed.
            TypeError: `pipelines` is something else.
            RuntimeStopping: The runtime is not running.
            StoreUnavailable: It has to be told who listens to what, and is away. Nothing has changed.
        """
        ctx = self._started()
        assert self._tree is not None
        snapshot = Snapshot.of(given_pipelines(pipelines))
        check_equipped(snapshot, ctx.snapshot, ctx.managers, self._resources)
        services = self._tree.child("services", Supervisor).instance
        if services is None:
            raise not_running()
        await self._have_followed(ctx, snapshot)
        await services.child("asset_registry", AssetRegistry).call(Publish(snapshot))
        if ctx.process_pool is not None:
            ctx.process_pool.renew()
        if self._membership is not None:
            self._membership.reloaded()
        ctx.notifications.heard(Notification("look"))
        ctx.notifications.heard(Notification("reloaded"))

    def ui(self, *, open_on_loopback: bool = True, allowed_hosts: Iterable[str] = ()) -> Any:
        """Its web pages and its API as an ASGI application, for `app.mount("/flow", runtime.ui())`.

        It may be made before the runtime is entered, and answers while it is. It needs the extra `server`.

        Args:
            open_on_loopback: Whether who asks from this machine needs no token. Say False behind a reverse proxy on
                the same machine, which asks in the name of everybody.
            allowed_hosts: Names other than those of the loopback by which it may be addressed.

        Raises:
            ModuleNotFoundError: The extra `server` is not installed.
        """
        # By name, because the server is above the runtime: whoever never calls this needs none of it.
        server = import_module("flowstone.server")
        hosts = tuple(allowed_hosts)
        return server.create_app(
            self, server.ServerOptions(open_on_loopback=open_on_loopback, allowed_hosts=hosts)
        )

    def __repr__(self) -> str:
        state = "running" if self._ctx is not None and self._ctx.affinity.running else "not running"
        snapshot = self._snapshot if self._ctx is None else self._ctx.snapshot
        return f"<Runtime {count(len(snapshot.graph), 'asset')}, {state}>"

    async def _have_followed(self, ctx: RuntimeContext, snapshot: Snapshot) -> None:
        """Have the store note from now on what listeners are to be told: before anything happens for them."""
        if self._automate:
            from flowstone.runtime.automation.following import follow  # noqa: PLC0415 - few runtimes need it

            await follow(ctx, snapshot)

    async def _within_connect_timeout(self, work: Awaitable[None]) -> None:
        limit = self._settings.connect_timeout
        try:
            async with asyncio.timeout(limit):
                await work
        except TimeoutError as error:
            raise StoreUnavailable(
                f"The store did not open within {limit:g} s.",
                remedies=Remedies(
                    "Check that it is up, or raise connect_timeout.",
                    "Check that it is up, or raise FLOWSTONE_CONNECT_TIMEOUT.",
                ),
            ) from error
