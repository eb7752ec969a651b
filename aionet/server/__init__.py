"""Servers: a handler for each connection, limits, and draining."""
