"""The catalog of the repository's datasets and models, as `shoplake catalog` describes them."""

from __future__ import annotations

import shutil
from pathlib import Path

from dev.package import ROOT, catalog, target_dir
from dev.plan import PACKAGES


def packages_with_catalog(folder: Path) -> Path:
    """Writes placeholders of the functions' packages and the real catalog.json into `folder`."""
    shoplake = target_dir() / "debug" / "shoplake"
    if not shoplake.exists():
        raise SystemExit(f"{shoplake} is missing: run make build")
    shutil.copytree(PACKAGES, folder, dirs_exist_ok=True)
    catalog(shoplake, folder, ROOT / "crates" / "contracts" / "schemas", ROOT / "glue-sql")
    return folder
