"""Runs the Python of a make target and turns a failure into a message.

    python -m dev.command dev.demo [arguments ...]
    python -m dev.command dev/localstack/bootstrap.py [arguments ...]

An expected failure prints `error: <what is wrong, where, what to do>`. An unexpected failure is a
defect: its traceback goes to a file in .local/logs/. This module imports only the standard library,
because it also runs before any package is installed.
"""

from __future__ import annotations

import errno
import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from .errors import CommandError

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / ".local" / "logs"
START_DEMO = "start the demo with `make demo`"
INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended, as in a shell."""
LAST_LINES = 20
"""Lines of a failed program's output that the message includes."""
INSTALL = {
    "cargo": "install Rust (https://rustup.rs)",
    "rustc": "install Rust (https://rustup.rs)",
    "terraform": "install Terraform (https://developer.hashicorp.com/terraform/install)",
    "git": "install git",
    "aws": "install the AWS CLI (https://aws.amazon.com/cli)",
}
"""How to install each program that may be missing."""


def guard(run: Callable[[], int | None], name: str, logs: Path = LOGS) -> int:
    """Runs a command, reports its failure, and returns the exit code."""
    try:
        return run() or 0
    except SystemExit as ended:
        return _exit_code(ended)
    except KeyboardInterrupt:
        _say(f"{name} was interrupted; it is safe to run it again")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has ended. Python would fail again when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        message = explain(error)
        if message is None:
            message = _unexpected(error, name, logs)
        _say(f"error: {message}")
        return 1


def explain(error: BaseException) -> str | None:
    """Returns the message of a failure that the user can act on; None for a defect."""
    if isinstance(error, CommandError) or type(error).__name__ in ("CloudError", "BootstrapError"):
        return str(error)
    if isinstance(error, subprocess.CalledProcessError):
        return _failed_program(error)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith(
        ("dev", "tests")
    ):
        return f"the Python package {error.name} is missing in {sys.prefix}: run `make setup`"
    family = {f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__}
    if "botocore.exceptions.BotoCoreError" in family or "botocore.exceptions.ClientError" in family:
        return _aws(error, family)
    if "psycopg.Error" in family:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"the warehouse does not answer as expected: {first}; {START_DEMO}"
    if isinstance(error, TimeoutError):
        what = error or "a request took too long"
        return f"{what}; see .local/demo/logs, run `make redrive`, then try again"
    if isinstance(error, OSError):
        return _operating_system(error)
    return None


def _aws(error: BaseException, family: set[str]) -> str:
    unreachable = {
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "ReadTimeoutError",
    }
    if unreachable & {kind.rpartition(".")[2] for kind in family}:
        return f"AWS does not answer: {error}; {START_DEMO}, or check the network"
    if "botocore.exceptions.ClientError" in family:
        return f"AWS refused the request: {error}; check permissions and the resource's name"
    return f"AWS: {error}; `aws sts get-caller-identity` must answer first"


def _failed_program(error: subprocess.CalledProcessError) -> str:
    words = [error.cmd] if isinstance(error.cmd, (str, Path)) else error.cmd
    command = " ".join(str(word) for word in words[:3])
    output = error.stderr or error.output
    if not output:
        return f"{command} ended with {error.returncode}: see its output above"
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
    return f"{command} ended with {error.returncode}:\n" + "\n".join(
        text.strip().splitlines()[-LAST_LINES:]
    )


def _operating_system(error: OSError) -> str | None:
    if isinstance(error, ConnectionError):
        return f"the connection failed: {error}; {START_DEMO} if it is not running"
    name = (
        error.filename.decode(errors="replace")
        if isinstance(error.filename, bytes)
        else str(error.filename or "")
    )
    if isinstance(error, FileNotFoundError) and name in INSTALL:
        return f"the program {name} is not on the PATH: {INSTALL[name]}"
    if error.errno == errno.ENOSPC:
        return f"the disk is full ({name or 'unknown file'}): free space and run the command again"
    if (
        isinstance(
            error, (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
        )
        and name
    ):
        return f"{name}: {error.strerror}; check the path and who may read and write it"
    # urllib raises this if nothing listens.
    reason = getattr(error, "reason", None)
    return f"the connection failed: {reason}; {START_DEMO} if it is not running" if reason else None


def _exit_code(ended: SystemExit) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    _say(f"error: {ended.code}")
    return 1


def _unexpected(error: BaseException, name: str, logs: Path) -> str:
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    log = logs / f"{name}-{at}-{os.getpid()}.log"
    first = (str(error).splitlines() or ["no message"])[0]
    what = f"unexpected {type(error).__name__} in {name}: {first}"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        log.write_text(
            "".join(traceback.format_exception(type(error), error, error.__traceback__)),
            encoding="utf-8",
        )
    except OSError as failure:
        return f"{what}; its traceback could not be written to {log}: {failure}"
    return f"{what}; this is a defect of Shoplake: report it with {log}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(words: list[str]) -> int:
    """Runs a module by its name, or a script by its path."""
    if not words:
        _say("error: expected a module or a script to run, such as dev.demo")
        return 2
    target, *arguments = words
    is_script = target.endswith(".py")

    def run() -> None:
        sys.argv = [target, *arguments]
        if is_script:
            sys.path.insert(0, str(Path(target).resolve().parent))
            runpy.run_path(target, run_name="__main__")
        else:
            runpy.run_module(target, run_name="__main__", alter_sys=True)

    return guard(run, Path(target).stem if is_script else target.rpartition(".")[2])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
