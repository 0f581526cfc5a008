"""`make package`: release packages for AWS, built by cargo-lambda, and the connectors' images, built by a container tool."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from . import images
from .package import FUNCTIONS, ROOT, catalog, package, target_dir
from .pipeline import SCHEMAS, SQL
from .progress import step
from .tools import cargo_lambda

OUT = ROOT / ".local" / "packages"
HOST = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")


def main() -> int:
    """Builds all functions and connectors for one architecture and says how large they are."""
    for_this_machine = sys.argv[1] == "host"
    architecture = HOST if for_this_machine else sys.argv[1]
    if architecture not in ("arm64", "x86_64"):
        raise SystemExit(f"ARCH is arm64, x86_64 or host, not {architecture!r}")
    binaries = build(architecture, for_this_machine)
    package(binaries, OUT, SCHEMAS, SQL)
    catalog(describer(), OUT, SCHEMAS, SQL)
    for function in FUNCTIONS:
        print(f"{(OUT / function).with_suffix('.zip').stat().st_size / 1e6:8.1f} MB  {OUT.relative_to(ROOT)}/{function}.zip")
    images.build(architecture, OUT)
    return 0


def build(architecture: str, for_this_machine: bool) -> Path:
    """Builds with the release profile and returns the folder of binaries."""
    tool = cargo_lambda()
    # Zig, which cargo-lambda brings along, links for either architecture and for Lambda's glibc, which is older than most
    # machines'. What is to run on this very machine needs only cargo.
    target = ["--compiler", "cargo"] if for_this_machine else [f"--{architecture.replace('_', '-')}"]
    out = target_dir() / "lambda"
    with step(f"build the functions for {architecture} (a release build takes twenty minutes on two cores)"):
        packages = [word for function in FUNCTIONS for word in ("-p", function)]
        subprocess.run(
            [tool, "lambda", "build", "--release", "--locked", "--lambda-dir", out, *target, *packages],
            cwd=ROOT,
            env={**os.environ, "CARGO_TARGET_DIR": str(target_dir()), "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}"},
            stdout=sys.stderr,
            check=True,
        )
    binaries = out / "bootstraps"
    binaries.mkdir(exist_ok=True)
    for function in FUNCTIONS:
        (binaries / function).unlink(missing_ok=True)
        (binaries / function).hardlink_to(out / function / "bootstrap")
    return binaries


def describer() -> Path:
    """Builds the program that describes the lake's tables: for this machine, whatever the functions are built for."""
    with step("build what describes the tables of the lake"):
        subprocess.run(
            ["cargo", "build", "--locked", "--workspace", "--bin", "catalog"],
            cwd=ROOT,
            env={**os.environ, "CARGO_TARGET_DIR": str(target_dir())},
            stdout=sys.stderr,
            check=True,
        )
    return target_dir() / "debug" / "catalog"


if __name__ == "__main__":
    sys.exit(main())
