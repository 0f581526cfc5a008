"""Values as people read them. A value that is not known is a dash, never a zero."""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

from .model import Number, Unit, Value

DASH = "–"
_SUFFIX = {
    "percent": " %",
    "seconds": " s",
    "hours": " h",
    "days": " d",
    "rating": " / 5",
    "ratio": " ×",
}
_PLACES = {
    "count": 0,
    "amount": 2,
    "money": 2,
    "percent": 1,
    "seconds": 1,
    "hours": 1,
    "days": 1,
    "rating": 2,
    "score": 1,
    "ratio": 2,
}


def show(value: Value, unit: Unit) -> str:
    """A value with its unit."""
    if value is None:
        return DASH
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, date | str):
        return str(value)
    if unit.kind == "text":
        return str(value)
    exact = Decimal(str(value)) * (100 if unit.kind == "percent" else 1)
    places = _PLACES[unit.kind]
    rounded = (
        exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP) + 0
    )  # no minus sign before a zero
    number = f"{rounded:,.{places}f}".replace("-", "−")
    return (
        f"{number} {unit.currency}" if unit.kind == "money" else number + _SUFFIX.get(unit.kind, "")
    )


def exact(value: Value) -> str:
    """A value as a machine reads it, with all its digits; empty where it is not known."""
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def is_number(unit: Unit) -> bool:
    """Whether values of this unit stand right-aligned."""
    return unit.kind not in ("text", "day", "moment")


def brief(value: Number, unit: Unit) -> str:
    """A tick of an axis: 1.5k rather than 1,500.00 EUR."""
    number = float(value) * (100 if unit.kind == "percent" else 1)
    for size, letter in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}".replace("-", "−")
    return f"{number:.3g}".replace("-", "−") + (" %" if unit.kind == "percent" else "")
