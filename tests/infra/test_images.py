"""The connectors' images: the commands of the container tool, without a container engine."""

from __future__ import annotations

import json
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from dev import images
from dev.images import (
    CONNECTORS,
    TOOLS,
    Commit,
    Repository,
    build_command,
    container_tool,
    probe_command,
    push_commands,
    save_command,
    why_not,
)  # fmt: skip
from dev.package import ROOT

COMMIT = Commit("0123456789ab", 1_700_000_000)
DOCKERFILE = (ROOT / "connectors" / "Dockerfile").read_text("utf-8")


def arguments(command: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for flag, word in pairwise(command) if flag == "--build-arg")


def test_program_of_a_connector_has_the_name_of_its_folder() -> None:
    folders = [path.parents[1] for path in (ROOT / "connectors").glob("*/src/main.rs")]
    assert {
        folder.name: tomllib.loads((folder / "Cargo.toml").read_text("utf-8"))["bin"][0]["name"]
        for folder in folders
    } == CONNECTORS


@pytest.mark.parametrize("tool", TOOLS)
def test_image_build_is_reproducible(tool: str) -> None:
    command = build_command(tool, "pos", "arm64", COMMIT)
    assert arguments(command) == {"CONNECTOR": "pos-connector", "SOURCE_DATE_EPOCH": "1700000000"}
    assert command == build_command(tool, "pos", "arm64", COMMIT)
    assert ("--timestamp" in command) == (tool in ("podman", "buildah"))


@pytest.mark.parametrize(
    ("architecture", "platform"), [("arm64", "linux/arm64"), ("x86_64", "linux/amd64")]
)
def test_image_tag_has_its_architecture(architecture: str, platform: str) -> None:
    command = build_command("docker", "inventory", architecture, COMMIT)
    assert command[command.index("--platform") + 1] == platform
    assert (
        command[command.index("--tag") + 1]
        == f"shoplake-inventory-connector:0123456789ab-{architecture}"
    )


def test_pinned_base_image_is_used() -> None:
    assert (
        arguments(build_command("docker", "pos", "arm64", COMMIT, "rust@sha256:00"))["RUST_IMAGE"]
        == "rust@sha256:00"
    )


def test_dockerfile_declares_the_build_arguments() -> None:
    declared = set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.M))
    assert declared == set(arguments(build_command("docker", "pos", "arm64", COMMIT, "rust")))


def test_image_runs_without_root_on_a_minimal_base() -> None:
    *_, last = re.split(r"^FROM ", DOCKERFILE, flags=re.M)
    assert last.startswith("scratch")
    assert "USER 65532:65532" in last


def test_build_context_excludes_local_files() -> None:
    assert {".git", ".local", "target"} <= set((ROOT / ".dockerignore").read_text("utf-8").split())


def test_first_tool_with_a_running_engine_is_used() -> None:
    assert container_tool(lambda tool: f"/bin/{tool}", lambda tool: tool != "docker") == (
        "podman",
        "",
    )


def test_error_without_a_tool_names_the_tools() -> None:
    assert container_tool(lambda _: None, lambda _: True) == (
        None,
        "none of docker, podman, buildah, finch is on the PATH",
    )


def test_error_names_a_tool_without_its_engine() -> None:
    found = container_tool(lambda tool: tool if tool == "docker" else None, lambda _: False)
    assert found == (None, "the engine of docker does not answer")


def test_skipped_images_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / images.INDEX).write_text("{}")
    monkeypatch.setattr(images, "container_tool", lambda: (None, "there is none"))
    images.build("arm64", tmp_path)
    assert "SKIPPED" in capsys.readouterr().out
    assert not (tmp_path / images.INDEX).exists(), (
        "images of an earlier build must not be pushed in their place"
    )


