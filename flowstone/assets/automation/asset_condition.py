"""The condition of an asset, as one of the automations of its pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from flowstone.assets.asset import SourceLine
    from flowstone.assets.automation.condition import Automation

__all__ = ["Condition"]


@frozen
class Condition:
    """The automation of an asset, among the others of its pipeline.

    Attributes:
        name: The asset's.
        automation: When it is computed.
        source: Where the asset is defined.
    """

    kind: ClassVar[Literal["condition"]] = "condition"
    paused: ClassVar[bool] = False
    name: str
    automation: Automation
    source: SourceLine

    @property
    def definition(self) -> str:
        """What decides when it acts, as text."""
        return repr(self.automation)
