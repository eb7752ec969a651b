"""The command ``aionet doctor``."""