@pytest.mark.parametrize("tool", TOOLS)
def test_emulation_is_probed_before_the_build(tool: str) -> None:
    command = probe_command(tool, "arm64", "rust@sha256:00")
    assert command[command.index("--platform") + 1] == "linux/arm64"
    assert arguments(command)["RUST_IMAGE"] == "rust@sha256:00"
    assert "--no-cache" in command
    stage = re.search(
        rf"^FROM \S+ AS {command[command.index('--target') + 1]}\n(.*?)\n\n",
        DOCKERFILE,
        re.M | re.S,
    )
    assert stage and stage[1].startswith("RUN ")


@pytest.mark.parametrize(
    ("code", "output", "refused"),
    [
        (0, "", False),
        (
            1,
            '0.2 exec /bin/sh: exec format error\nERROR: process "/bin/sh -c true" did not '
            "complete successfully: exit code: 255",
            True,
        ),
        (1, "exec container process `/bin/sh`: Exec format error", True),
        (1, "failed to resolve rust:1.95-alpine: no such host", False),
    ],
)
def test_images_are_skipped_only_without_emulation(code: int, output: str, refused: bool) -> None:
    reason = why_not("docker", "arm64", attempt=lambda _: (code, output))
    assert bool(reason) == refused
    if refused:
        assert "linux/arm64" in reason and "tonistiigi/binfmt --install arm64" in reason


def test_without_emulation_only_packages_are_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []
    (tmp_path / images.INDEX).write_text("{}")
    monkeypatch.setattr(images, "container_tool", lambda: ("docker", ""))
    monkeypatch.setattr(
        images,
        "attempted",
        lambda command: commands.append(command) or (1, "exec /bin/sh: exec format error"),
    )
    monkeypatch.setattr(images, "run", commands.append)
    images.build("arm64", tmp_path)
    assert commands == [probe_command("docker", "arm64")]
    assert (
        "SKIPPED  the connectors' images: docker cannot run programs for linux/arm64 on this "
        "machine" in capsys.readouterr().out
    )
    assert not (tmp_path / images.INDEX).exists()


def test_each_tool_saves_images() -> None:
    assert save_command("podman", "a:1", Path("/x/a.tar")) == [
        "podman",
        "save",
        "--output",
        "/x/a.tar",
        "a:1",
    ]
    assert save_command("buildah", "a:1", Path("/x/a.tar")) == [
        "buildah",
        "push",
        "a:1",
        "docker-archive:/x/a.tar:a:1",
    ]


def test_image_is_pushed_to_its_repository() -> None:
    repository = Repository(
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shoplake-prod-pos-connector"
    )
    assert (repository.region, repository.name) == ("eu-central-1", "shoplake-prod-pos-connector")
    assert push_commands("docker", "a:1", repository, "1") == [
        ["docker", "tag", "a:1", f"{repository.url}:1"],
        ["docker", "push", f"{repository.url}:1"],
    ]


@pytest.mark.parametrize(
    "url", ["", "example.com/pos", "123456789012.dkr.ecr.eu-central-1.amazonaws.com"]
)
def test_invalid_repository_is_rejected(url: str) -> None:
    with pytest.raises(SystemExit, match="expected the URL of an ECR repository"):
        _ = Repository(url).region


def test_push_rejects_uncommitted_changes(tmp_path: Path) -> None:
    (tmp_path / images.INDEX).write_text(
        json.dumps(
            {"tool": "docker", "tag": Commit("0123456789ab-dirty", 0).tag("arm64"), "images": {}}
        )
    )
    with pytest.raises(SystemExit, match="commit them"):
        images.push({}, tmp_path)


def test_untracked_files_do_not_change_the_commit() -> None:
    dirty = COMMIT.marked(True)
    assert (dirty.name, dirty.number, dirty.is_dirty) == ("0123456789ab-dirty", COMMIT.number, True)
    assert dirty.marked(True) == dirty
    assert COMMIT.marked(False) == COMMIT and not COMMIT.is_dirty


def test_missing_commit_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SystemExit, match=r"git cannot name the commit.*not a git repository"):
        Commit.of_checkout()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="git cannot name the commit"):
        Commit.of_checkout()


def test_push_needs_a_build(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="make package"):
        images.push({}, tmp_path)
