"""Pure definitions of what happens by itself: no I/O, no asyncio."""
