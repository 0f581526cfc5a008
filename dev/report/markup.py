"""HTML and SVG that are escaped by construction: a string is text, and only what `element` has made
is markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = {"meta", "link", "wbr", "line", "rect", "circle", "path"}


class Markup(str):
    """A string that is markup already."""


Child = str | Markup | None | Iterable["Child"]


def element(tag: str, attributes: dict[str, object] | None = None, *children: Child) -> Markup:
    """An element; children that are None are left out, attributes that are None or False as well."""
    named = "".join(_attribute(name, value) for name, value in (attributes or {}).items())
    inside = _join(children)
    if not inside and tag in _VOID:
        return Markup(f"<{tag}{named}>" if tag in ("meta", "link", "wbr") else f"<{tag}{named}/>")
    return Markup(f"<{tag}{named}>{inside}</{tag}>")


def text(value: str) -> str:
    """Text as it may stand in a document: what no HTML document may contain (control characters) is
    made visible.
    """
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for character in value
    )


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(text(str(value)))}"'


def _join(children: Iterable[Child]) -> str:
    parts = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(text(child)))
        else:
            parts.append(_join(child))
    return "".join(parts)
