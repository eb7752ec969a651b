"""The commands ``aionet connect`` and ``aionet listen``."""
