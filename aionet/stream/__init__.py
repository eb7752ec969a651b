"""Async and await over transports: streams, connecting and listening."""
