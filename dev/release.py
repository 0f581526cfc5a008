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
from .package import FUNCTIONS, RECORD, ROOT, catalog, package, target_dir
from .package import RELEASED as OUT
from .package import build as build_for_this_machine
from .pipeline import SCHEMAS, SQL
from .progress import step
from .tools import cargo_lambda

HOST = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")


def main() -> int:
    """Builds all functions and connectors for one architecture and says how large they are."""
    for_this_machine = sys.argv[1] == "host"
    architecture = HOST if for_this_machine else sys.argv[1]
    if architecture not in ("arm64", "x86_64"):
        raise SystemExit(f"ARCH is arm64, x86_64 or host, not {architecture!r}")
    # What a build that fails leaves behind is of no commit.
    (OUT / RECORD).unlink(missing_ok=True)
    commit = images.Commit.of_checkout()
    binaries = build(architecture, for_this_machine)
    package(binaries, OUT, SCHEMAS, SQL)
    describer = binaries if runs_here(architecture) else build_for_this_machine()
    catalog(describer / "catalog", OUT, SCHEMAS, SQL)
    record(OUT, architecture, commit, images.Commit.of_checkout())
    for function in FUNCTIONS:
        print(
            f"{(OUT / function).with_suffix('.zip').stat().st_size / 1e6:8.1f} MB  {OUT.relative_to(ROOT)}/{function}.zip"
        )
    images.build(architecture, OUT)
    return 0


def record(out: Path, architecture: str, before: images.Commit, after: images.Commit) -> None:
    """Writes down what the packages are built from, which `make deploy` looks at. Where it was
    another commit at the end than at the beginning, nobody knows which files the compiler saw.
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
    # Zig, which cargo-lambda brings along, links for either architecture and for Lambda's glibc,
    # which is older than most machines'. What is to run on this very machine needs only cargo.
    target = (
        ["--compiler", "cargo"] if for_this_machine else [f"--{architecture.replace('_', '-')}"]
    )
    out = target_dir() / "lambda"
    # What describes the tables of the lake has to run here.
    binaries = {name: f"shoplake-function-{name}" for name in FUNCTIONS} | (
        {"catalog": "shoplake-catalog"} if runs_here(architecture) else {}
    )
    with step(
        f"build the functions for {architecture} (a release build takes half an hour and more on two cores)"
    ):
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
    """Whether this machine runs what is built for Lambda on an architecture."""
    return sys.platform == "linux" and architecture == HOST


def without_flags(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without flags for rustc (RUSTFLAGS, CARGO_ENCODED_RUSTFLAGS,
    CARGO_TARGET_..._RUSTFLAGS): cargo takes any of them instead of what it is told here.
    """
    return {name: value for name, value in environment.items() if not name.endswith("RUSTFLAGS")}


def nameless_folders() -> str:
    """Cargo's setting that keeps this machine's folders out of what rustc writes: panics name their
    source file, and those of dependencies lie below cargo's home. Those of the project have no
    folder, as cargo names them from the workspace's root.

    So the same sources give the same binaries in any folder, as long as rustc, the C compiler (Zig,
    but for ARCH=host) and cargo's own settings on the machine (`target.*.rustflags` goes over this
    one) are the same; and the same packages, as long as Python's zlib is the same.
    """
    cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    folders = {cargo_home: "/cargo", target_dir(): "/target"}
    return f"build.rustflags={json.dumps([f'--remap-path-prefix={folder}={name}' for folder, name in folders.items()])}"


if __name__ == "__main__":
    sys.exit(main())
