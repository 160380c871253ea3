"""What is said about a line that no command takes: a word too many, or a command that other tools have.

The parser knows only that it did not expect the word. What was meant is nearly always one of a few things, and each
is one option or one command away.
"""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["elsewhere", "word_too_many"]

_SERVE: Final = "`flowstone serve MODULE:PIPELINE` runs what is submitted until told to stop."
_COMPUTE: Final = "`flowstone materialize MODULE:PIPELINE ASSET --upstream` computes an asset."
_LIST: Final = "`flowstone assets MODULE:PIPELINE` lists assets, `flowstone runs` lists runs."
_AGAIN: Final = "`flowstone retry MODULE:PIPELINE RUN` computes again what did not succeed in a run."
_CANCEL: Final = (
    "`flowstone cancel RUN` stops a run; Ctrl-C or SIGTERM ends `serve`, `worker` and any other command."
)

_AUTOMATIONS: Final = (
    "`flowstone automations` lists schedules and sensors; `pause`, `resume` and `fire` take a name."
)

_INSTEAD: Final = {
    "build": _COMPUTE,
    "check": "`flowstone doctor MODULE:PIPELINE` checks a pipeline.",
    "compute": _COMPUTE,
    "dev": _SERVE,
    "execute": _COMPUTE,
    "help": "`flowstone --help` lists the commands.",
    "history": "`flowstone status ASSET` shows the records of an asset, `flowstone runs` the newest runs.",
    "init": "Nothing has to be set up: `flowstone demo` shows a pipeline, and a command makes the store it needs.",
    "kill": _CANCEL,
    "list": _LIST,
    "ls": _LIST,
    "ps": "`flowstone runs --status running` lists what runs, `flowstone tree` shows what each node does.",
    "rerun": _AGAIN,
    "schedule": _AUTOMATIONS,
    "schedules": _AUTOMATIONS,
    "sensor": _AUTOMATIONS,
    "sensors": _AUTOMATIONS,
    "scheduler": _SERVE,
    "server": _SERVE,
    "show": "`flowstone run ID` shows a run, `flowstone status ASSET` an asset.",
    "start": _SERVE,
    "stop": _CANCEL,
    "unpause": _AUTOMATIONS,
    "trigger": f"{_COMPUTE} With --submit, a node of the store does.",
    "up": _SERVE,
    "version": "`flowstone --version` shows it.",
}
"""What does the work of commands that users of other tools know."""


def elsewhere(name: str) -> str | None:
    """Which command does what users of other tools expect of one of that name; None if nothing is known of it."""
    return _INSTEAD.get(name.lower())


def word_too_many(command: Any, words: Sequence[str]) -> str:
    """What to write instead of the words that a command does not take.

    Args:
        command: The parser's command.
        words: What was left over.
    """
    word = words[0]
    taken = [
        each.metavar or each.name
        for each in command.params
        if each.param_type_name == "argument" and not getattr(each, "hidden", False)
    ]
    takes = " and ".join(taken) or "only options"
    options = {option for each in command.params for option in each.opts if option.startswith("--")}
    said = f"{word!r:.200} is one word too many: {command.name} takes {takes}."
    return " ".join([said, *_instead(words, taken, options)])


def _instead(words: Sequence[str], taken: Sequence[str], options: set[str]) -> list[str]:
    """Sentences about what the first of some words may have been meant for."""
    word = words[0]
    key, is_field, _ = word.partition("=")
    if is_field and key.replace(".", "").isidentifier() and "--config" in options:
        return [f"A field of a config is given as --config {quote(word)}."]
    if "://" in word and "--store" in options:
        return [f"A store is given as --store {quote(word)}."]
    if "--start" in options and len(words) == 2 and not word.isidentifier():
        first, last = map(quote, words)
        return [f"A range of partitions is given as --start {first} --end {last}."]
    said = []
    if "--partition" in options:
        said.append(f"A partition is given as --partition {quote(word)}.")
    if "--asset" in options and word.isidentifier():
        said.append(f"An asset is given as --asset {word}.")
    last = taken[-1].rpartition(" ")[2] if taken else ""
    if last in {"ASSET", "ID", "RUN"} and word.replace("_", "").isalnum():
        said.append(f"Another {last} takes a command of its own.")
    return said
