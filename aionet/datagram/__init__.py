"""Async datagram endpoints."""
