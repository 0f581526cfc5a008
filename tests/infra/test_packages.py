"""`make package`: the content of packages and the record of their build. Nothing
is compiled.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from dev import release
from dev.deploy_aws import DeployError, check_commit
from dev.images import Commit
from dev.package import FUNCTIONS, READ_MODELS, package
from dev.pipeline import SCHEMAS, SQL
from dev.release import RECORD, nameless_folders, record, without_flags

COMMIT = Commit("0123456789ab", 1_700_000_000)


@pytest.fixture
def binaries(tmp_path: Path) -> Path:
    folder = tmp_path / "binaries"
    folder.mkdir()
    for function in FUNCTIONS:
        (folder / function).write_bytes(function.encode())
    (folder / "models.json").write_text("{}", "utf-8")
    return folder


def packed(binaries: Path, out: Path) -> dict[str, bytes]:
    package(binaries, out, SCHEMAS, SQL, binaries / "models.json")
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_packages_are_reproducible(binaries: Path, tmp_path: Path) -> None:
    first = packed(binaries, tmp_path / "first")
    assert set(first) == {f"{function}.zip" for function in FUNCTIONS}
    assert packed(binaries, tmp_path / "second") == first


def test_packages_have_what_their_functions_read(binaries: Path, tmp_path: Path) -> None:
    packed(binaries, tmp_path / "out")
    expected = {"bootstrap", "schemas/pos_sales.json", "glue-sql/warehouse/0001_shoplake.sql"}
    for function in FUNCTIONS:
        with zipfile.ZipFile(tmp_path / "out" / f"{function}.zip") as archive:
            names = set(archive.namelist())
        assert expected <= names, function
        assert ("models.json" in names) == (function in READ_MODELS), function


def test_package_has_the_latest_build(binaries: Path, tmp_path: Path) -> None:
    """A build for another architecture may be older than the existing package."""
    before = packed(binaries, tmp_path / "out")
    (binaries / "load").write_bytes(b"another")
    time = (tmp_path / "out" / "load.zip").stat().st_mtime - 1000
    os.utime(binaries / "load", (time, time))
    after = packed(binaries, tmp_path / "out")
    assert {name for name in after if after[name] != before[name]} == {"load.zip"}
    with zipfile.ZipFile(tmp_path / "out" / "load.zip") as archive:
        assert archive.read("bootstrap") == b"another"


def test_unchanged_package_is_not_written(binaries: Path, tmp_path: Path) -> None:
    packed(binaries, tmp_path / "out")
    before = (tmp_path / "out" / "load.zip").stat().st_mtime_ns
    packed(binaries, tmp_path / "out")
    assert (tmp_path / "out" / "load.zip").stat().st_mtime_ns == before


def test_packages_record_their_commit(tmp_path: Path) -> None:
    record(tmp_path, "arm64", COMMIT, COMMIT)
    written = json.loads((tmp_path / RECORD).read_text("utf-8"))
    assert written["rustc"].startswith("rustc ")
    assert (written["commit"], written["architecture"]) == ("0123456789ab", "arm64")
    check_commit(tmp_path, "arm64", COMMIT, strict=True)


@pytest.mark.parametrize("after", [COMMIT.marked(True), Commit("ba9876543210", 1_700_000_001)])
def test_changes_during_the_build_have_no_commit(tmp_path: Path, after: Commit) -> None:
    record(tmp_path, "arm64", COMMIT, after)
    assert json.loads((tmp_path / RECORD).read_text("utf-8"))["commit"] == "0123456789ab-dirty"


def test_failed_build_leaves_no_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, "arm64", COMMIT, COMMIT)

    def fail(*_: object) -> Path:
        raise SystemExit(1)

    monkeypatch.setattr(release, "OUT", tmp_path)
    monkeypatch.setattr(release, "build", fail)
    monkeypatch.setattr(sys, "argv", ["release", "arm64"])
    with pytest.raises(SystemExit):
        release.main()
    with pytest.raises(DeployError, match=f"{RECORD} is missing"):
        check_commit(tmp_path, "arm64", COMMIT, strict=False)


def test_compiler_flags_of_the_shell_are_ignored() -> None:
    flags = (
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
    )
    assert without_flags(
        {**dict.fromkeys(flags, "-g"), "PATH": "/bin", "CARGO_HOME": "/cargo"}
    ) == {"PATH": "/bin", "CARGO_HOME": "/cargo"}


def test_local_paths_are_remapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARGO_HOME", "/home/user/.cargo")
    monkeypatch.setenv("CARGO_TARGET_DIR", "/home/user/target")
    key, _, value = nameless_folders().partition("=")
    assert key == "build.rustflags"
    assert json.loads(value) == [
        "--remap-path-prefix=/home/user/.cargo=/cargo",
        "--remap-path-prefix=/home/user/target=/target",
    ]
