"""Records which caller uses which operation of AWS: each different call once, in a file that a
test compares with the declared permissions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

CALLS = Path("logs", "calls.ndjson")
"""The file's place in a cloud's state folder."""


class Call(NamedTuple):
    """An operation that a caller uses."""

    caller: str
    """The application's id in the User-Agent, from AWS_SDK_UA_APP_ID; a function's name."""
    operation: str
    """The name in the SDK for Rust, such as `s3.get_object`."""
    folder: str | None = None
    """S3 only: the first segment of the object's key or of the listing's prefix."""


def read(file: Path) -> set[Call]:
    """Returns the calls in a file."""
    return (
        {Call(*json.loads(line)) for line in file.read_text("utf-8").splitlines()}
        if file.exists()
        else set()
    )
