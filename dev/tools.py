"""Development tools at pinned versions, below .local/tools; what is there already is used as it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

from .package import ROOT, target_dir
from .progress import run, step

TOOLS = ROOT / ".local" / "tools"
CARGO_DENY = "0.20.2"
CARGO_LAMBDA = Path(__file__).with_name("cargo-lambda-requirements.txt")


def cargo_deny() -> Path:
    """cargo-deny, built from crates.io: unoptimised, as it is built for seconds of work. Its build
    is shared between checkouts.
    """
    folder = TOOLS / f"cargo-deny-{CARGO_DENY}"
    binary = folder / "bin" / "cargo-deny"
    if not binary.exists():
        with step(f"build cargo-deny {CARGO_DENY} (the first time this takes some minutes)"):
            subprocess.run(
                [
                    "cargo",
                    "install",
                    "--debug",
                    "--locked",
                    "--quiet",
                    "--root",
                    folder,
                    "--version",
                    CARGO_DENY,
                    "cargo-deny",
                ],
                cwd=folder.parent if folder.parent.exists() else ROOT,
                env={**os.environ, "CARGO_TARGET_DIR": str(target_dir().parent / "tools")},
                stdout=sys.stderr,
                check=True,
            )
    return binary


def cargo_lambda() -> Path:
    """cargo-lambda, from PyPI, where it is published with its binary; and Zig, its C compiler and
    linker, of which it would take any.
    """
    (version,) = re.findall(
        r"^cargo-lambda==([\w.]+)", CARGO_LAMBDA.read_text("utf-8"), re.MULTILINE
    )
    folder = TOOLS / f"cargo-lambda-{version}"
    binary = folder / "bin" / "cargo-lambda"
    if not binary.exists():
        with step(f"install cargo-lambda {version}"):
            venv.create(folder, with_pip=True)
            pip = [
                folder / "bin" / "python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]
            subprocess.run(
                [*pip, "--require-hashes", "-r", CARGO_LAMBDA], stdout=sys.stderr, check=True
            )
    return binary


def checkov() -> Path:
    """checkov, from PyPI. Anew whenever its pins change."""
    requirements = ROOT / "tests" / "infra" / "checkov-requirements.txt"
    folder = TOOLS / "checkov"
    made_from = folder / "made-from"
    wanted = f"{sys.version}\n{requirements.read_text('utf-8')}"
    if not made_from.exists() or made_from.read_text("utf-8") != wanted:
        with step("install checkov (96 packages)"):
            venv.create(folder, clear=folder.exists(), with_pip=True)
            pip = [
                folder / "bin" / "python",
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--progress-bar",
                "off",
            ]
            run([*pip, "--require-hashes", "-r", requirements], TOOLS / "checkov.log", cwd=ROOT)
            made_from.write_text(wanted, "utf-8")
    return folder / "bin" / "checkov"
