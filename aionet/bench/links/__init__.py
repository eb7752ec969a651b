"""The clients of a generator: each kind of work is a class of links, over any kind of connection."""
