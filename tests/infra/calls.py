"""What the Rust sources ask AWS for: every call of an operation of an AWS SDK, by package, from the sources themselves."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pipeline.package import ROOT

# The SDK's clients have a method without arguments for each operation: `.get_object()`.
CALL = re.compile(r"\.\s*([a-z][a-z0-9_]*)\(\)")
TESTS = re.compile(r"^\s*#\[cfg\(test\)\]\s*(pub(\(crate\))? )?mod \w+ \{", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """A package of the workspace."""

    name: str
    folder: Path
    calls: frozenset[str]
    """Operations that its own sources call, such as `s3.get_object`."""
    dependencies: frozenset[str]
    """Packages of the workspace that it links, directly."""
    runs: bool
    """Whether it is a program that is deployed."""


def packages() -> dict[str, Package]:
    """The workspace's packages, by name."""
    metadata = json.loads(
        subprocess.run(["cargo", "metadata", "--format-version=1", "--locked"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    )
    operations = {
        package["name"]: _operations(Path(package["manifest_path"]).parent)
        for package in metadata["packages"]
        if package["name"].startswith("aws-sdk-")
    }
    members = set(metadata["workspace_members"])
    workspace = [package for package in metadata["packages"] if package["id"] in members]
    names = {package["name"] for package in workspace}
    return {package["name"]: _package(package, names, operations) for package in workspace}


def reachable(package: str, among: dict[str, Package]) -> set[str]:
    """Operations that a package or anything it links could call."""
    seen: set[str] = set()
    waiting = [package]
    while waiting:
        if (name := waiting.pop()) not in seen:
            seen.add(name)
            waiting += among[name].dependencies
    return set().union(*(among[name].calls for name in seen))


def calls_in(source: str, operations: dict[str, frozenset[str]]) -> set[str]:
    """The operations that a source file calls, its tests apart."""
    if tests := TESTS.search(source):
        source = source[: tests.start()]
    code = "\n".join(line.partition("//")[0] for line in source.splitlines())
    called = set(CALL.findall(code))
    return {f"{sdk.removeprefix('aws-sdk-')}.{operation}" for sdk, known in operations.items() for operation in known & called}


def _package(package: dict[str, Any], names: set[str], operations: dict[str, frozenset[str]]) -> Package:
    folder = Path(package["manifest_path"]).parent
    linked = {each["name"] for each in package["dependencies"] if each["kind"] is None}
    usable = {sdk: known for sdk, known in operations.items() if sdk in linked}
    sources = [path for path in (folder / "src").rglob("*.rs") if path.name not in ("tests.rs", "testing.rs")]
    return Package(
        name=package["name"],
        folder=folder,
        calls=frozenset[str]().union(*(calls_in(path.read_text("utf-8"), usable) for path in sources)),
        dependencies=frozenset(linked & names),
        runs=folder.parent.name in ("functions", "connectors") and any("bin" in target["kind"] for target in package["targets"]),
    )


def _operations(sdk: Path) -> frozenset[str]:
    """An SDK's operations: it has a module for each."""
    return frozenset(path.stem for path in (sdk / "src" / "operation").glob("*.rs"))
