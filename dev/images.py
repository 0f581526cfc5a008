"""The connectors' container images: built by `make package`, pushed by `make push-images`.

An image's tag is its commit and architecture, because the repositories' tags are immutable. Any
tool that understands Dockerfiles can build. If none works, `make package` skips the images and says
why.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import CommandError
from .paths import RELEASED, ROOT
from .progress import step

CONNECTORS = {
    main.parents[1].name: f"{main.parents[1].name}-connector"
    for main in sorted((ROOT / "connectors").glob("*/src/main.rs"))
}
"""The programs of all connectors, by their folder."""
TOOLS = ("docker", "podman", "buildah", "finch")
PLATFORMS = {"arm64": "linux/arm64", "x86_64": "linux/amd64"}
INDEX = "images.json"
DIRTY = "-dirty"


@dataclass(frozen=True)
class Commit:
    """The commit of the checkout, and whether the files differ from it."""

    name: str
    epoch: int = 0

    @classmethod
    def of_checkout(cls) -> Commit:
        """Returns the last commit, marked as dirty if the files differ from it."""
        name, epoch = git("log", "-1", "--format=%h %ct", "--abbrev=12").split()
        return cls(name, int(epoch)).marked(git("status", "--porcelain") != "")

    def marked(self, dirty: bool) -> Commit:
        """Returns the same commit, marked as dirty if the files differ from it."""
        return Commit(self.number + DIRTY, self.epoch) if dirty else self

    @property
    def number(self) -> str:
        """Returns the commit without the mark."""
        return self.name.removesuffix(DIRTY)

    @property
    def is_dirty(self) -> bool:
        """Returns whether the files differ from the commit."""
        return self.name.endswith(DIRTY)

    def tag(self, architecture: str) -> str:
        """Returns the images' tag."""
        return f"{self.name}-{architecture}"


def container_tool(
    find: Callable[[str], str | None] = shutil.which, answers: Callable[[str], bool] | None = None
) -> tuple[str | None, str]:
    """Returns the first tool whose engine answers; or None, and the reason."""
    answers = answers or (
        lambda tool: subprocess.run([tool, "info"], capture_output=True).returncode == 0
    )
    found = [tool for tool in TOOLS if find(tool)]
    for tool in found:
        if answers(tool):
            return tool, ""
    if found:
        return None, f"the engine of {' and '.join(found)} does not answer"
    return None, f"none of {', '.join(TOOLS)} is on the PATH"


def local_name(connector: str, tag: str) -> str:
    """Returns the image's name on this machine."""
    return f"shoplake-{CONNECTORS[connector]}:{tag}"


def build_command(
    tool: str, connector: str, architecture: str, commit: Commit, base: str | None = None
) -> list[str]:
    """Returns the command that builds one image.

    The image contains no times. So the same commit gives the same image for an architecture, if the
    tool, the base image and Alpine's packages (the compiler and the newest CA certificates) are the
    same.
    """
    return _build(
        tool,
        architecture,
        {"CONNECTOR": CONNECTORS[connector]},
        commit.epoch,
        base,
        local_name(connector, commit.tag(architecture)),
    )


def probe_command(tool: str, architecture: str, base: str | None = None) -> list[str]:
    """Returns the command that runs one program of the base image, without the tool's cache: a
    program that ran before the machine's last start may not run now.
    """
    return _build(
        tool,
        architecture,
        {},
        0,
        base,
        f"shoplake-probe:{architecture}",
        "--target",
        "probe",
        "--no-cache",
    )


