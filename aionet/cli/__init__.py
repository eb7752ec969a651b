"""The command line: what the extra ``cli`` (click, rich and trustme) adds."""
