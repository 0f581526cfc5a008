"""Finds terms of dev/words.toml and lines wider than 100 columns in the tracked files.

    python -m dev.words [path ...]

Prints `file:line: term -> what to use` for each finding and ends with 1 if there are any.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 100
MEASURED = (".rs", ".py", ".sql", ".md", ".yml", ".cjs")
"""Endings of the files whose lines are measured."""
MEASURED_COMMENTS = (".tf", ".tfvars", ".tftest.hcl")
"""Endings of the files whose comments alone are measured: Terraform cannot break a string."""
UNREAD = (
    "CHANGELOG.md",
    "LICENSE",
    "dev/words.toml",
    # Released migrations never change, and a comment in one is one literal.
    "glue-sql/warehouse/*.sql",
    "*.lock",
    "*.lock.hcl",
    "*-lock.json",
    "*requirements.txt",
    "*.snap",
    "*.csv",
    "*/fixtures/*",
)
"""Files that are generated, or data, or that list the terms, or must not change."""
LINK = re.compile(r"https?://\S+|\]\([^)\s]+\)")


@dataclass(frozen=True)
class Terms:
    """The terms, as patterns with their replacements, and the words that a file may have."""

    patterns: Sequence[tuple[re.Pattern[str], str]]
    exceptions: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Terms:
        """Reads a file such as dev/words.toml."""
        sections = tomllib.loads(path.read_text("utf-8"))
        exceptions = sections.pop("exceptions", {})
        patterns = [
            (_pattern(term), replacement)
            for section in sections.values()
            for term, replacement in section.items()
        ]
        return cls(patterns, exceptions)

    def findings(self, name: str, lines: Iterable[str]) -> Iterator[str]:
        """Yields the findings of one file."""
        allowed = {
            word for path in self.exceptions if path == name for word in self.exceptions[path]
        }
        for number, line in enumerate(lines, start=1):
            for pattern, replacement in self.patterns:
                for found in pattern.findall(line):
                    if found not in allowed:
                        yield f"{name}:{number}: {found} -> {replacement}"
            is_measured = name.endswith(MEASURED) or (
                name.endswith(MEASURED_COMMENTS) and line.lstrip().startswith("#")
            )
            if is_measured and is_too_wide(name, line):
                yield f"{name}:{number}: {len(line)} columns -> at most {WIDTH}"


def _pattern(term: str) -> re.Pattern[str]:
    # An escape such as \w is not a capital letter.
    is_lower = not re.search(r"[A-Z]", re.sub(r"\\.", "", term))
    return re.compile(
        rf"(?<![A-Za-z0-9])(?:{term})(?![A-Za-z0-9])", re.IGNORECASE if is_lower else 0
    )


def is_too_wide(name: str, line: str) -> bool:
    """Returns whether a line is too wide. Tables, links and unbreakable words may be wider."""
    if len(line) <= WIDTH or (name.endswith(".md") and line.lstrip().startswith("|")):
        return False
    if len(LINK.sub("", line)) <= WIDTH:
        return False
    indent = len(line) - len(line.lstrip())
    longest = max(map(len, LINK.sub("", line).split()))
    return indent + longest <= WIDTH - 20


def tracked(paths: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields the name and the lines of each tracked text file that is checked."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *paths], cwd=ROOT, check=True, capture_output=True
    )
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if not name or not path.is_file() or any(fnmatchcase(name, each) for each in UNREAD):
            continue
        try:
            yield name, path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue


def main(paths: Sequence[str]) -> int:
    """Prints the findings in the given paths, or in all tracked files."""
    terms = Terms.read(Path(__file__).with_suffix(".toml"))
    findings = [text for name, lines in tracked(paths) for text in terms.findings(name, lines)]
    for text in findings:
        print(text)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
