"""Finds a Chromium: the one that CHROME names, the machine's own, or a pinned one from npm."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from dev.npm import install, node

HERE = Path(__file__).resolve().parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{folder}/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{folder}/cache</cachedir>
</fontconfig>
"""


@dataclass(frozen=True)
class Chromium:
    """A program and its environment variables."""

    program: Path
    environment: dict[str, str] = field(default_factory=dict)


def chromium() -> Chromium:
    """Returns a Chromium; installs one if the machine has none."""
    named = os.environ.get("CHROME")
    if named:
        if found := shutil.which(named):
            return Chromium(Path(found))
        raise FileNotFoundError(f"invalid CHROME {named!r}: expected a program such as chromium")
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return Chromium(Path(found))
    return _installed()


def _installed() -> Chromium:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise FileNotFoundError(
            f"npm has no Chromium for {sys.platform} on {platform.machine()}:"
            " install one and set CHROME to its path"
        )
    folder = install(HERE, "@sparticuz/chromium", "a headless Chromium, 70 MB", _unpack)
    environment = {
        "LD_LIBRARY_PATH": str(folder / "lib"),
        "FONTCONFIG_FILE": str(folder / "fonts.conf"),
    }
    return Chromium(folder / "chromium", environment)


def _unpack(folder: Path) -> None:
    node(HERE / "unpack.cjs", folder / "node_modules" / "@sparticuz" / "chromium" / "bin", folder)
    for archive in folder.glob("*.tar"):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        archive.unlink()
    shutil.rmtree(folder / "node_modules")
    (folder / "fonts.conf").write_text(FONTS.format(folder=folder))
    (folder / "chromium").chmod(0o755)
