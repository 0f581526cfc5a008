"""The start and the end of a cloud, as far as they need no server."""

from __future__ import annotations

from pathlib import Path

from shoplake_localstack.local.localstack import FIRST_CALLS, SERVICES

from dev.cloud import Cloud
from dev.terraform import STATES


def test_a_first_call_needs_no_parameters(tmp_path: Path):
    cloud = Cloud(tmp_path)
    for service, call in FIRST_CALLS.items():
        assert service in SERVICES.split(",")
        meta = cloud.client(service).meta
        operation = meta.service_model.operation_model(meta.method_to_api_mapping[call])
        assert not getattr(operation.input_shape, "required_members", ()), (service, call)


def test_the_state_of_terraform_ends_with_its_cloud(tmp_path: Path):
    for name in (*STATES, "terraform-apply.log"):
        (tmp_path / name).touch()
    Cloud(tmp_path).down()
    assert [file.name for file in tmp_path.iterdir()] == ["terraform-apply.log"]
