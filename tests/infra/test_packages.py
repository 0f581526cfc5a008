"""`make package`: what the packages hold, and what is written down of how they were built. Nothing
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
from dev.deploy_aws import Refused, check_commit
from dev.images import Commit
from dev.package import FUNCTIONS, package
from dev.pipeline import SCHEMAS, SQL
from dev.release import RECORD, nameless_folders, record, without_flags

COMMIT = Commit("0123456789ab", 1_700_000_000)


@pytest.fixture
def binaries(tmp_path: Path) -> Path:
    folder = tmp_path / "binaries"
    folder.mkdir()
    for function in FUNCTIONS:
        (folder / function).write_bytes(function.encode())
    return folder


def packed(binaries: Path, out: Path) -> dict[str, bytes]:
    package(binaries, out, SCHEMAS, SQL)
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_the_same_content_gives_the_same_packages(binaries: Path, tmp_path: Path) -> None:
    first = packed(binaries, tmp_path / "first")
    assert set(first) == {f"{function}.zip" for function in FUNCTIONS}
    assert packed(binaries, tmp_path / "second") == first


def test_a_package_holds_what_was_built_last_whatever_its_time(
    binaries: Path, tmp_path: Path
) -> None:
    """A build for another architecture may be older than the package of this one."""
    before = packed(binaries, tmp_path / "out")
    (binaries / "load").write_bytes(b"another")
    time = (tmp_path / "out" / "load.zip").stat().st_mtime - 1000
    os.utime(binaries / "load", (time, time))
    after = packed(binaries, tmp_path / "out")
    assert {name for name in after if after[name] != before[name]} == {"load.zip"}
    with zipfile.ZipFile(tmp_path / "out" / "load.zip") as archive:
        assert archive.read("bootstrap") == b"another"


def test_a_package_that_is_right_is_left_alone(binaries: Path, tmp_path: Path) -> None:
    packed(binaries, tmp_path / "out")
    before = (tmp_path / "out" / "load.zip").stat().st_mtime_ns
    packed(binaries, tmp_path / "out")
    assert (tmp_path / "out" / "load.zip").stat().st_mtime_ns == before


def test_packages_say_what_they_are_built_from(tmp_path: Path) -> None:
    record(tmp_path, "arm64", COMMIT, COMMIT)
    written = json.loads((tmp_path / RECORD).read_text("utf-8"))
    assert written["rustc"].startswith("rustc ")
    assert (written["commit"], written["architecture"]) == ("0123456789ab", "arm64")
    check_commit(tmp_path, "arm64", COMMIT, strict=True)


@pytest.mark.parametrize("after", [COMMIT.marked(True), Commit("ba9876543210", 1_700_000_001)])
def test_files_that_changed_under_the_compiler_are_of_no_commit(
    tmp_path: Path, after: Commit
) -> None:
    record(tmp_path, "arm64", COMMIT, after)
    assert json.loads((tmp_path / RECORD).read_text("utf-8"))["commit"] == "0123456789ab-dirty"


def test_a_build_that_fails_leaves_no_packages_to_deploy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path, "arm64", COMMIT, COMMIT)

    def fail(*_: object) -> Path:
        raise SystemExit(1)

    monkeypatch.setattr(release, "OUT", tmp_path)
    monkeypatch.setattr(release, "build", fail)
    monkeypatch.setattr(sys, "argv", ["release", "arm64"])
    with pytest.raises(SystemExit):
        release.main()
    with pytest.raises(Refused, match=f"{RECORD} is missing"):
        check_commit(tmp_path, "arm64", COMMIT, strict=False)


def test_flags_of_the_shell_do_not_go_over_the_builds() -> None:
    flags = (
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
    )
    assert without_flags(
        {**dict.fromkeys(flags, "-g"), "PATH": "/bin", "CARGO_HOME": "/cargo"}
    ) == {"PATH": "/bin", "CARGO_HOME": "/cargo"}


def test_no_folder_of_this_machine_is_compiled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARGO_HOME", "/home/user/.cargo")
    monkeypatch.setenv("CARGO_TARGET_DIR", "/home/user/target")
    key, _, value = nameless_folders().partition("=")
    assert key == "build.rustflags"
    assert json.loads(value) == [
        "--remap-path-prefix=/home/user/.cargo=/cargo",
        "--remap-path-prefix=/home/user/target=/target",
    ]
