"""The catalog of the repository's datasets and models, as the program `catalog` describes them."""

from __future__ import annotations

import shutil
from pathlib import Path

from dev.package import ROOT, catalog, target_dir
from dev.plan import PACKAGES


def packages_with_catalog(folder: Path) -> Path:
    """Writes placeholders of the functions' packages and the real catalog.json into `folder`."""
    program = target_dir() / "debug" / "catalog"
    if not program.exists():
        raise SystemExit(f"{program} is missing: run make build")
    shutil.copytree(PACKAGES, folder, dirs_exist_ok=True)
    catalog(program, folder, ROOT / "crates" / "contracts" / "schemas", ROOT / "glue-sql")
    return folder
