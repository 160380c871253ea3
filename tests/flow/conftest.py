"""Every store, as tests of waiting have them."""

from tests.waiting.conftest import background, place

__all__ = ["background", "place"]
