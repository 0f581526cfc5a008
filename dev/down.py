"""`make down`: stops the demo; does nothing where none runs."""

from __future__ import annotations

import sys

from .demo import STATE
from .pipeline import Cloud


def main() -> int:
    """Stops the demo's cloud and removes its data."""
    Cloud.recorded(STATE).down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
