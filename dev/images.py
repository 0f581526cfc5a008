"""The connectors' container images: built by `make package`, pushed by `make push-images`.

An image's tag is the commit and the architecture that it was built from: repositories never let a
tag become another image. Which tool builds does not matter, as long as it understands Dockerfiles;
without one the images are left out, and said so.
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
from .package import ROOT
from .progress import step

CONNECTORS = {"pos": "pos-connector", "inventory": "inventory-connector", "oltp": "oltp-connector"}
TOOLS = ("docker", "podman", "buildah", "finch")
PLATFORMS = {"arm64": "linux/arm64", "x86_64": "linux/amd64"}
INDEX = "images.json"
DIRTY = "-dirty"


@dataclass(frozen=True)
class Commit:
    """What the images are built from."""

    name: str
    epoch: int = 0

    @classmethod
    def of_checkout(cls) -> Commit:
        """The last commit, marked if the files are no longer what it has."""
        name, epoch = git("log", "-1", "--format=%h %ct", "--abbrev=12").split()
        return cls(name, int(epoch)).marked(git("status", "--porcelain") != "")

    def marked(self, dirty: bool) -> Commit:
        """The same, marked if the files are not what it has."""
        return Commit(self.number + DIRTY, self.epoch) if dirty else self

    @property
    def number(self) -> str:
        """The commit itself."""
        return self.name.removesuffix(DIRTY)

    @property
    def is_dirty(self) -> bool:
        """Whether the files were not what it has."""
        return self.name.endswith(DIRTY)

    def tag(self, architecture: str) -> str:
        """The images' tag."""
        return f"{self.name}-{architecture}"


def container_tool(
    find: Callable[[str], str | None] = shutil.which, answers: Callable[[str], bool] | None = None
) -> tuple[str | None, str]:
    """The first tool whose engine answers; or none, and why."""
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
    """The image on this machine."""
    return f"shoplake-{CONNECTORS[connector]}:{tag}"


def build_command(
    tool: str, connector: str, architecture: str, commit: Commit, base: str | None = None
) -> list[str]:
    """Builds one image. It knows no clock, so the same commit gives the same image for an
    architecture as long as the base image, Alpine's packages (the compiler's and the CA
    certificates, which are the newest of the day) and the tool are the same.
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
    """Runs one program of the base image. Never from a cache: what ran before the machine's last
    start may not run now.
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
        # BuildKit takes the time of creation from SOURCE_DATE_EPOCH.
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
    """Why the tool cannot build for an architecture here; nothing if it can. An engine answers on a
    machine of another architecture as well, and only a program that it starts fails. Whatever else
    is wrong, the build says better.
    """
    code, output = (attempt or attempted)(probe_command(tool, architecture, base))
    if code == 0 or "exec format error" not in output.lower():
        return ""
    platform = PLATFORMS[architecture]
    return (
        f"{tool} cannot run programs for {platform} on this machine (exec format error). Register QEMU for it, as with"
        f" `docker run --privileged --rm tonistiigi/binfmt --install {platform.partition('/')[2]}`, or build where that is the machine's own"
    )


def attempted(command: list[str]) -> tuple[int, str]:
    """How a command ends, and all that it says."""
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
    """Writes an image to a file, which also says how large it is."""
    if tool == "buildah":
        return [tool, "push", name, f"docker-archive:{archive}:{name}"]
    return [tool, "save", "--output", str(archive), name]


def build(architecture: str, out: Path) -> None:
    """Builds all images, writes them beside the functions' packages and prints their sizes."""
    (out / INDEX).unlink(missing_ok=True)
    base = os.environ.get("RUST_IMAGE")
    tool, reason = container_tool()
    if tool:
        with step(f"see whether {tool} builds for {architecture} here"):
            reason = why_not(tool, architecture, base)
    if tool is None or reason:
        print(
            f"SKIPPED  the connectors' images: {reason}. The functions' packages are complete without them."
        )
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
    """A repository of ECR, as Terraform's output connector_repositories names it."""

    url: str

    @property
    def registry(self) -> str:
        """Its host."""
        return self.url.partition("/")[0]

    @property
    def name(self) -> str:
        """Its name there."""
        return self.url.partition("/")[2]

    @property
    def region(self) -> str:
        """Its region, from a host such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com."""
        words = self.registry.split(".")
        if len(words) < 6 or words[1:3] != ["dkr", "ecr"] or not self.name:
            raise SystemExit(
                f"expected the URL of an ECR repository, such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/name, not {self.url!r}"
            )
        return words[3]


def push_commands(tool: str, local: str, repository: Repository, tag: str) -> list[list[str]]:
    """Gives the image its name in the repository and sends it there."""
    remote = f"{repository.url}:{tag}"
    return [[tool, "tag", local, remote], [tool, "push", remote]]


def push(repositories: Mapping[str, str], packages: Path) -> None:
    """Pushes what was built. What is there already is left alone: a tag is never overwritten."""
    if not (packages / INDEX).exists():
        raise SystemExit(
            f"there are no images in {packages}: `make package` builds them where a container tool can, and says so where none can"
        )
    index = json.loads((packages / INDEX).read_text("utf-8"))
    tool, tag = index["tool"], index["tag"]
    if "-dirty-" in tag:
        raise SystemExit(
            f"the images {tag} were built from files that no commit has: commit them and run `make package` again"
        )
    signed_in: set[str] = set()
    for connector, url in sorted(repositories.items()):
        if connector not in index["images"]:
            continue  # A connector of the user's own, built elsewhere.
        repository = Repository(url)
        if is_there(repository, tag):
            print(f"{url}:{tag} is there already")
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


def is_there(repository: Repository, tag: str) -> bool:
    """Whether the repository has the tag."""
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
        raise SystemExit(f"could not look into {repository.url}: {answer.stderr.strip()}")
    return answer.returncode == 0


def run(command: Sequence[str], *, stdin: str | None = None, capture: bool = False) -> str:
    """Runs a command that explains its failures itself."""
    done = subprocess.run(
        command, cwd=ROOT, input=stdin, text=True, stdout=subprocess.PIPE if capture else sys.stderr
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout if capture else ""


def git(*words: str) -> str:
    """What git answers about this checkout."""
    try:
        return subprocess.run(
            ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        raise SystemExit(
            f"what is built is named after its commit, and git does not say which that is: {reason}"
        ) from error


def main() -> int:
    """Reads the repositories, as `terraform output -json connector_repositories` prints them, and
    pushes.
    """
    try:
        repositories = json.load(sys.stdin)
    except ValueError as error:
        expected = "expected the connectors' repositories as JSON on standard input"
        advice = "see the error above, or run `make outputs ENV=<environment>`"
        raise CommandError(f"{expected}: {error}; {advice}") from error
    push(repositories, ROOT / ".local" / "packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
