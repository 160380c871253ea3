"""One worker process as its program sees it: started, told what to be like, spoken to, killed.

See `subprocess_main.py` for the other end of the pipes and for what goes through them.
"""

from __future__ import annotations

import os
import pickle  # Between processes of one program: nothing that came from a store or a network is unpickled.
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from importlib.machinery import ModuleSpec
from multiprocessing import spawn
from pathlib import Path
from typing import Any

from flowstone.runtime.execution.reaper import AVAILABLE
from flowstone.runtime.execution.subprocess_logs import Logged, Said, hear
from flowstone.runtime.execution.subprocess_main import HEADER

__all__ = ["Subprocess"]

_START = """
import pickle, sys
from importlib.machinery import PathFinder

path, places = pickle.load(sys.stdin.buffer)

class AsInTheProgram:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [places[name]]) if name in places else None

sys.meta_path.insert(0, AsInTheProgram)
sys.path[:] = path
from flowstone.runtime.execution import reaper
if reaper.AVAILABLE:
    reaper.become_worker(*map(int, sys.argv[1:]))
from flowstone.runtime.execution.subprocess_main import main
main()
"""
"""Until the program has handed over its path, nothing is imported from the working directory (`-P`)."""
_MAIN = ("init_main_from_name", "init_main_from_path")
_MOST_AT_ONCE = 1 << 20  # Bytes of one read.
_LOOK_AFTER = 500  # Milliseconds of silence.
_LONGEST = 1 << 48  # Bytes of a frame: a longer one is something else that was written into the pipe.
_ENDS_WITHIN = 5.0  # Seconds for a process that says nothing more to end by itself.
_GROUPS = sys.platform != "win32"


class Subprocess:
    """One process, with a pipe each way. All but `kill` may block: it is for the thread that has the worker."""

    def __init__(self) -> None:
        control, self._control = os.pipe()
        self._lock = threading.Lock()
        try:
            # A session of its own: Ctrl-C at the terminal is the runtime's to answer.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                [*_interpreter(), "-P", "-c", _START, str(os.getpid()), str(control)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=_GROUPS,
                pass_fds=(control,) if AVAILABLE else (),
            )
        except BaseException:
            os.close(self._control)
            raise
        finally:
            os.close(control)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._program: dict[str, Any] | None = None
        self._main: dict[str, Any] = {}
        self._buried = False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def used(self) -> bool:
        """Whether it has worked before."""
        return self._program is not None

    def prepare(self, *, main: bool) -> str | None:
        """Make it like this program, with its main module if that is wanted; once for each.

        Returns why that failed, if it did. Few calls need the main module, and importing it may take long.
        """
        if self._program is None:
            self._write(pickle.dumps((sys.path, _places())))
            self.receive()  # It has taken its streams: before that it might read further than it should.
            self._program = spawn.get_preparation_data("flowstone-worker")
            self._program.pop("authkey", None)
            self._main = {key: self._program.pop(key) for key in _MAIN if key in self._program}
            problem = self._tell(self._program)
            if problem is not None:
                return problem
        if main and self._main:
            main_module, self._main = self._main, {}
            return self._tell(main_module)
        return None

    def _tell(self, program: dict[str, Any]) -> str | None:
        self.send(pickle.dumps(program))
        while isinstance(answer := pickle.loads(self.receive()), Logged | Said):  # noqa: S301 - from a process that we started
            if isinstance(answer, Logged):
                hear(answer)
        problem: str | None = answer
        return problem

    def send(self, data: bytes) -> None:
        self._write(len(data).to_bytes(HEADER, "big"))
        self._write(data)

    def receive(self) -> bytes:
        """The next frame. Raises EOFError when the process is gone, or no longer says what it should."""
        size = int.from_bytes(self._read(HEADER), "big")
        if size >= _LONGEST:
            raise EOFError("The worker process says something else.")
        return self._read(size)

    def kill(self) -> None:
        """End it and what it started, now; from any thread."""
        with self._lock, suppress(OSError):
            if self._process.returncode is not None or self._buried:
                return
            if AVAILABLE:
                os.write(self._control, b"!")
                self._process.send_signal(signal.SIGCONT)  # A reaper that was stopped does not look.
            elif _GROUPS:
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def reap(self) -> None:
        """End it, and keep nothing of it."""
        self.kill()
        self._process.wait()
        with self._lock:
            if not self._buried:
                self._buried = True
                os.close(self._control)
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):
                pipe.close()

    def how_it_ended(self) -> str | None:
        """Its exit status in words; None if it had not ended by itself, and was killed."""
        try:
            status = self._process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
            return None
        if status < 0:
            with suppress(ValueError):
                return signal.Signals(-status).name
        return f"exit status {status}"

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._stdin.write(rest) :]

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._wait_for_data()
            part = self._stdout.read(min(size - len(data), _MOST_AT_ONCE))
            if not part:
                raise EOFError("The worker process is gone.")
            data += part
        return bytes(data)

    def _wait_for_data(self) -> None:
        """A process that it forked may hold the pipe open: so the end of the pipe is not the only sign."""
        if not _GROUPS:
            return
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        while not poll.poll(_LOOK_AFTER):
            if not self.alive and not poll.poll(0):
                raise EOFError("The worker process is gone.")


def _places() -> dict[str, str]:
    """The directory in which this program found each top-level module it has imported.

    The path alone does not say: it may have changed since. A `json.py` in a directory that was put before the
    others later on is not what this program means by `json`, and so not what its worker gets.
    """
    places = {}
    for name, module in tuple(sys.modules.items()):
        # Not getattr: a module may be an object that imports things when it is asked for something.
        found = getattr(module, "__dict__", {}).get("__spec__")
        if "." not in name and isinstance(found, ModuleSpec) and found.has_location and found.origin:
            file = Path(found.origin)
            places[name] = str(
                file.parent if found.submodule_search_locations is None else file.parent.parent
            )
    return places


def _interpreter() -> list[str]:
    """This interpreter, with the options it was started with, such as `-I` and `-X`."""
    command = spawn.get_command_line()
    return command[: command.index("-c")]
