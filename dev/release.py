"""`make package`: release packages for AWS, built by cargo-lambda, and the connectors' images,
built by a container tool.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from . import images
from .package import FUNCTIONS, RECORD, catalog, package
from .package import build as build_for_this_machine
from .paths import RELEASED as OUT
from .paths import ROOT, SCHEMAS, SQL, target_dir
from .progress import step
from .tools import cargo_lambda

HOST = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")


def main() -> int:
    """Builds all functions and connectors for one architecture and prints their sizes."""
    for_this_machine = sys.argv[1] == "host"
    architecture = HOST if for_this_machine else sys.argv[1]
    if architecture not in ("arm64", "x86_64"):
        raise SystemExit(f"invalid ARCH {architecture!r}: expected arm64, x86_64 or host")
    # A failed build must not leave the record of an earlier one.
    (OUT / RECORD).unlink(missing_ok=True)
    commit = images.Commit.of_checkout()
    binaries = build(architecture, for_this_machine)
    programs = binaries if runs_here(architecture) else build_for_this_machine()
    catalog(programs / "shoplake", OUT, SCHEMAS, SQL)
    package(binaries, OUT, SCHEMAS, SQL, OUT / "models.json")
    record(OUT, architecture, commit, images.Commit.of_checkout())
    for function in FUNCTIONS:
        archive = OUT / f"{function}.zip"
        print(f"{archive.stat().st_size / 1e6:8.1f} MB  {archive.relative_to(ROOT)}")
    images.build(architecture, OUT)
    return 0


def record(out: Path, architecture: str, before: images.Commit, after: images.Commit) -> None:
    """Records the commit of the packages, which `make deploy` compares with the checkout. If the
    commit changed during the build, the record is marked as dirty: the compiler may have read files
    of both.
    """
    compiler = subprocess.run(
        ["rustc", "-V"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    content = {
        "commit": before.marked(after != before).name,
        "architecture": architecture,
        "rustc": compiler,
    }
    (out / RECORD).write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def build(architecture: str, for_this_machine: bool) -> Path:
    """Builds with the release profile and returns the folder of binaries."""
    tool = cargo_lambda()
    # cargo-lambda's Zig links for either architecture, and for Lambda's glibc, which is older than
    # that of most machines. Binaries for this machine need only cargo.
    target = (
        ["--compiler", "cargo"] if for_this_machine else [f"--{architecture.replace('_', '-')}"]
    )
    out = target_dir() / "lambda"
    # The operators' program writes the catalog during the build, so it must run on this machine.
    binaries = {name: f"shoplake-function-{name}" for name in FUNCTIONS} | (
        {"shoplake": "shoplake-cli"} if runs_here(architecture) else {}
    )
    duration = "a release build takes at least half an hour on two cores"
    with step(f"build the functions for {architecture} ({duration})"):
        packages = [word for name in binaries.values() for word in ("-p", name)]
        subprocess.run(
            [
                tool,
                "lambda",
                "build",
                "--release",
                "--locked",
                "--lambda-dir",
                out,
                *target,
                *packages,
                "--config",
                nameless_folders(),
            ],
            cwd=ROOT,
            env={
                **without_flags(os.environ),
                "CARGO_TARGET_DIR": str(target_dir()),
                "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}",
            },
            stdout=sys.stderr,
            check=True,
        )
    folder = out / "bootstraps"
    folder.mkdir(exist_ok=True)
    for name in binaries:
        (folder / name).unlink(missing_ok=True)
        (folder / name).hardlink_to(out / name / "bootstrap")
    return folder


def runs_here(architecture: str) -> bool:
    """Returns whether this machine runs binaries for Lambda on an architecture."""
    return sys.platform == "linux" and architecture == HOST


def without_flags(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment without flags for rustc (RUSTFLAGS, CARGO_ENCODED_RUSTFLAGS,
    CARGO_TARGET_..._RUSTFLAGS), because each of them overrides `build.rustflags`.
    """
    return {name: value for name, value in environment.items() if not name.endswith("RUSTFLAGS")}


def nameless_folders() -> str:
    """Returns cargo's setting that removes this machine's folders from the binaries: panics name
    source files, and those of dependencies lie below cargo's home.

    So the same sources give the same binaries in any folder, if rustc, the C compiler (Zig, except
    for ARCH=host) and cargo's settings on the machine are the same: `target.*.rustflags` overrides
    this one. The packages are then equal if Python's zlib is the same.
    """
    cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    folders = {cargo_home: "/cargo", target_dir(): "/target"}
    flags = [f"--remap-path-prefix={folder}={name}" for folder, name in folders.items()]
    return f"build.rustflags={json.dumps(flags)}"


if __name__ == "__main__":
    sys.exit(main())
