"""What operators' actions send to the control function, and what they print."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dev.http_stub import Stub, serve
from dev.paths import ROOT, target_dir


@dataclass
class Control:
    """A control function in a local cloud of its own."""

    target: Path
    answer: Any = None
    fails: bool = False
    requests: list[Any] = field(default_factory=list)

    def shoplake(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs the operators' program."""
        return subprocess.run(
            [target_dir() / "debug" / "shoplake", *words, "--target", self.target],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    """Answers invocations of the function `control-of-tests`."""
    function = Control(tmp_path / "target.json")

    class Handler(Stub):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            assert self.path == "/2015-03-31/functions/control-of-tests/invocations"
            function.requests.append(json.loads(self.body()))
            failed = {"x-amz-function-error": "Unhandled"} if function.fails else {}
            self.answer(200, json.dumps(function.answer).encode(), failed)

    outputs = {"functions": {"control": "control-of-tests"}}
    with serve(Handler) as endpoint:
        function.target.write_text(json.dumps({"endpoint": endpoint, "outputs": outputs}))
        yield function


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (("shop", "add", "acme"), {"action": "add_shop", "shop_id": "acme"}),
        (("shop", "rotate", "acme"), {"action": "rotate_secret", "shop_id": "acme"}),
        (("shop", "sync"), {"action": "sync_shops"}),
        (
            ("backfill", "open", "acme", "--name", "history", "--until", "2026-12-01T00:00:00Z"),
            {
                "action": "open_backfill",
                "shop_id": "acme",
                "name": "history",
                "until": "2026-12-01T00:00:00Z",
            },
        ),
        (("backfill", "close", "acme"), {"action": "close_backfill", "shop_id": "acme"}),
        (
            ("backfill", "run", "m", "--from", "2026-11-01", "--to", "2026-11-02"),
            {"action": "backfill", "model": "m", "from": "2026-11-01", "to": "2026-11-02"},
        ),
        (
            ("reload", "m", "--from", "2026-11-01", "--to", "2026-11-02"),
            {"action": "reload", "model": "m", "from": "2026-11-01", "to": "2026-11-02"},
        ),
        (("reference", "get", "weights"), {"action": "get_reference", "table": "weights"}),
    ],
)
def test_an_action_is_one_request(
    control: Control, words: tuple[str, ...], request_: dict[str, Any]
) -> None:
    control.answer = {"done": True}
    done = control.shoplake(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert control.requests == [request_]
    assert json.loads(done.stdout) == control.answer


def test_a_redrive_prints_what_it_asked_and_what_was_moved(control: Control) -> None:
    control.answer = {"moved": 2}
    done = control.shoplake("redrive")
    assert [request["queue"] for request in control.requests] == ["streams", "dirty"]
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert printed == [{"moved": 2, "queue": "streams"}, {"moved": 2, "queue": "dirty"}]


def test_a_reference_table_is_read_and_set_as_csv(control: Control, tmp_path: Path) -> None:
    rows = "activity,weight\nvisit,1.5\n"
    control.answer = {
        "table": "weights",
        "description": "d",
        "key": ["activity"],
        "columns": {"activity": "string"},
        "edited_at": None,
        "csv": rows,
    }
    assert control.shoplake("reference", "get", "weights", "--csv").stdout == rows
    file = tmp_path / "weights.csv"
    file.write_text(rows)
    control.shoplake("reference", "set", "weights", str(file))
    assert control.requests[-1] == {"action": "set_reference", "table": "weights", "csv": rows}


def test_a_rejected_request_is_a_message(control: Control) -> None:
    control.fails, control.answer = True, {"errorMessage": "shop acme already has a secret"}
    done = control.shoplake("shop", "add", "acme")
    assert (done.returncode, done.stdout) == (1, "")
    expected = "error: control-of-tests rejected the request: shop acme already has a secret\n"
    assert done.stderr == expected


def test_a_reader_that_leaves_ends_a_command_in_silence(control: Control) -> None:
    rows = "".join(f"row,{number}\n" for number in range(100_000))
    control.answer = {
        "table": "weights",
        "description": "d",
        "key": ["activity"],
        "columns": {"activity": "string"},
        "edited_at": None,
        "csv": rows,
    }
    program = f"{target_dir()}/debug/shoplake reference get weights --csv"
    done = subprocess.run(
        ["bash", "-c", f"{program} --target {control.target} | head -1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("row,0\n", "")
