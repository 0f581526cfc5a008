"""`make words` finds private terms and wide lines, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.words import Terms, is_too_wide

TERMS = """
[prose]
"(?:big|small)box" = "case"
[names]
"Gadgets" = "Tools"
[exceptions]
"a.py" = ["bigbox"]
"""


@pytest.fixture
def terms(tmp_path: Path) -> Terms:
    file = tmp_path / "words.toml"
    file.write_text(TERMS)
    return Terms.read(file)


@pytest.mark.parametrize(
    ("name", "line", "found"),
    [
        ("b.py", "Smallbox waits", ["b.py:1: Smallbox -> case"]),
        ("b.rs", "fn of_bigbox() {}", ["b.rs:1: bigbox -> case"]),
        ("a.py", "runs as bigbox", []),
        ("b.py", "bigboxes", []),
        ("b.rs", "Gadgets, gadgets", ["b.rs:1: Gadgets -> Tools"]),
        ("b.rs", "StateGadgets", []),
    ],
)
def test_a_term_is_found_as_a_word(terms: Terms, name: str, line: str, found: list[str]) -> None:
    assert list(terms.findings(name, [line])) == found


WIDE = "word " * 25


@pytest.mark.parametrize(
    ("name", "line", "wide"),
    [
        ("a.md", WIDE, True),
        ("a.md", f"| {WIDE} |", False),
        ("a.py", f"    # {WIDE}", True),
        ("a.py", "#" * 101, False),
        ("a.md", f"see https://example.com/{'x' * 90}", False),
        ("a.md", f"{WIDE} https://example.com/{'x' * 90}", True),
        ("a.py", "word " * 20, False),
    ],
)
def test_tables_links_and_long_words_may_be_wide(name: str, line: str, wide: bool) -> None:
    assert is_too_wide(name, line) is wide


def test_a_wide_line_is_reported_with_its_columns(terms: Terms) -> None:
    assert list(terms.findings("b.py", ["", WIDE])) == ["b.py:2: 125 columns -> at most 100"]
    assert list(terms.findings("b.json", [WIDE])) == []
