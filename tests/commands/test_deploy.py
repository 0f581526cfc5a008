"""A deployment starts its own local cloud again when a lost answer made Terraform fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dev import pipeline
from dev.pipeline import Cloud, Pipeline

EXISTS = "creating Log Group: ResourceAlreadyExistsException: it already exists"


class FakeCloud(Cloud):
    """A cloud without processes."""

    def __init__(self, state: Path, is_up: bool) -> None:
        super().__init__(state)
        self.is_running = is_up
        self.starts = 0

    def is_up(self) -> bool:
        return self.is_running

    def up(self) -> None:
        self.is_running = True
        self.starts += 1

    def down(self) -> None:
        self.is_running = False


class FakeTerraform:
    """Fails as often as there are failures left."""

    def __init__(self, failures: list[str]) -> None:
        self.failures = failures

    def apply(self) -> dict[str, Any]:
        if self.failures:
            raise SystemExit(self.failures.pop(0))
        return {"lake_bucket": "lake", "api_url": "http://127.0.0.1"}


def deploy(
    monkeypatch: pytest.MonkeyPatch, folder: Path, failures: list[str], *, is_up: bool = False
) -> int:
    """Deploys, and returns how often the cloud was started."""
    cloud = FakeCloud(folder, is_up)
    for step in ("build", "catalog", "package"):
        monkeypatch.setattr(pipeline, step, lambda *_: folder)
    monkeypatch.setattr(Pipeline, "terraform", lambda *_: FakeTerraform(failures))
    monkeypatch.setattr(Pipeline, "control", lambda *_, **__: {})
    Pipeline.deploy(cloud)
    return cloud.starts


def test_a_new_cloud_is_started_again_after_a_lost_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert deploy(monkeypatch, tmp_path, []) == 1
    assert deploy(monkeypatch, tmp_path, [EXISTS]) == 2


@pytest.mark.parametrize(
    ("failures", "is_up"),
    [([EXISTS, EXISTS], False), (["InvalidParameter"], False), ([EXISTS], True)],
    ids=["twice", "another failure", "a cloud with data"],
)
def test_other_failures_end_the_deployment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failures: list[str], is_up: bool
) -> None:
    with pytest.raises(SystemExit):
        deploy(monkeypatch, tmp_path, failures, is_up=is_up)
