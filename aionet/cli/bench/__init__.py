"""``aionet bench``: how fast a server really is."""
