"""Callbacks: the transports, which alone own descriptors, and what accepts and connects them."""
