"""The functions of Rust sources, from their text: what each is called, what it belongs to, and what
it calls.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

# Comments, strings and characters, in which nothing is called. A lifetime is no character.
NOISE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(?P<fence>#*)".*?"(?P=fence)|b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'""",
    re.DOTALL,
)
TEST_ITEM = re.compile(
    r"#\[cfg\((?:test|any\(test[^)]*\))\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?(?:mod|fn|impl|use|struct|async fn)\b"
)
TEST_MODULE = re.compile(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?mod (\w+);")
BLOCK = re.compile(r"\b(?P<kind>impl|trait)\b(?P<head>[^;{}]*)\{")
FUNCTION = re.compile(r"\b(?P<is_async>async\s+)?fn\s+(?P<name>\w+)\b")

METHOD_CALL = re.compile(
    r"(?:(?P<receiver>\w+)\s*(?:\.\s*(?:as_ref|as_mut|clone)\(\)\s*)?)?\.\s*(?P<name>[a-z_]\w*)\s*(?:::<[^()]*>)?\("
)
PATH = re.compile(r"\b(?P<owner>[A-Z]\w*)(?:::<[^()]*?>)?::(?P<name>[a-z_]\w*)")
WORD = re.compile(r"(?<![.\w])[a-z_]\w*")
DECLARATION = re.compile(
    r"\b(?P<name>[a-z_]\w*)\s*:\s*(?!:)(?P<type>[^,;=(){}]*(?:\([^()]*\))?[^,;=(){}]*)"
)
BOUND = re.compile(r"\b(?P<name>[A-Z])\s*:\s*(?P<type>[^,>{]+)")


@dataclass(frozen=True)
class Call:
    """A call of a method: on what, if that has a name, and whether what it gives is awaited.

    It is awaited as well where it is the last argument of a call that is: `within(time,
    a.b()).await`.
    """

    receiver: str
    name: str
    is_awaited: bool


@dataclass(frozen=True)
class Function:
    """A function or method with a body."""

    package: str
    owner: str
    """The type that it is a method of, or the trait that gives it by default; empty for neither."""
    trait: str
    name: str
    is_async: bool
    body: str = field(repr=False)

    @cached_property
    def calls(self) -> frozenset[Call]:
        """The methods that it calls."""
        return frozenset(
            Call(
                found["receiver"] or "",
                found["name"],
                bool(
                    re.match(r"[\s,)]*\.await\b", self.body[_closed(self.body, found.end() - 1) :])
                ),
            )
            for found in METHOD_CALL.finditer(self.body)
        )

    @cached_property
    def paths(self) -> set[tuple[str, str]]:
        """What it names of a type or trait: `S3Store::new`."""
        return {(found["owner"], found["name"]) for found in PATH.finditer(self.body)}

    @cached_property
    def words(self) -> set[str]:
        """The names that could be of free functions."""
        return set(WORD.findall(self.body))


@dataclass
class Source:
    """What is read of a package: its functions, and of which types the things are that have names."""

    functions: list[Function] = field(default_factory=list)
    types: dict[str, set[str]] = field(default_factory=dict)


def read(package: str, folder: Path) -> Source:
    """A package's sources, its tests apart."""
    paths = sorted((folder / "src").rglob("*.rs"))
    tests = {
        path.parent / f"{name}.rs"
        for path in paths
        for name in TEST_MODULE.findall(path.read_text("utf-8"))
    }
    source = Source()
    for path in paths:
        if path not in tests:
            read_text(package, path.read_text("utf-8"), source)
    return source


def read_text(package: str, text: str, source: Source) -> None:
    """Adds what a file holds."""
    code = without_tests(NOISE.sub(lambda noise: '""' if '"' in noise.group() else " ", text))
    # `(**self).put()` of an `impl Trait for Arc<T>` is of the same trait.
    code = re.sub(r"\(\*+self\)", "self", code)
    bounds: dict[str, set[str]] = {}
    for bound in BOUND.finditer(code):
        bounds.setdefault(bound["name"], set()).update(re.findall(r"[A-Z]\w*", bound["type"]))
    for declared in DECLARATION.finditer(code):
        names = set(re.findall(r"\b[A-Z]\w*", declared["type"]))
        source.types.setdefault(declared["name"], set()).update(
            names, *(bounds.get(name, ()) for name in names)
        )
    blocks = [
        (found.start(), _closed(code, found.end() - 1), *_owner(found["kind"], found["head"]))
        for found in BLOCK.finditer(code)
    ]
    for found in FUNCTION.finditer(code):
        opening = re.compile(r"[{;]").search(code, _closed(code, code.index("(", found.end())))
        if opening and opening.group() == "{":
            inside = [
                (end - start, owner, trait)
                for start, end, owner, trait in blocks
                if start < found.start() < end
            ]
            _, owner, trait = min(inside, default=(0, "", ""))
            body = code[opening.start() : _closed(code, opening.start())]
            source.functions.append(
                Function(package, owner, trait, found["name"], bool(found["is_async"]), body)
            )


def without_tests(code: str) -> str:
    """A file without what only its tests have."""
    while found := TEST_ITEM.search(code):
        end = re.compile(r"[{;]").search(code, found.end())
        assert end, f"what begins with {found.group()} has no end"
        code = (
            code[: found.start()]
            + code[_closed(code, end.start()) if end.group() == "{" else end.end() :]
        )
    return code


def _owner(kind: str, head: str) -> tuple[str, str]:
    """The type and the trait of `impl<S: Store> Trait for Type<S>`, or of `trait Trait: Send`."""
    head = re.sub(r"\bwhere\b.*", "", head, flags=re.DOTALL)
    if kind == "trait":
        name = re.search(r"\w+", head)
        return (name.group(), name.group()) if name else ("", "")
    while (shorter := re.sub(r"<[^<>]*>", "", head)) != head:
        head = shorter
    trait, is_for, owner = head.rpartition(" for ")
    names = [re.findall(r"\w+", part) for part in (owner, trait if is_for else "")]
    return names[0][-1] if names[0] else "", names[1][-1] if names[1] else ""


def _closed(code: str, opening: int) -> int:
    """Where what opens with a bracket has ended."""
    depth = 0
    for position in range(opening, len(code)):
        if code[position] in "({[":
            depth += 1
        elif code[position] in ")}]":
            depth -= 1
            if depth == 0:
                return position + 1
    return len(code)
