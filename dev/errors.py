"""Errors that a person who ran a command can do something about."""

from __future__ import annotations

import argparse
from typing import NoReturn


class CommandError(RuntimeError):
    """What is wrong, where, and what to do. The command ends with this text."""


class Arguments(argparse.ArgumentParser):
    """A parser of command lines whose complaints are command errors too."""

    def error(self, message: str) -> NoReturn:
        """Rejects the command line."""
        raise CommandError(f"{message}; `make help` lists the commands and their arguments")
