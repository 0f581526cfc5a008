"""Builds the functions for this machine and packs each as Lambda expects it: the binary, the
contracts and the SQL.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

from .progress import step

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = ("webhook", "conform", "dispatch", "transform", "load", "notify", "control")

# Where `make package` puts release packages, and what it writes down of how they were built.
RELEASED = ROOT / ".local" / "packages"
RECORD = "packages.json"


def target_dir() -> Path:
    """Where cargo builds: outside the checkout, so that every clone on a machine shares it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("CARGO_TARGET_DIR") or cache / "shoplake" / "target")


def build() -> Path:
    """Builds all binaries with the development profile and returns their folder. Cargo shows its
    own progress.
    """
    with step("build the functions (the first time this takes several minutes)"):
        # --all-targets, as the tests do: otherwise the heavy crates would be built once for each
        # set of features.
        subprocess.run(
            ["cargo", "build", "--locked", "--workspace", "--all-targets"],
            cwd=ROOT,
            env={**os.environ, "CARGO_TARGET_DIR": str(target_dir())},
            stdout=sys.stderr,
            check=True,
        )
    return target_dir() / "debug"


def definitions(schemas: Path, sql: Path) -> dict[str, Path]:
    """The data files that every package carries beside its binary, by their name in the package."""
    files = {f"schemas/{path.name}": path for path in schemas.glob("*.json")}
    files |= {
        f"glue-sql/{path.relative_to(sql)}": path
        for pattern in ("*.sql", "*.csv")
        for path in sql.rglob(pattern)
    }
    return dict(sorted(files.items()))


def catalog(program: Path, out: Path, schemas: Path, sql: Path) -> None:
    """Writes `catalog.json`: the tables of the lake, of which Terraform makes the Glue Data
    Catalog.
    """
    out.mkdir(parents=True, exist_ok=True)
    with step("describe the tables of the lake"):
        subprocess.run(
            [program, "--schemas", schemas, "--sql", sql, "--out", out / "catalog.json"],
            stdout=sys.stderr,
            check=True,
        )


def package(binaries: Path, out: Path, schemas: Path, sql: Path) -> None:
    """Writes `<function>.zip` for each function: the same bytes for the same content, as one
    version of zlib packs it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with step("pack the functions"):
        for function in FUNCTIONS:
            content = {"bootstrap": binaries / function, **definitions(schemas, sql)}
            if _holds(out / f"{function}.zip", content):
                continue
            with zipfile.ZipFile(
                out / f"{function}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
            ) as archive:
                for name, path in content.items():
                    entry = zipfile.ZipInfo(name)  # 1980-01-01: a clock has no place in a build
                    entry.external_attr = 0o755 << 16
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    archive.writestr(entry, path.read_bytes())


def _holds(archive: Path, content: dict[str, Path]) -> bool:
    """Whether the archive has just this content. Times would not tell: a build for another
    architecture may be the older one.
    """
    if not archive.exists():
        return False
    with zipfile.ZipFile(archive) as packed:
        checksums = {entry.filename: entry.CRC for entry in packed.infolist()}
    return checksums == {name: zlib.crc32(path.read_bytes()) for name, path in content.items()}
