"""Folders of the checkout and of cargo's builds."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCAL = ROOT / ".local"
"""Everything that the commands install, build and write; git ignores it."""
SCHEMAS = ROOT / "crates" / "contracts" / "schemas"
SQL = ROOT / "glue-sql"
INFRA = ROOT / "infra"
RELEASED = LOCAL / "packages"
"""Where `make package` puts release packages."""


def target_dir() -> Path:
    """Returns the folder where cargo builds: outside the checkout, shared by every clone."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("CARGO_TARGET_DIR") or cache / "shoplake" / "target")
