"""What `make demo` needs of a demo that runs already."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.demo import known_shop
from dev.errors import CommandError


def test_a_running_demo_without_its_secret_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "demo.env"
    for text in (None, "API_URL=http://127.0.0.1\n"):
        if text:
            file.write_text(text)
        with pytest.raises(CommandError, match="no WEBHOOK_SECRET; stop the demo with `make down`"):
            known_shop(file)
    file.write_text("WEBHOOK_SECRET=whsec_MfKQ==\n")
    assert known_shop(file).webhook_secret == "whsec_MfKQ=="
