"""What a pipeline says through structlog itself goes the way of every other log record."""

from __future__ import annotations

import structlog

from flowstone.assets.step_log import PROCESSORS

__all__ = ["join_structlog"]


def join_structlog() -> None:
    """Hand structlog's entries to the standard library's loggers, unless the pipeline has configured it."""
    if not structlog.is_configured():
        structlog.configure(
            processors=list(PROCESSORS),
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
            cache_logger_on_first_use=False,
        )
