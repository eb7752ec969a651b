"""Bytes and decisions only: no socket, no loop, no clock."""
