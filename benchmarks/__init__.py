"""How fast aionet is beside its peers, and whether it meets the marks: `python -m benchmarks --help`."""
