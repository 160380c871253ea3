"""What to do about an error, in the words of each face.

The library, the command line and an HTTP interface ask for the same things in different words: `upstream=True`,
`--upstream`, `"upstream": true`. An error is raised far below all of them, where nobody knows who asked. So it says
what is wrong in words that all of them share, and carries what to do about it once for each; whoever shows the
error picks its own. A face that is added later is one more field here.
"""

from __future__ import annotations

from flowstone.frozen import frozen

__all__ = ["Remedies"]


@frozen
class Remedies:
    """One remedy for an error, as each face words it: a sentence, or empty where there is nothing to say.

    Attributes:
        python: For callers of the library: `Materialize it too (upstream=True).`
        command: For users of the command line: `Compute it too with --upstream.`
        http: For users of the HTTP API: `Compute it too: "upstream": true.`
    """

    python: str = ""
    command: str = ""
    http: str = ""

    @classmethod
    def takes(cls, argument: str, what: str) -> Remedies:
        """What an argument takes that every face has: `key=` takes text, `--key` takes text."""
        return cls(
            f"{argument}= takes {what}.",
            f"--{argument.replace('_', '-')} takes {what}.",
            f"`{argument}` takes {what}.",
        )
