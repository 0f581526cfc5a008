"""Builds the functions for this machine and packs each for Lambda: the binary, the contracts and
the SQL.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

from .paths import RELEASED, ROOT, target_dir
from .progress import step

FUNCTIONS = ("webhook", "conform", "dispatch", "transform", "load", "notify", "control")
READ_MODELS = ("load", "control")
"""The functions that read `models.json`, the index of the models."""
RECORD = "packages.json"
"""The file that records the commit, architecture and compiler of release packages."""
TITLE = "build the functions (the first time this takes several minutes)"

__all__ = [
    "FUNCTIONS",
    "READ_MODELS",
    "RECORD",
    "RELEASED",
    "ROOT",
    "TITLE",
    "build",
    "build_command",
    "build_environment",
    "catalog",
    "definitions",
    "package",
    "target_dir",
]


def build_command() -> tuple[str, ...]:
    """Returns the command that builds the programs of a deployment with the development profile."""
    # Without tests and the simulation, which reuse all heavy crates of this build.
    workspace = ("--workspace", "--exclude", "shoplake-simulation")
    return ("cargo", "build", "--locked", "--bins", *workspace)


def build_environment() -> dict[str, str]:
    """Returns the environment of `build_command`."""
    return {**os.environ, "CARGO_TARGET_DIR": str(target_dir())}


def build() -> Path:
    """Builds the programs of a deployment and returns their folder."""
    with step(TITLE):
        subprocess.run(
            build_command(), cwd=ROOT, env=build_environment(), stdout=sys.stderr, check=True
        )
    return target_dir() / "debug"


def definitions(schemas: Path, sql: Path) -> dict[str, Path]:
    """Returns the data files of every package, by their name in the package."""
    files = {f"schemas/{path.name}": path for path in schemas.glob("*.json")}
    files |= {
        f"glue-sql/{path.relative_to(sql)}": path
        for pattern in ("*.sql", "*.csv")
        for path in sql.rglob(pattern)
    }
    return dict(sorted(files.items()))


def catalog(shoplake: Path, out: Path, schemas: Path, sql: Path) -> None:
    """Writes `catalog.json`, from which Terraform makes the Glue Data Catalog, and `models.json`,
    the index of the models, by the operators' program.
    """
    out.mkdir(parents=True, exist_ok=True)
    with step("describe the tables of the lake"):
        subprocess.run(
            [
                *(shoplake, "catalog", "--schemas", schemas, "--sql", sql),
                *("--out", out / "catalog.json", "--models", out / "models.json"),
            ],
            stdout=sys.stderr,
            check=True,
        )


def package(binaries: Path, out: Path, schemas: Path, sql: Path, models: Path) -> None:
    """Writes `<function>.zip` for each function; `models` is the index of the models. The same
    content gives the same bytes, with one version of zlib.
    """
    out.mkdir(parents=True, exist_ok=True)
    with step("pack the functions"):
        for function in FUNCTIONS:
            archive = out / f"{function}.zip"
            content = {"bootstrap": binaries / function, **definitions(schemas, sql)}
            if function in READ_MODELS:
                content["models.json"] = models
            if _holds(archive, content):
                continue
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
                for name, path in content.items():
                    entry = zipfile.ZipInfo(name)  # dated 1980-01-01, so that builds are equal
                    entry.external_attr = 0o755 << 16
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    packed.writestr(entry, path.read_bytes())


def _holds(archive: Path, content: dict[str, Path]) -> bool:
    """Returns whether the archive has exactly this content. Times are not compared, because a build
    for another architecture may be older.
    """
    if not archive.exists():
        return False
    with zipfile.ZipFile(archive) as packed:
        checksums = {entry.filename: entry.CRC for entry in packed.infolist()}
    return checksums == {name: zlib.crc32(path.read_bytes()) for name, path in content.items()}
