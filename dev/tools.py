"""Installs development tools at pinned versions below .local/tools, once."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .paths import LOCAL, ROOT, target_dir
from .progress import run, step

TOOLS = LOCAL / "tools"
CARGO_DENY = "0.20.2"
CARGO_MACHETE = "0.9.2"
CARGO_LAMBDA = ROOT / "dev" / "cargo-lambda-requirements.txt"
LINTERS = ROOT / "dev" / "lint-requirements.txt"
CHECKOV = ROOT / "tests" / "infra" / "checkov-requirements.txt"


def cargo_deny() -> Path:
    """Installs cargo-deny, which checks licences, sources and advisories of dependencies."""
    return _from_crates_io("cargo-deny", CARGO_DENY)


def cargo_machete() -> Path:
    """Installs cargo-machete, which finds unused dependencies."""
    return _from_crates_io("cargo-machete", CARGO_MACHETE)


def cargo_lambda() -> Path:
    """Installs cargo-lambda and Zig, its C compiler and linker, from PyPI."""
    (version,) = re.findall(
        r"^cargo-lambda==([\w.]+)", CARGO_LAMBDA.read_text("utf-8"), re.MULTILINE
    )
    return _from_pypi(f"cargo-lambda-{version}", CARGO_LAMBDA) / "cargo-lambda"


def linters() -> Path:
    """Installs ruff and mypy; returns the folder of the programs."""
    return _from_pypi("linters", LINTERS)


def checkov() -> Path:
    """Installs checkov, which checks Terraform plans."""
    return _from_pypi("checkov", CHECKOV) / "checkov"


def _from_crates_io(name: str, version: str) -> Path:
    """Builds a program without optimization: the build takes longer than all of its runs. All
    checkouts share the build.
    """
    folder = TOOLS / f"{name}-{version}"
    binary = folder / "bin" / name
    with locked(folder):
        if not binary.exists():
            with step(f"build {name} {version} (the first time this takes some minutes)"):
                install = ["cargo", "install", "--debug", "--locked", "--quiet"]
                subprocess.run(
                    [*install, "--root", folder, "--version", version, name],
                    cwd=TOOLS,
                    env={**os.environ, "CARGO_TARGET_DIR": str(target_dir().parent / "tools")},
                    stdout=sys.stderr,
                    check=True,
                )
    return binary


def _from_pypi(name: str, requirements: Path) -> Path:
    """Makes a virtual environment of pinned packages, again whenever the pins change; returns its
    folder of programs. pip accepts only files with the checksums of the requirements.
    """
    folder = TOOLS / name
    made_from = folder / "made-from"
    wanted = f"{sys.version}\n{requirements.read_text('utf-8')}"
    with locked(folder):
        if not made_from.exists() or made_from.read_text("utf-8") != wanted:
            with step(f"install {name}"):
                venv.create(folder, clear=folder.exists(), with_pip=True)
                python = str(folder / "bin" / "python")
                pip = [python, "-m", "pip", "--disable-pip-version-check"]
                install = [*pip, "install", "--progress-bar", "off"]
                log = TOOLS / f"{name}.log"
                run([*install, "--require-hashes", "-r", requirements], log, cwd=ROOT)
                made_from.write_text(wanted, "utf-8")
    return folder / "bin"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps two commands from installing into one folder at the same time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
