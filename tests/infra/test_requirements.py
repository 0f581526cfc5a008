"""Python packages are installed by version and checksum."""

from __future__ import annotations

import re

import pytest

from dev.hashes import FILES, hashes, pins, written
from dev.package import ROOT


@pytest.mark.parametrize("name", FILES)
def test_every_package_is_pinned_with_checksums(name: str) -> None:
    found = pins(ROOT / name)
    assert found and [package for package, checksums in found.items() if checksums == 0] == []
    unpinned = [
        line
        for line in (ROOT / name).read_text("utf-8").splitlines()
        if line.strip() and not line.startswith(("#", "    --hash=sha256:")) and "==" not in line
    ]
    assert unpinned == []


def test_every_requirements_file_is_checked() -> None:
    there = {
        str(path.relative_to(ROOT))
        for folder in ("dev", "tests")
        for path in (ROOT / folder).rglob("*requirements*.txt")
    }
    assert there == set(FILES)


def unchecked(source: str) -> list[str]:
    """Returns the commands that install packages without checksums."""
    return [
        line.strip()
        for line in source.splitlines()
        if re.search(r'"-r"', line) and "--require-hashes" not in line
    ]


@pytest.mark.parametrize("name", ["dev/localstack/bootstrap.py", "dev/tools.py"])
def test_installs_require_checksums(name: str) -> None:
    source = (ROOT / name).read_text("utf-8")
    assert '"-r"' in source and unchecked(source) == []
    assert re.search(r'f?"[\w-]+=={', source) is None, "a version in the code has no checksum"


def test_install_without_checksums_is_detected() -> None:
    assert unchecked(
        'run([*pip, "-r", requirements])\nrun([*pip, "--require-hashes", "-r", requirements])'
    ) == ['run([*pip, "-r", requirements])']


def test_update_replaces_checksums_and_keeps_comments() -> None:
    one, two, old = ("sha256:" + digit * 64 for digit in "120")
    compiled = (
        f"some-name==1 \\\n    --hash={two} \\\n    --hash={one}\n"
        f"other==2 ; python_version < '4' \\\n    --hash={one}\n"
    )
    file = f"# why\nSome.Name[extra]==1 \\\n    --hash={old}\n\nother==2; python_version < '4'\n"
    assert written(file, hashes(compiled)) == (
        f"# why\nSome.Name[extra]==1 \\\n    --hash={one} \\\n    --hash={two}\n\nother==2; "
        f"python_version < '4' \\\n    --hash={one}\n"
    )
    assert written(written(file, hashes(compiled)), hashes(compiled)) == written(
        file, hashes(compiled)
    )
