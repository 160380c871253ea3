"""Pure definitions of what asks for runs by itself: no I/O, no asyncio."""
