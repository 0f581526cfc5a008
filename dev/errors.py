"""Errors that the user of a command can act on."""

from __future__ import annotations

import argparse
from typing import NoReturn


class CommandError(RuntimeError):
    """Says what is wrong, where, and what to do. The command ends with this text."""


class Arguments(argparse.ArgumentParser):
    """Parses a command line; reports mistakes in it as command errors."""

    def error(self, message: str) -> NoReturn:
        """Rejects the command line."""
        raise CommandError(f"{message}; `make help` lists the commands and their arguments")
