"""``aionet demo``: aionet's streams beside asyncio's own, on each loop that is installed."""