def _build(
    tool: str,
    architecture: str,
    arguments: Mapping[str, str],
    epoch: int,
    base: str | None,
    name: str,
    *options: str,
) -> list[str]:
    given = {**arguments, "SOURCE_DATE_EPOCH": str(epoch)} | ({"RUST_IMAGE": base} if base else {})
    return [
        tool, "build",
        "--platform", PLATFORMS[architecture],
        "--file", "connectors/Dockerfile",
        *(word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")),
        # BuildKit reads the time of creation from SOURCE_DATE_EPOCH.
        *(("--timestamp", str(epoch)) if tool in ("podman", "buildah") else ()),
        *options,
        "--tag", name,
        ".",
    ]  # fmt: skip


def why_not(
    tool: str,
    architecture: str,
    base: str | None = None,
    attempt: Callable[[list[str]], tuple[int, str]] | None = None,
) -> str:
    """Returns why the tool cannot build for an architecture here, or an empty text.

    An engine also answers on a machine of another architecture, where only the programs that it
    starts fail. Other failures are reported by the build itself.
    """
    code, output = (attempt or attempted)(probe_command(tool, architecture, base))
    if code == 0 or "exec format error" not in output.lower():
        return ""
    platform = PLATFORMS[architecture]
    install = f"docker run --privileged --rm tonistiigi/binfmt --install {platform[6:]}"
    return (
        f"{tool} cannot run programs for {platform} on this machine (exec format error)."
        f" Register QEMU for it, as with `{install}`, or build on a machine of that architecture"
    )


def attempted(command: list[str]) -> tuple[int, str]:
    """Runs a command; returns its exit code and output."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return done.returncode, done.stdout


def save_command(tool: str, name: str, archive: Path) -> list[str]:
    """Returns the command that writes an image to a file."""
    if tool == "buildah":
        return [tool, "push", name, f"docker-archive:{archive}:{name}"]
    return [tool, "save", "--output", str(archive), name]


def build(architecture: str, out: Path) -> None:
    """Builds all images, writes them beside the functions' packages and prints their sizes."""
    (out / INDEX).unlink(missing_ok=True)
    base = os.environ.get("RUST_IMAGE")
    tool, reason = container_tool()
    if tool:
        with step(f"test whether {tool} builds for {architecture} here"):
            reason = why_not(tool, architecture, base)
    if tool is None or reason:
        print(f"SKIPPED  the connectors' images: {reason}. The functions' packages are complete.")
        return
    commit = Commit.of_checkout()
    tag = commit.tag(architecture)
    for connector, package in CONNECTORS.items():
        with step(f"build the image of {package} for {architecture} with {tool}"):
            run(build_command(tool, connector, architecture, commit, base))
            archive = out / f"{package}.tar"
            archive.unlink(missing_ok=True)
            run(save_command(tool, local_name(connector, tag), archive))
    (out / INDEX).write_text(
        json.dumps(
            {
                "tool": tool,
                "tag": tag,
                "images": {name: local_name(name, tag) for name in CONNECTORS},
            },
            indent=2,
        )
        + "\n"
    )
    for package in CONNECTORS.values():
        archive = out / f"{package}.tar"
        print(f"{archive.stat().st_size / 1e6:8.1f} MB  {archive.relative_to(ROOT)}")
    print(f"connector_image_tag = {json.dumps(tag)}")


@dataclass(frozen=True)
class Repository:
    """A repository of ECR, by a URL of Terraform's output connector_repositories."""

    url: str

    @property
    def registry(self) -> str:
        """Returns the host."""
        return self.url.partition("/")[0]

    @property
    def name(self) -> str:
        """Returns the name in the registry."""
        return self.url.partition("/")[2]

    @property
    def region(self) -> str:
        """Returns the region of a host such as `<account>.dkr.ecr.eu-central-1.amazonaws.com`."""
        words = self.registry.split(".")
        if len(words) < 6 or words[1:3] != ["dkr", "ecr"] or not self.name:
            example = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/name"
            raise SystemExit(
                f"invalid {self.url!r}: expected the URL of an ECR repository, such as {example}"
            )
        return words[3]


def push_commands(tool: str, local: str, repository: Repository, tag: str) -> list[list[str]]:
    """Returns the commands that tag an image for a repository and push it."""
    remote = f"{repository.url}:{tag}"
    return [[tool, "tag", local, remote], [tool, "push", remote]]


def push(repositories: Mapping[str, str], packages: Path) -> None:
    """Pushes the built images. Skips tags that a repository already has."""
    if not (packages / INDEX).exists():
        raise SystemExit(
            f"{packages} has no images: run `make package` on a machine with a container tool"
        )
    index = json.loads((packages / INDEX).read_text("utf-8"))
    tool, tag = index["tool"], index["tag"]
    if "-dirty-" in tag:
        raise SystemExit(
            f"the images {tag} were built from uncommitted files: commit them and run"
            " `make package` again"
        )
    signed_in: set[str] = set()
    for connector, url in sorted(repositories.items()):
        if connector not in index["images"]:
            continue  # The user's own connector, which another project builds.
        repository = Repository(url)
        if has_tag(repository, tag):
            print(f"{url}:{tag} exists already")
            continue
        if repository.registry not in signed_in:
            password = run(
                ["aws", "ecr", "get-login-password", "--region", repository.region], capture=True
            )
            run(
                [tool, "login", "--username", "AWS", "--password-stdin", repository.registry],
                stdin=password,
            )
            signed_in.add(repository.registry)
        for command in push_commands(tool, index["images"][connector], repository, tag):
            run(command)
    print(f"connector_image_tag = {json.dumps(tag)}")


def has_tag(repository: Repository, tag: str) -> bool:
    """Returns whether the repository has the tag."""
    command = [
        "aws",
        "ecr",
        "describe-images",
        "--region",
        repository.region,
        "--repository-name",
        repository.name,
        "--image-ids",
        f"imageTag={tag}",
    ]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode and "ImageNotFoundException" not in answer.stderr:
        raise SystemExit(f"cannot list images of {repository.url}: {answer.stderr.strip()}")
    return answer.returncode == 0


def run(command: Sequence[str], *, stdin: str | None = None, capture: bool = False) -> str:
    """Runs a command that explains its failures itself; returns its output if captured."""
    done = subprocess.run(
        command, cwd=ROOT, input=stdin, text=True, stdout=subprocess.PIPE if capture else sys.stderr
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout if capture else ""


def git(*words: str) -> str:
    """Runs git in this checkout and returns its output."""
    try:
        return subprocess.run(
            ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        raise SystemExit(f"git cannot name the commit of this checkout: {reason}") from error


def main() -> int:
    """Reads the JSON of Terraform's output connector_repositories and pushes the images."""
    try:
        repositories = json.load(sys.stdin)
    except ValueError as error:
        expected = "expected the connectors' repositories as JSON on standard input"
        advice = "see the error above, or run `make outputs ENV=<environment>`"
        raise CommandError(f"{expected}: {error}; {advice}") from error
    push(repositories, RELEASED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
