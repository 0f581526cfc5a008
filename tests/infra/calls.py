"""What the Rust sources ask AWS for: every operation of an AWS SDK that a program can come to from
its `main`, from the sources.

The way there is followed by name, as no types are known but those that the sources write: a call of
a method leads to the methods of that name, of the type or trait that its receiver was declared
with, if it was. Of what talks to AWS only the types count that the way names, which is where they
are made. So the answer may be too large, and then says so by a call that nobody lists, but it does
not pass over what is written as a call.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.package import ROOT

from .rust import Call, Function, Source, read

# The SDK's clients have a method without arguments for each operation: `.get_object()`.
OPERATION = re.compile(r"\.\s*([a-z][a-z0-9_]*)\(\)")


@dataclass(frozen=True)
class Package:
    """A package of the workspace."""

    name: str
    source: Source
    operations: dict[str, frozenset[str]]
    """Operations of the SDKs that it links."""
    dependencies: frozenset[str]
    """Packages of the workspace that it links, directly."""
    runs: bool
    """Whether it is a program that is deployed."""

    @property
    def calls(self) -> set[str]:
        """Operations that its own sources call, such as `s3.get_object`."""
        return set().union(
            *(calls_in(function, self.operations) for function in self.source.functions)
        )


def packages() -> dict[str, Package]:
    """The workspace's packages, by name."""
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--format-version=1", "--locked"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
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


def calls_in(function: Function, operations: dict[str, frozenset[str]]) -> set[str]:
    """The operations that a function calls itself."""
    called = set(OPERATION.findall(function.body))
    return {
        f"{sdk.removeprefix('aws-sdk-')}.{operation}"
        for sdk, known in operations.items()
        for operation in known & called
    }


def reachable(program: str, among: dict[str, Package]) -> set[str]:
    """The operations that a program can come to from its `main`."""
    return Way(_linked(program, among)).walk(program)


class Way:
    """Where a program can come to, through everything that it links."""

    def __init__(self, linked: dict[str, Package]) -> None:
        self._linked = linked
        self._functions = [
            function for package in linked.values() for function in package.source.functions
        ]
        # What has to be named before it counts: a memory or a table of the same methods is no way
        # to AWS.
        self._adapters = {
            function.owner
            for function in self._functions
            if function.owner and self._asks(function)
        }
        self._owners = {
            name
            for function in self._functions
            for name in (function.owner, function.trait)
            if name
        }
        self._named: set[str] = set()

    def walk(self, program: str) -> set[str]:
        """The operations on the way."""
        seen = {
            function
            for function in self._functions
            if function.package == program and (function.owner, function.name) == ("", "main")
        }
        before = -1
        while before != len(seen) + len(self._named):
            before = len(seen) + len(self._named)
            for function in list(seen):
                self._named |= self._adapters & set(re.findall(r"\b[A-Z]\w*", function.body))
                seen |= set(self._next(function))
        return set().union(*(self._asks(function) for function in seen))

    def _asks(self, function: Function) -> set[str]:
        return calls_in(function, self._linked[function.package].operations)

    def _next(self, function: Function) -> Iterator[Function]:
        words, paths, calls = function.words, function.paths, function.calls
        for each in self._functions:
            if not each.owner:
                if each.name in words:
                    yield each
            elif each.owner not in self._adapters or each.owner in self._named:
                of = {each.owner, each.trait}
                if any(
                    name == each.name and self._may_be(owner, function, of) for owner, name in paths
                ) or any(
                    call.name == each.name and self._leads(call, function, each, of)
                    for call in calls
                ):
                    yield each

    def _may_be(self, owner: str, function: Function, of: set[str]) -> bool:
        """Whether `Owner::` means one of some types: a parameter of one letter may be any."""
        return (
            function.owner in of
            if owner == "Self"
            else owner in of or (owner not in self._owners and len(owner) == 1)
        )

    def _leads(self, call: Call, function: Function, to: Function, of: set[str]) -> bool:
        if call.receiver == "self":
            return function.owner in of or function.trait in of
        declared = (
            self._linked[function.package].source.types.get(call.receiver, set()) & self._owners
        )
        if declared:
            return bool(declared & of)
        # What is not awaited is a table's, say, unless it is kept to be awaited, and then its
        # receiver is declared.
        return call.is_awaited or not to.is_async


def _linked(program: str, among: dict[str, Package]) -> dict[str, Package]:
    """The program and everything of the workspace that it links."""
    found: dict[str, Package] = {}
    waiting = [program]
    while waiting:
        if (name := waiting.pop()) not in found:
            found[name] = among[name]
            waiting += among[name].dependencies
    return found


def _package(
    package: dict[str, Any], names: set[str], operations: dict[str, frozenset[str]]
) -> Package:
    folder = Path(package["manifest_path"]).parent
    linked = {each["name"] for each in package["dependencies"] if each["kind"] is None}
    return Package(
        name=package["name"],
        source=read(package["name"], folder),
        operations={sdk: known for sdk, known in operations.items() if sdk in linked},
        dependencies=frozenset(linked & names),
        runs=folder.parent.name in ("functions", "connectors")
        and any("bin" in target["kind"] for target in package["targets"]),
    )


def _operations(sdk: Path) -> frozenset[str]:
    """An SDK's operations: it has a module for each."""
    return frozenset(path.stem for path in (sdk / "src" / "operation").glob("*.rs"))
