"""The command ``aionet``, and ``python -m aionet``: the command line, or what to install for it."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; where its libraries are missing, name the command that installs them and exit with 1."""
    try:
        from aionet import cli  # noqa: PLC0415 - at the top there would be nobody to say what is missing
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        if library not in {"click", "rich"}:
            raise
        sys.exit(f"aionet: {library} is not installed: pip install 'aionet[cli]'")
    cli.main()


if __name__ == "__main__":
    main()
