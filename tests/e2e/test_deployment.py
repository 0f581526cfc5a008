"""The applied Terraform root."""

from __future__ import annotations

from pathlib import Path

from dev.pipeline import Pipeline


def test_a_second_apply_changes_nothing(pipeline: Pipeline, definitions: tuple[Path, Path]) -> None:
    assert Pipeline.terraform(pipeline.cloud, definitions[0]).plan_is_empty()
