"""Streams, servers and sockets for asyncio: one contract on every event loop."""

__all__: list[str] = []
