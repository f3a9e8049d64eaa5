"""A Debian for arm64 as base image, for machines that reach Debian's packages but no registry of images."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.programs.arm64.containers import Containers

SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
BASE = f"localhost/debian-arm64:{SUITE}"

BINFMT = Path("/proc/sys/fs/binfmt_misc")

TOOLS = {  # command -> Debian package
    "debootstrap": "debootstrap",
    "buildah": "buildah",
    "bwrap": "bubblewrap",
    "qemu-aarch64-static": "qemu-user-static",
    "aarch64-linux-gnu-objdump": "binutils-aarch64-linux-gnu",
}

SOURCES = """\
deb {mirror} {suite} main
deb {mirror} {suite}-updates main
deb {mirror}-security {suite}-security main
"""

# What Debian's own slim image leaves out.
_LEFT_OUT = (
    "./usr/share/doc/*/*",
    "./usr/share/man/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
    "./dev/*",
)


class Unable(Exception):
    """Something that the machine needs for this is not there."""


def prepare() -> None:
    """Look for the tools, and have the kernel run programs for arm64.

    Raises:
        Unable: with what to do.
    """
    missing = sorted(package for command, package in TOOLS.items() if shutil.which(command) is None)
    if missing:
        raise Unable(f"missing here; on Debian: apt-get install --no-install-recommends {' '.join(missing)}")
    if not (BINFMT / "status").exists():
        subprocess.run(["/bin/mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=True)
    handler = BINFMT / "qemu-aarch64"
    if not handler.exists():
        register = shutil.which("update-binfmts")
        if register:
            subprocess.run([register, "--enable", "qemu-aarch64"], check=False)
        else:
            subprocess.run(["/lib/systemd/systemd-binfmt"], check=False)
    if not handler.exists() or "F" not in handler.read_text().split("flags:")[1].split()[0]:
        raise Unable(
            "no handler of binfmt_misc with flag F for aarch64: reinstall qemu-user-static, and binfmt-support"
        )


def debootstrap(suite: str, architecture: str, root: Path) -> None:
    """Make a minimal root of a release of Debian; what is printed goes into a file beside it."""
    command = ["debootstrap", f"--arch={architecture}", "--variant=minbase", suite, str(root), MIRROR]
    with root.with_name(f"{root.name}.log").open("wb") as log:
        subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT)
    (root / "etc/apt/sources.list").write_text(SOURCES.format(mirror=MIRROR, suite=suite))


def import_base(root: Path, work: Path, containers: Containers) -> None:
    """Import a minimal Debian as `BASE`; its archive is made in `work`, and removed."""
    archive = work / "root.tar"
    leave_out = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
    command = [
        "/bin/tar",
        "-C",
        str(root),
        "--numeric-owner",
        "--sort=name",
        "--wildcards",
        *leave_out,
        "-cf",
        str(archive),
        ".",
    ]
    subprocess.run(command, check=True)
    containers.import_root(archive, BASE)
    archive.unlink()
