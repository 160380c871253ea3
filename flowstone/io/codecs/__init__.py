"""How values become bytes: one codec a file.

`selection.py` chooses among them. The first `FileIO` imports it, not this page: a program that keeps
its values in memory need not wait for a dozen modules it never uses.
"""

from __future__ import annotations

from flowstone.io.codecs.codec import Codec, CodecError

__all__ = ["Codec", "CodecError"]
