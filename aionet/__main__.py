"""The command ``aionet``, and ``python -m aionet``: the command line, or what to install for it."""

from __future__ import annotations

import sys

from aionet.cli.status import INTERRUPTED
from aionet.errors import AddressError, AionetError, MissingExtraError, OptionError

__all__ = ["main"]


def main() -> None:
    """Run the command line. An error is one line on stderr.

    The status is 2 where a library is missing or something was asked for that cannot be, else 1. Ctrl-C, where a
    command does nothing else with it, is one line and status 130.
    """
    try:
        _run_command_line()
    except KeyboardInterrupt:
        sys.stderr.write("aionet: interrupted\n")
        sys.exit(INTERRUPTED)
    except AionetError as error:
        sys.stderr.write(f"aionet: {error}\n")
        sys.exit(2 if isinstance(error, MissingExtraError | AddressError | OptionError) else 1)


def _run_command_line() -> None:
    try:
        from aionet.cli.app import main as command_line  # noqa: PLC0415 - at the top nobody could say what is missing

        command_line()  # which imports the command
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        if library not in {"click", "rich", "trustme"}:
            raise
        raise MissingExtraError(f"{library} is not installed: pip install 'aionet[cli]'") from error


if __name__ == "__main__":
    main()
