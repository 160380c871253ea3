"""Every exception FlowStone raises, in one tree.

    FlowstoneError
    ├─ DefinitionError            a pipeline that cannot mean anything; raised before any run
    │  ├─ DuplicateAsset
    │  ├─ UnknownDependency
    │  ├─ CycleError              .path
    │  └─ TypeMismatch
    ├─ AssetNotFound              (LookupError)
    ├─ PartitionError             (ValueError)
    ├─ ConfigError                (ValueError) .asset, .field
    ├─ ArgumentError              (ValueError)
    ├─ SelectionError             (ValueError) .position
    ├─ DependencyNotReady         .missing
    ├─ PlanOutdated               .plan
    ├─ MaterializationFailed      .materialization, .failure
    ├─ RunFailed                  .result, .failures
    ├─ RunCancelled               .run_id
    ├─ RunNotFound                (LookupError)
    ├─ RuntimeStopping
    ├─ ValueNotFound              (LookupError)
    ├─ ApprovalNotFound           (LookupError)
    ├─ AlreadyDecided             .approval
    ├─ AutomationNotFound         (LookupError)
    ├─ AutomationError            .failure
    ├─ AccessTokenNotFound        (LookupError)
    ├─ AccessTokenTaken
    ├─ TokenUnknown               (LookupError)
    ├─ TokenUsed
    ├─ TokenExpired
    ├─ FeedExpired                (LookupError)
    ├─ WaitsForItself             (RuntimeError)
    ├─ IOManagerError
    ├─ ResourceUnavailable
    ├─ StoreUnavailable
    ├─ AccessDenied               flowstone.client: (PermissionError)
    ├─ ServerUnavailable          flowstone.client
    ├─ ServerFailed               flowstone.client
    ├─ WrongLoop                  (RuntimeError)
    ├─ SimulationError            flowstone.testing
    │  ├─ Deadlock
    │  └─ Livelock
    ├─ Permanent                  raised by assets: never retried
    ├─ Retryable                  raised by assets: retried within the attempts; .after
    ├─ Skip                       raised by assets: nothing to do, and no failure
    └─ ActorError                 flowstone.actors
       ├─ ActorDown               .name, .exit
       ├─ CallTimeout             (TimeoutError)
       ├─ CallCycle               .chain
       ├─ ChildError              .name, .reason
       ├─ MailboxFull             .name
       ├─ NameTaken               .key
       ├─ Rejected                one request refused; the actor lives
       ├─ StartFailed             .name, .error
       └─ SupervisorGaveUp        .name, .error

    Waiting                       (BaseException) ends an attempt that waits; not to be caught

Each docstring says when you meet the error and what to do about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.remedies import Remedies

__all__ = [
    "AccessDenied",
    "AccessTokenNotFound",
    "AccessTokenTaken",
    "ActorDown",
    "ActorError",
    "AlreadyDecided",
    "ApprovalNotFound",
    "ArgumentError",
    "AssetNotFound",
    "AutomationError",
    "AutomationNotFound",
    "CallCycle",
    "CallTimeout",
    "ChildError",
    "ConfigError",
    "CycleError",
    "Deadlock",
    "DefinitionError",
    "DependencyNotReady",
    "DuplicateAsset",
    "FeedExpired",
    "FlowstoneError",
    "IOManagerError",
    "Livelock",
    "MailboxFull",
    "MaterializationFailed",
    "NameTaken",
    "PartitionError",
    "Permanent",
    "PlanOutdated",
    "Rejected",
    "ResourceUnavailable",
    "Retryable",
    "RunCancelled",
    "RunFailed",
    "RunNotFound",
    "RuntimeStopping",
    "SelectionError",
    "ServerFailed",
    "ServerUnavailable",
    "SimulationError",
    "Skip",
    "StartFailed",
    "StoreUnavailable",
    "SupervisorGaveUp",
    "TokenExpired",
    "TokenUnknown",
    "TokenUsed",
    "TypeMismatch",
    "UnknownDependency",
    "ValueNotFound",
    "Waiting",
    "WaitsForItself",
    "WrongLoop",
]


class FlowstoneError(Exception):
    """The root: catch it to catch everything FlowStone raises on purpose.

    `str(error)` is what is wrong and what to do about it, for a reader of Python. Who shows it to others takes the
    two apart: `sentence` is what is wrong, and `remedies` what to do about it in the words of each interface, or
    None where the sentence says it all.
    """

    remedies: Remedies | None = None

    def __init__(self, *arguments: object, remedies: Remedies | None = None) -> None:
        super().__init__(*arguments)
        if remedies is not None:
            self.remedies = remedies

    @property
    def sentence(self) -> str:
        """What is wrong, without what to do about it."""
        return super().__str__()

    def __str__(self) -> str:
        if self.remedies is None or not self.remedies.python:
            return self.sentence
        return f"{self.sentence} {self.remedies.python}"


# Definitions ------------------------------------------------------------------------------------------------


class DefinitionError(FlowstoneError):
    """A pipeline definition is wrong. The message names the asset and the line that defines it."""


class DuplicateAsset(DefinitionError):
    """Two assets have one name. Rename one, or include the shared pipeline once."""


class UnknownDependency(DefinitionError):
    """A parameter or a `deps=` entry names no asset of the pipeline. The message suggests the nearest name."""


class CycleError(DefinitionError):
    """Assets depend on each other in a circle; `path` lists it, first name repeated at the end."""

    def __init__(self, message: str, path: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.path = tuple(path)


class TypeMismatch(DefinitionError):
    """The declared return type of an asset cannot satisfy the annotation of a parameter that receives it."""


# Requests ---------------------------------------------------------------------------------------------------


class AssetNotFound(FlowstoneError, LookupError):
    """No asset of this runtime has that name. The message suggests the nearest one."""


class PartitionError(FlowstoneError, ValueError):
    """A partition is missing, not in the asset's set, of an unsupported type, or text that cannot be read."""


