"""The other end of `process_pool.py`: what runs in a worker process.

It reads calls from its standard input, one after the other, and writes what became of them to its standard
output; the asset's own `print` and its children get `/dev/null` and standard error instead, so that nothing
they read or write can spoil the conversation. What the asset prints goes to the program as well, line by line.
When the other end is gone, so is this process, at once.

A frame is eight bytes of length and a pickle. Both ends are one program on one machine.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import pickle
import queue
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing import spawn
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeAlias

from flowstone.assets.asset import Asset
from flowstone.assets.context import Context
from flowstone.assets.one_shot import find_one_shot
from flowstone.assets.output import Output
from flowstone.errors import FlowstoneError, IOManagerError
from flowstone.frozen import frozen
from flowstone.runs.records import Failure
from flowstone.runtime.execution.guard import call, describe
from flowstone.runtime.execution.log_capture import LogCapture
from flowstone.runtime.execution.note_locks import NoteLocks
from flowstone.runtime.execution.subprocess_logs import Relay, forward_logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.assets.retry import Retry
    from flowstone.assets.waiting import Answers, Note
    from flowstone.errors import Waiting
    from flowstone.runtime.execution.guard import Outcome

__all__ = ["HEADER", "Began", "Done", "Noted", "Place", "Progressed", "Request", "main", "no_passage"]

HEADER = 8
"""Bytes of a frame's length, big end first."""


ContextFacts: TypeAlias = "tuple[str, Any, str | None, str, int, Answers | None]"
"""Asset, partition, partition key, run id, attempt, answers."""


@frozen
class Place:
    """Where an asset or a function is defined, so that another process finds the same.

    Attributes:
        module: The name of its module.
        qualname: Its name in there.
        file: The module's file, for modules that no import finds; or None.
    """

    module: str
    qualname: str
    file: str | None = None


@frozen
class Request:
    """One call, in a frame of its own.

    Attributes:
        name: The asset's name.
        function: The function, or the place of its definition.
        arguments: Its arguments, without the context.
        context: The name of the parameter that takes the context, and the context's facts; or None.
        retry: The asset's retry policy.
        log_level: The lowest level of a log record that the program takes.
    """

    name: str
    function: Place | Callable[..., Any]
    arguments: dict[str, Any]
    context: tuple[str, ContextFacts] | None
    retry: Retry | None
    log_level: int


@frozen
class Began:
    """The function is about to be called: from here on the call may have had effects."""


@frozen
class Progressed:
    """What the asset said with `context.progress`."""

    fraction: float
    message: str | None


@frozen
class Noted:
    """What the asset puts on record; answered by None, or by why that failed."""

    note: Note


@frozen
class Done:
    """The end of a call: its outcome, what the asset noted in `context.metadata`, and what it has to wait for."""

    outcome: Outcome
    metadata: dict[str, Any]
    waits_for: Waiting | None = None


def _write_frame(stream: BinaryIO, data: bytes) -> None:
    """Write one frame."""
    stream.write(len(data).to_bytes(HEADER, "big"))
    stream.write(data)
    stream.flush()


def _read_frame(stream: BinaryIO) -> bytes:
    """Read one frame. Raises EOFError if the other end is gone."""
    return _exactly(stream, int.from_bytes(_exactly(stream, HEADER), "big"))


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("The other process is gone.")
    return data


def main() -> None:
    """Serve calls until the other end is gone.

    The first frame out is empty and says that the streams are taken. A frame in is a `Request`, answered by
    `Began`, any number of `Progressed`, `Logged`, `Said` and `Noted`, and one `Done`; or what `multiprocessing`
    has to say about the program it belongs to, answered by None or by why that could not be followed.
    """
    calls, replies = _take_streams()
    lock = threading.Lock()

    def reply(data: bytes) -> None:
        with lock:
            _write_frame(replies, data)

    reply(b"")
    forward_logs(reply)
    said = Relay(reply)
    LogCapture.adopt(lambda: said)
    requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    idle = threading.Event()
    idle.set()
    threading.Thread(target=_listen, args=(calls, requests, idle), daemon=True).start()
    while _serve_next(requests, idle, reply, said):
        pass


