"""Empty roots of Debian for x86-64 and arm64, made once by debootstrap, and copies of them with more packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.programs.arm64 import root as arm64
from tests.programs.arm64.board import PI_4
from tests.programs.arm64.containers import Containers
from tests.programs.wheels.wheelhouse import HOUSES, SUMS

ROOTS = Path("build/roots")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Debian's names of the machines."""

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def minimal(suite: str, machine: str) -> Path:
    """Return a minimal root of a release of Debian.

    Raises:
        Unable: something that this needs is not there.
    """
    root = ROOTS / f"{suite}-{machine}"
    if done(root).exists():
        return root
    prepare(machine)
    print(f"wheels: debootstrap of {suite} for {machine}: some minutes", file=sys.stderr, flush=True)
    shutil.rmtree(root, ignore_errors=True)
    ROOTS.mkdir(parents=True, exist_ok=True)
    arm64.debootstrap(suite, ARCHITECTURES[machine], root)
    done(root).touch()
    return root


def with_packages(suite: str, machine: str, use: str, packages: Sequence[str]) -> Path:
    """Return a copy of a minimal root, named after its use, with more packages of Debian."""
    base = minimal(suite, machine)
    root = ROOTS / f"{base.name}-{use}"
    if done(root).exists():
        return root
    prepare(machine)
    print(f"wheels: {' '.join(packages)} into {root}", file=sys.stderr, flush=True)
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["/bin/cp", "-a", "--reflink=auto", base, root], check=True)
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    install = ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages]
    with root.with_suffix(".log").open("wb") as log:
        for words in (["apt-get", "-qq", "update"], install):
            command = ["/usr/sbin/chroot", str(root), *words]
            subprocess.run(command, check=True, env=quiet, stdout=log, stderr=subprocess.STDOUT)
    (root / "work").mkdir()  # something is mounted there
    done(root).touch()
    return root


def make_base(work: Path, containers: Containers) -> None:
    """Import a minimal root as the base of the image for arm64, if it is not there.

    Raises:
        Unable: something that the image is made of is not there.
    """
    house = HOUSES / "aarch64"
    if not (house / SUMS).exists():
        raise arm64.Unable(f"no wheelhouse in {house}: run `make wheels` first")
    if not containers.has(arm64.BASE):
        arm64.import_base(minimal(arm64.SUITE, "aarch64"), work, containers)


def done(root: Path) -> Path:
    """Return the mark of a finished root."""
    return root.with_name(f"{root.name}.done")


def prepare(machine: str) -> None:
    """Look for what making and entering a root of this kind needs.

    Raises:
        Unable: with what to do.
    """
    if os.geteuid() != 0:
        raise arm64.Unable("a root of Debian is made and entered as root")
    if machine == "aarch64" and os.uname().machine != machine:
        arm64.prepare()
        return
    wanted = {command: arm64.TOOLS[command] for command in ("debootstrap", "bwrap")}
    if missing := sorted(package for command, package in wanted.items() if shutil.which(command) is None):
        raise arm64.Unable(f"missing here; on Debian: apt-get install --no-install-recommends {' '.join(missing)}")


def for_build(root: Path, work: Path) -> list[str]:
    """Return the words before a command that compiles in a root: with the network, and `work` as /work."""
    words = ["bwrap", "--die-with-parent", "--bind", str(root), "/", "--proc", "/proc", "--dev", "/dev"]
    words += ["--tmpfs", "/tmp", "--bind", str(work), "/work", "--clearenv"]  # noqa: S108 - inside
    words += ["--ro-bind", "/etc/resolv.conf", "/etc/resolv.conf"]
    if CERTIFICATES.exists():  # behind a proxy with a certificate of its own, pip needs the list of this machine
        inside = "/run/certificates.pem"
        words += ["--ro-bind", str(CERTIFICATES), inside, "--setenv", "PIP_CERT", inside]
    return [*words, *settings({"HOME": "/tmp"})]  # noqa: S108 - inside


def without_network(root: Path, machine: str, work: Path, mounts: Mapping[str, Path]) -> list[str]:
    """Return the words before a command of an ordinary user in a root that is read-only, with no network but loopback.

    Args:
        root: of Debian.
        machine: that it is for.
        work: the only folder that can be written, as /work.
        mounts: place inside -> read-only folder or file here.
    """
    words = ["bwrap", "--die-with-parent", "--unshare-all", "--uid", "1000", "--gid", "1000"]
    words += ["--ro-bind", str(root), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - inside
    words += ["--bind", str(work), "/work", "--chdir", "/work", "--clearenv"]
    words += ["--tmpfs", "/mnt", "--tmpfs", "/opt"]
    for target, source in mounts.items():
        words += ["--ro-bind", str(source.resolve()), target]
    if machine != os.uname().machine:
        words += [*PI_4.mounts(work / "board"), "--setenv", "QEMU_CPU", PI_4.qemu]
    return [*words, *settings({"HOME": "/work"})]


def settings(more: Mapping[str, str]) -> list[str]:
    """Return the environment inside."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", **more}
    return [word for pair in environment.items() for word in ("--setenv", *pair)]
