"""How the runner and a server speak, on every loop: lines of JSON to stdout, wishes from stdin."""

import gc
import json
import os
import resource
import sys


def say(**values: object) -> None:
    """Print one line of JSON at once."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def report() -> None:
    """Print the CPU seconds of this process, after a collection: whoever asks may look at the memory next."""
    gc.collect()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    say(cpu=usage.ru_utime + usage.ru_stime)


def obey() -> bool:
    """Do what a readable stdin asks for; False at its end, which asks the server to leave."""
    if os.read(sys.stdin.fileno(), 4096):
        report()
        return True
    return False
