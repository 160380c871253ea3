"""Every store, as tests of waiting have them."""

from tests.waiting.conftest import background, place, template_database

__all__ = ["background", "place", "template_database"]
