"""The command line: what the extra ``cli`` (click and rich) adds."""
