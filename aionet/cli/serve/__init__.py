"""The command ``aionet serve``."""