def _serve_next(
    requests: queue.SimpleQueue[bytes | None],
    idle: threading.Event,
    reply: Callable[[bytes], None],
    said: Relay,
) -> bool:
    """Answer one call; False if there will be none.

    A function of its own, so that a process which waits for work holds no argument and no value of the last call.
    """
    request = requests.get()
    if request is None:
        return False
    idle.clear()
    data = _answer(request, reply, requests, said)
    said.end()
    idle.set()
    with suppress(BrokenPipeError):  # Nobody waits any more; `_listen` ends us.
        reply(data)
    return True


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for ourselves, and harmless ones for everybody else."""
    calls, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(calls, "rb"), os.fdopen(replies, "wb")


def _listen(calls: BinaryIO, requests: queue.SimpleQueue[bytes | None], idle: threading.Event) -> None:
    """Take calls while the main thread works, to notice that nobody waits any more."""
    try:
        while True:
            requests.put(_read_frame(calls))
    except (EOFError, OSError):
        if idle.is_set():
            requests.put(None)
        elif hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)  # The group is ours: this process, and what the asset started.
        else:
            os._exit(1)


class _Notes(NoteLocks):
    """Puts on record by way of the program what the asset notes: it waits on its thread for the answer."""

    on_loop = False

    def __init__(self, reply: Callable[[bytes], None], answers: queue.SimpleQueue[bytes | None]) -> None:
        super().__init__()
        self._reply = reply
        self._answers = answers
        self._lock = threading.Lock()

    def write_soon(self, note: Note) -> None:
        self.write_now(note)

    async def written(self) -> None: ...

    def write_now(self, note: Note) -> None:
        with self._lock:
            self._reply(pickle.dumps(Noted(note)))
            answer = self._answers.get()  # It takes no other call before this one has ended.
        problem = "the program is gone" if answer is None else pickle.loads(answer)  # noqa: S301 - as below
        if problem is not None:
            raise FlowstoneError(problem)


def _answer(
    data: bytes, reply: Callable[[bytes], None], requests: queue.SimpleQueue[bytes | None], said: Relay
) -> bytes:
    """Make the call. Whatever is wrong with it, what comes back is a frame that can be read."""
    name = "?"
    try:
        request: Request | dict[str, Any] = pickle.loads(data)  # noqa: S301 - from the process that started us
        if isinstance(request, dict):
            return pickle.dumps(_prepare(request))
        name = request.name
        logging.getLogger().setLevel(request.log_level)
        function, arguments, context = _call_of(request, reply, requests, said)
        reply(pickle.dumps(Began()))
        outcome = _lasting(name, call(function, arguments, request.retry), request.retry)
        done = Done(outcome, {}) if context is None else Done(outcome, context.metadata, context.waits_for)
    except BaseException as error:
        problem = f"Asset {name!r} or its arguments cannot be read in a worker process"
        return pickle.dumps(Done((False, no_passage(problem, error)), {}))
    try:
        return pickle.dumps(done)
    except BaseException as error:
        problem = f"The value or the metadata of asset {name!r} cannot be sent back from its worker process"
        return pickle.dumps(Done((False, no_passage(problem, error)), {}))


def _prepare(program: dict[str, Any]) -> str | None:
    """Become like the program, or import its main module; returns why that failed, if it did."""
    try:
        spawn.prepare(program)
    except BaseException as error:
        return describe(error, None).message
    return None


def _lasting(name: str, outcome: Outcome, retry: Retry | None) -> Outcome:
    """The outcome, unless its value can be read only once: pickling it might be the first time."""
    value: Any = outcome[1]
    found = find_one_shot(value.value if issubclass(type(value), Output) else value)
    if not outcome[0] or found is None:
        return outcome
    error = IOManagerError(f"Cannot store asset {name!r}: {found.explanation()}.")
    return False, describe(error, retry, "io")


def _call_of(
    request: Request,
    reply: Callable[[bytes], None],
    requests: queue.SimpleQueue[bytes | None],
    said: Relay,
) -> tuple[Callable[..., Any], dict[str, Any], Context | None]:
    function = _find(request.function) if isinstance(request.function, Place) else request.function
    if request.context is None:
        return function, request.arguments, None
    parameter, (asset, partition, key, run_id, attempt, answers) = request.context
    context = Context(
        asset,
        partition,
        key,
        run_id,
        attempt,
        None,  # Resources live in the runtime's process.
        lambda fraction, message: reply(pickle.dumps(Progressed(fraction, message))),
        answers,
        lambda: _Notes(reply, requests),
        _refuse_turn,
        said.say,
    )
    return function, {**request.arguments, parameter: context}, context


def _refuse_turn(name: str) -> NoReturn:
    raise ValueError(
        f"context.limit({name!r:.100}) waits on the runtime's loop, in another process: keep to the rate as "
        f"a whole, with @pipeline.asset(rate=…), or let the asset run in the loop."
    )


def _find(place: Place) -> Callable[..., Any]:
    found: Any = _module(place)
    for part in place.qualname.split("."):
        found = getattr(found, part)
    function: Callable[..., Any] = found.function if isinstance(found, Asset) else found
    return function


def _module(place: Place) -> Any:
    if place.module in sys.modules:
        return sys.modules[place.module]
    try:
        return importlib.import_module(place.module)
    except ModuleNotFoundError:
        # A file that its program loaded by path, as the command line does.
        if place.file is None:
            raise
        spec = importlib.util.spec_from_file_location(place.module, place.file)
        if spec is None or spec.loader is None:
            raise
        module = importlib.util.module_from_spec(spec)
        sys.modules[place.module] = module
        spec.loader.exec_module(module)
        return module


def no_passage(problem: str, error: BaseException) -> Failure:
    """The failure of what could not travel between two processes."""
    failure = describe(error, None)
    remedy = (
        "use values and classes that pickle, defined at the top level of importable modules; "
        "or use run_in='thread'."
    )
    return Failure("error", f"{problem} ({failure.message}): {remedy}", failure.traceback)
