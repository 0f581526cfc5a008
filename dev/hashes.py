"""Writes the checksums of all files that PyPI has of each pinned package into the files of
requirements, with uv on the PATH:

    python -m dev.hashes

pip then takes a package only if it is one of those files (--require-hashes). Comments and the order
of the pins stay.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from .package import ROOT

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
# The oldest Python that all of a file's packages install on.
OLDEST = {"tests/infra/checkov-requirements.txt": "3.11.5"}


def normal(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def hashes(compiled: str) -> dict[str, list[str]]:
    """What uv found for each package."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in compiled.splitlines():
        if pin := PIN.match(line):
            name = normal(pin["name"])
        elif checksum := HASH.match(line):
            found.setdefault(name, []).append(checksum["hash"])
    return found


def written(requirements: str, found: dict[str, list[str]]) -> str:
    """The file with the checksums after each pin, instead of those that it has."""
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
    """Asks the index about each file's pins."""
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
    """How many checksums each pin of a file has."""
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
