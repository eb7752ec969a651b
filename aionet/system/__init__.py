"""The operating system and the loop."""
