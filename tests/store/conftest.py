"""Failures inside the shared contract explain themselves as those of a test file do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.store.contract", "tests.store.model")
