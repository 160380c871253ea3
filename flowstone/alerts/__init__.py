"""Ready-made listeners that tell somebody outside of events."""

from __future__ import annotations

from flowstone.alerts.signature import SignatureError, sign, verify_signature
from flowstone.alerts.webhook import WebhookAlert

__all__ = ["SignatureError", "WebhookAlert", "sign", "verify_signature"]
