"""buildah with a store of its own: no daemon, no registry, and nothing kept outside the work folder."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class Containers:
    """Images and containers below a folder.

    The driver `vfs` and the isolation `chroot` ask nothing of the kernel, so this runs inside a virtual machine or a
    container too.
    """

    def __init__(self, work: Path) -> None:
        self._work = work.resolve()
        self._command = ["buildah", "--root", f"{self._work}/containers", "--runroot", f"{self._work}/run"]
        self._command += ["--storage-driver", "vfs"]
        self._call("rm", "--all")  # what an earlier run, cut short, has left

    def has(self, image: str) -> bool:
        """Return whether there is an image of this name."""
        command = [*self._command, "inspect", "--type", "image", image]
        return not subprocess.run(command, check=False, capture_output=True).returncode

    def import_root(self, archive: Path, image: str) -> None:
        """Make an image for arm64 out of a tar of a root."""
        container = self._call("from", "--arch", "arm64", "scratch")
        self._call("add", "--quiet", container, str(archive), "/")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # as in Debian's own image
        self._call("config", "--os", "linux", "--arch", "arm64", "--env", path, "--cmd", "bash", container)
        self._call("commit", "--quiet", "--rm", "--timestamp", "0", container, image)  # the same root, the same layers

    def build(self, dockerfile: str, target: str, image: str, arguments: Mapping[str, str]) -> None:
        """Build a target; its output goes to stderr.

        Behind a proxy with a certificate of its own the machine's list of certificates is what pip needs inside.
        """
        words = ["build", "--layers", "--isolation", "chroot", "--format", "docker", "--pull-never", "--arch", "arm64"]
        words += ["--file", dockerfile, "--target", target, "--tag", image]
        if CERTIFICATES.exists():
            words += ["--volume", f"{CERTIFICATES}:/run/certificates.pem:ro"]
            arguments = {"PIP_CERT": "/run/certificates.pem", **arguments}
        words += [word for pair in arguments.items() for word in ("--build-arg", "=".join(pair))]
        log = (self._work / f"build-{target}.log").open("wb")
        with log:
            done = subprocess.run(
                [*self._command, *words, "."], check=False, stdout=log, stderr=subprocess.STDOUT, env=_environment()
            )
        if done.returncode:
            tail = Path(log.name).read_text(errors="replace").splitlines()[-30:]
            raise RuntimeError("\n".join(["the build failed:", *tail]))

    def save(self, image: str, target: Path) -> None:
        """Write an image into a file, under its name, as `docker load` reads it."""
        self._call("push", "--quiet", image, f"docker-archive:{target.resolve()}:{image}")

    def config(self, image: str) -> dict[str, Any]:
        """Return the configuration of an image, as Docker has it."""
        found: dict[str, Any] = json.loads(self._call("inspect", "--type", "image", image))
        return dict(found["Docker"]["config"])

    def mount(self, image: str) -> tuple[str, Path]:
        """Make a container of an image; give its name and where its root is."""
        container = self._call("from", "--pull-never", "--arch", "arm64", image)
        return container, Path(self._call("mount", container))

    def remove(self, container: str) -> None:
        """Remove a container."""
        self._call("rm", container)

    def _call(self, *words: str) -> str:
        done = subprocess.run(
            [*self._command, *words], check=True, stdout=subprocess.PIPE, text=True, env=_environment()
        )
        return done.stdout.strip()


def _environment() -> dict[str, str]:
    """Keep settings of this user out of it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("BUILDAH_", "STORAGE_"))}
