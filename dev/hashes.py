"""Writes PyPI's checksums of each pinned package into the files of requirements.

    python -m dev.hashes

Needs uv on the PATH. pip then accepts only files with these checksums (--require-hashes). Comments
and the order of the pins stay.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from .paths import ROOT

FILES = (
    "tests/infra/checkov-requirements.txt",
    "dev/localstack/requirements.txt",
    "tests/notebooks/requirements.txt",
    "tests/parity/requirements.txt",
    "dev/cargo-lambda-requirements.txt",
    "dev/lint-requirements.txt",
)
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==[^\\\s;]+")
HASH = re.compile(r"^\s+--hash=(?P<hash>sha256:[0-9a-f]{64})")
OLDEST = {"tests/infra/checkov-requirements.txt": "3.11.5"}
"""The oldest Python for all packages of a file, if it is not 3.11."""


def normal(name: str) -> str:
    """Returns a package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def hashes(compiled: str) -> dict[str, list[str]]:
    """Returns the checksums of each package in uv's output."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in compiled.splitlines():
        if pin := PIN.match(line):
            name = normal(pin["name"])
        elif checksum := HASH.match(line):
            found.setdefault(name, []).append(checksum["hash"])
    return found


def written(requirements: str, found: dict[str, list[str]]) -> str:
    """Returns the file with these checksums after each pin, in place of its own."""
    lines: list[str] = []
    for line in requirements.splitlines():
        if HASH.match(line):
            continue
        pin = PIN.match(line)
        checksums = sorted(set(found[normal(pin["name"])])) if pin else []
        lines += (
            [
                line.removesuffix("\\").rstrip() + " \\",
                *(f"    --hash={each} \\" for each in checksums),
            ]
            if pin
            else [line]
        )
        if pin:
            lines[-1] = lines[-1].removesuffix(" \\")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Updates all files."""
    for name in FILES:
        path = ROOT / name
        command = [
            "uv",
            "pip",
            "compile",
            "--quiet",
            "--generate-hashes",
            "--no-deps",
            "--no-annotate",
            "--no-header",
            "--universal",
        ]
        done = subprocess.run(
            [*command, "--python-version", OLDEST.get(name, "3.11"), path],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        path.write_text(written(path.read_text("utf-8"), hashes(done.stdout)), "utf-8")
    return 0


def pins(path: Path) -> dict[str, int]:
    """Counts the checksums of each pin in a file."""
    found: dict[str, int] = {}
    name = ""
    for line in path.read_text("utf-8").splitlines():
        if pin := PIN.match(line):
            name = pin["name"]
            found[name] = 0
        elif HASH.match(line):
            found[name] += 1
    return found


if __name__ == "__main__":
    sys.exit(main())
