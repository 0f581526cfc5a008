"""Who has called which operation of AWS: each different call once, in a file that a test can hold
against what is declared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

CALLS = Path("logs", "calls.ndjson")
"""Where the file is in a cloud's state folder."""


class Call(NamedTuple):
    """What a caller asked for, however often."""

    caller: str
    """The id of the application in the User-Agent, which the SDKs take from AWS_SDK_UA_APP_ID; for a function its name."""
    operation: str
    """As the SDK for Rust has it: `s3.get_object`."""
    folder: str | None = None
    """The first segment of an object's key, or of the prefix of a listing; of S3 only."""


def read(file: Path) -> set[Call]:
    """All calls that a file has."""
    return (
        {Call(*json.loads(line)) for line in file.read_text("utf-8").splitlines()}
        if file.exists()
        else set()
    )
