"""S3 keys of delivered objects: evaluates `!{...}` expressions of custom prefixes like Firehose.

https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

_EXPRESSION = re.compile(r"!\{([^:}]*):([^}]*)\}")
_JAVA_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+")
_JAVA_FIELDS: dict[str, Callable[[datetime], str]] = {
    "yyyy": lambda at: f"{at:%Y}",
    "uuuu": lambda at: f"{at:%Y}",
    "YYYY": lambda at: f"{at:%G}",
    "yy": lambda at: f"{at:%y}",
    "MM": lambda at: f"{at:%m}",
    "M": lambda at: str(at.month),
    "dd": lambda at: f"{at:%d}",
    "d": lambda at: str(at.day),
    "DDD": lambda at: f"{at:%j}",
    "HH": lambda at: f"{at:%H}",
    "H": lambda at: str(at.hour),
    "mm": lambda at: f"{at:%M}",
    "m": lambda at: str(at.minute),
    "ss": lambda at: f"{at:%S}",
    "s": lambda at: str(at.second),
    "SSS": lambda at: f"{at.microsecond // 1000:03}",
}
"""The fields of Java's DateTimeFormatter that are useful in a key."""


class PrefixError(ValueError):
    """A prefix that Firehose rejects, or that the local cloud does not support."""


def evaluate(prefix: str, at: datetime, error_type: str | None = None) -> str:
    """Evaluates a prefix at a time. Only ErrorOutputPrefix may use `error_type`."""

    def value(match: re.Match[str]) -> str:
        match match.group(1), match.group(2):
            case "timestamp", pattern:
                return _java_time(pattern, at)
            case "firehose", "random-string":
                return secrets.token_urlsafe(9)[:11].replace("-", "A").replace("_", "B")
            case "firehose", "error-output-type":
                if error_type is None:
                    raise PrefixError(
                        "expected !{firehose:error-output-type} in ErrorOutputPrefix only,"
                        f" got it in {prefix!r}"
                    )
                return error_type
            case "partitionKeyFromQuery" | "partitionKeyFromLambda", _:
                raise PrefixError(
                    "dynamic partitioning is not available in the local cloud:"
                    f" {match.group(0)} in {prefix!r}"
                )
        raise PrefixError(
            f"expected !{{timestamp:...}} or !{{firehose:...}}, got {match.group(0)} in {prefix!r}"
        )

    evaluated = _EXPRESSION.sub(value, prefix)
    if "!{" in evaluated:
        raise PrefixError(f"an expression is not closed in {prefix!r}")
    return evaluated


def object_key(prefix: str, stream: str, version: str, at: datetime, extension: str) -> str:
    """Returns `<prefix><stream>-<version>-<time>-<uuid><extension>`, with a folder of the hour if
    the prefix has no time.
    """
    hour = "" if "!{timestamp:" in prefix else f"{at:%Y/%m/%d/%H}/"
    name = f"{stream}-{version}-{at:%Y-%m-%d-%H-%M-%S}-{uuid4()}{extension}"
    return f"{evaluate(prefix, at)}{hour}{name}"


def _java_time(pattern: str, at: datetime) -> str:
    parts, position = [], 0
    for token in _JAVA_TOKEN.finditer(pattern):
        if token.start() != position:
            break
        position = token.end()
        text = token.group(0)
        if token.group(1) is not None:
            parts.append(token.group(1).replace("''", "'") or "'")
        elif token.group(2) is None:
            parts.append(text)
        elif text in _JAVA_FIELDS:
            parts.append(_JAVA_FIELDS[text](at))
        else:
            raise PrefixError(
                f"{text!r} is not available in the time pattern {pattern!r}:"
                f" expected one of {', '.join(_JAVA_FIELDS)}"
            )
    if position != len(pattern):
        raise PrefixError(f"a quotation mark is not closed in the time pattern {pattern!r}")
    return "".join(parts)
