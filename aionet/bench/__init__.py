"""The load generator: many clients that drive a server, and the figures of it that can be trusted.

A run is described by a ``Plan`` (plan.py). Generators (generator.py), each in a process of its own, carry out a share
of it each and tell what they counted, a ``Slot`` at a time (slot.py). A ``Tally`` (tally.py) merges the slots of all of
them, and what comes out are ``Results`` (results.py): what is saved, compared, judged (verdict.py) and shown. The
command line, in aionet/cli/bench, only asks and shows.
"""