class ConfigError(FlowstoneError, ValueError):
    """What was passed as `config=` does not fit, or a required field is missing; nothing was started.

    `asset` is the name of the asset, and `field` that of the first wrong field (`limits.high` inside
    another), or None.
    """

    def __init__(
        self, message: str, asset: str = "", field: str | None = None, *, remedies: Remedies | None = None
    ) -> None:
        super().__init__(message, remedies=remedies)
        self.asset = asset
        self.field = field


class ArgumentError(FlowstoneError, ValueError):
    """What a call was given is nothing that it takes, such as a status that does not exist; a `ValueError`."""


class SelectionError(FlowstoneError, ValueError):
    """A selection of assets cannot be read, or names what there is not; `position` is where in its text.

    The message has the text, with a mark below the place.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class DependencyNotReady(FlowstoneError):
    """`materialize()` computes one asset only and an upstream has no value; `missing` lists every one.

    Each entry of `missing` is the upstream's name, with its partition key as `name[key]` where it has one.
    Materialize those first, or call `materialize_all`.
    """

    def __init__(
        self, message: str, missing: Sequence[str] = (), *, remedies: Remedies | None = None
    ) -> None:
        super().__init__(message, remedies=remedies)
        self.missing = tuple(missing)


class PlanOutdated(FlowstoneError):
    """Other steps would run now than when the plan was made: nothing was started.

    `plan` is what would run now, or None if today's definitions have no plan for it. Look at it, and run that.
    """

    def __init__(self, message: str, plan: Any = None, *, remedies: Remedies | None = None) -> None:
        super().__init__(message, remedies=remedies)
        self.plan = plan


class MaterializationFailed(FlowstoneError):
    """The asset's function failed on its last attempt; `failure` says how, `materialization` is the record.

    The message has the `file:line` of the last frame of your own code and `__notes__` the frames of your code. The
    exception itself is the cause (`__cause__`) where the step ran in this process (not in a worker process).
    """

    def __init__(self, message: str, materialization: Any = None) -> None:
        super().__init__(message)
        self.materialization = materialization
        self.failure = None if materialization is None else materialization.failure


class RunFailed(FlowstoneError):
    """A step that a run was asked for failed, or was skipped because of a failure.

    The message names the first failures, each with its `file:line`.
    `failures` are the `Materialization`s of the failed steps, tolerated ones last, `result` is the whole
    `RunResult`, with what succeeded and what was skipped because of them. Of a run over very many partitions the
    first 100 failures are here; `result.failed` has all of them. `__notes__` show the frames of your own code, of
    the first three. If one step failed and ran in this process, what it raised is the cause (`__cause__`).

    It is not an `ExceptionGroup`, because the steps of a run are not tasks of the caller: `except RunFailed` is
    all it takes.
    """

    def __init__(self, message: str, failures: Sequence[Any] = (), result: Any = None) -> None:
        super().__init__(message)
        self.failures = tuple(failures)
        self.result = result


class RunCancelled(FlowstoneError):
    """The run you waited for was cancelled before it finished.

    `run_id` is its id, and `result` its `RunResult`, or None.
    """

    def __init__(self, message: str, run_id: str = "", result: Any = None) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.result = result


class RunNotFound(FlowstoneError, LookupError):
    """The store knows no run of that id: mistyped, or removed by retention."""


class RuntimeStopping(FlowstoneError):
    """The runtime drains or has stopped and takes no new work. Ask another one, or a new one."""


class ValueNotFound(FlowstoneError, LookupError):
    """The asset (at that partition) has no current value. Materialize it first."""


class ApprovalNotFound(FlowstoneError, LookupError):
    """Nobody asked for an approval of that id: it was mistyped, or removed by retention with its run."""


class AutomationNotFound(FlowstoneError, LookupError):
    """No pipeline of the runtime defines an automation of that name: it was mistyped, or left the code."""


class AutomationError(FlowstoneError):
    """The function of a schedule or sensor failed, or asked for what cannot be carried out.

    `failure` says why, with the traceback of its function.
    """

    def __init__(self, message: str, failure: Any = None) -> None:
        super().__init__(message)
        self.failure = failure


class AlreadyDecided(FlowstoneError):
    """The approval is not pending any more: the first decision stands, or nobody decided in time.

    `approval` is what became of it.
    """

    def __init__(self, message: str, approval: Any = None) -> None:
        super().__init__(message)
        self.approval = approval


class AccessTokenNotFound(FlowstoneError, LookupError):
    """No token of that name can be revoked: it was mistyped, or revoked before."""


class AccessTokenTaken(FlowstoneError):
    """A token has that name already, and is not revoked: give the new one another name, or revoke that one."""


class TokenUnknown(FlowstoneError, LookupError):
    """No step handed out this token: it was mistyped or forged, or removed by retention with its run."""


class TokenUsed(FlowstoneError):
    """The signal of this token has come before: by this token, or by another one of the same signal."""


class TokenExpired(FlowstoneError):
    """The token came too late: its step waits for the signal no more, or its run has ended."""


class FeedExpired(FlowstoneError, LookupError):
    """The feed does not reach back to the id after which it is to go on, or has never had it.

    What happened meanwhile is not to be had as events any more: load the present state, and follow the feed from
    now on.
    """


class WaitsForItself(FlowstoneError, RuntimeError):
    """An asset waits for the end of its own run, or ends its own runtime: neither can end before the asset does.

    Return instead; what comes after the run is the business of whoever started it.
    """


# Edges ------------------------------------------------------------------------------------------------------


class IOManagerError(FlowstoneError):
    """A value could not be stored or loaded. The message names the asset, the location and a remedy."""


class ResourceUnavailable(FlowstoneError):
    """A resource is not set up or not healthy. `runtime.health()` says why; its set-up is retried."""


class StoreUnavailable(FlowstoneError):
    """The store of run history does not answer, or another process holds it."""


class AccessDenied(FlowstoneError, PermissionError):
    """A server does not know who asks, or they may not do this: the token is missing, void, or of another role."""


class ServerUnavailable(FlowstoneError):
    """No FlowStone server answers at the address: nothing does, or something else, such as a proxy.

    What was asked for may have been done if the answer was lost; calls that start runs are known again.
    """


class ServerFailed(FlowstoneError):
    """A server answers that it has failed: that is a mistake of ours, and its log says which."""


class WrongLoop(FlowstoneError, RuntimeError):
    """A runtime or an actor was used from another event loop, or thread, than the one it was started on.

    There it would wait for ever. Hand the coroutine over: `asyncio.run_coroutine_threadsafe(coroutine, loop)`,
    where the loop of a runtime is `runtime.loop`.
    """


class SimulationError(FlowstoneError):
    """Code in a simulation did what has no place in virtual time, such as opening a connection.

    Give the runtime a stand-in for what is outside: a resource, an IO manager.
    """


class Deadlock(SimulationError):
    """In a simulation everything waits, and nothing is to come: what would hang for ever in life.

    The message names each task that waits, and the line where it does.
    """


class Livelock(SimulationError):
    """In a simulation steps were taken without an end: something goes round in circles.

    The message has the last steps.
    """


# Raised by assets -------------------------------------------------------------------------------------------


class Permanent(FlowstoneError):
    """Raise it in an asset to fail now: never retried, whatever the asset's `Retry` says."""


class Retryable(FlowstoneError):
    """Raise it in an asset to ask for another attempt, within the attempts its `Retry` allows.

    Args:
        message: What went wrong.
        after: Seconds to wait before the next attempt; default: the delay of the asset's `Retry`.
    """

    def __init__(self, message: str = "", *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Skip(FlowstoneError):
    """Raise it in an asset that has nothing to do: its step is `skipped` by choice, which is no failure.

    Assets that need its value are skipped as well; parameters with a default take that. The run goes on, and
    succeeds if nothing else fails. An `except Exception` around it must let it pass.

    Args:
        reason: Why, for people: `raise Skip("no data today")`.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)


class Waiting(BaseException):
    """What a step waits for is not there: raised by the calls of `Context` that wait, to end the attempt.

    The step is `waiting` then, and holds nothing; its function runs again from the top when what it waits for is
    there, and the same call returns at once. Let it pass: it is not an `Exception`, so `except Exception` does. An
    asset that catches it, and returns or raises something else, fails, and is told so.

    Args:
        name: What the asset calls the wait.
        kind: What it waits for: `sleep`, `approval` or `signal`.
        deadline: The instant at which the wait is over (aware), or None.
        timeout: Seconds after which it is over, or None.
        about: What whoever answers it is shown, as JSON has it, or None.
    """

    def __init__(
        self,
        name: str,
        kind: Any = "sleep",
        deadline: Any = None,
        timeout: float | None = None,
        about: Any = None,
    ) -> None:
        super().__init__(name, kind, deadline, timeout, about)
        self.name = name
        self.kind = kind
        self.deadline = deadline
        self.timeout = timeout
        self.about = about

    def __str__(self) -> str:
        return f"waits for {self.kind} {self.name!r}"


# Actors -----------------------------------------------------------------------------------------------------


class ActorError(FlowstoneError):
    """The root of what `flowstone.actors` raises."""


class ActorDown(ActorError):
    """The actor you called is not running, or died before it answered; `name` is its name, `exit` how it ended.

    Whether it did the work is unknown. The reference stays valid: its supervisor may already have restarted it.
    """

    def __init__(self, message: str, name: str = "", exit: Any = None) -> None:  # noqa: A002 - the field's word
        super().__init__(message)
        self.name = name
        self.exit = exit


class CallTimeout(ActorError, TimeoutError):
    """No answer within `timeout` seconds. The actor skips the request if it has not begun it."""


class CallCycle(ActorError):
    """A call would wait for itself; `chain` names the actors in order, first repeated at the end."""

    def __init__(self, message: str, chain: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.chain = tuple(chain)


class ChildError(ActorError):
    """A supervisor cannot do what you ask of the child `name`; `reason` is OTP's word for why.

    One of `already_started`, `already_present`, `running`, `restarting`, `not_found`, `max_children`. The message
    has the remedy.
    """

    def __init__(self, message: str, name: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.name = name
        self.reason = reason


class MailboxFull(ActorError):
    """The mailbox of the actor `name` is full, so a cast was refused. Slow down, or use `call`, which waits."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class NameTaken(ActorError):
    """A registry holds a living actor under that `key`. Look it up, or wait for it to end."""

    def __init__(self, message: str, key: object = None) -> None:
        super().__init__(message)
        self.key = key


class Rejected(ActorError):
    """Raise it in `handle` to refuse one request: the caller gets it, the actor goes on."""


class StartFailed(ActorError):
    """A child could not be started; `name` is its path below the supervisor and `error` says why.

    `error` is the child's own exception (also the cause of this one). Children started before it are stopped.
    """

    def __init__(self, message: str, name: str = "", error: BaseException | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.error = error


class SupervisorGaveUp(ActorError):
    """Children of the supervisor `name` crashed more often than `max_restarts` within `within` seconds.

    `error` is the last crash.
    """

    def __init__(self, message: str, name: str = "", error: BaseException | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.error = error
