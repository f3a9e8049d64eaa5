"""Run commands inside the root of an image as a container engine would: not root, nothing writable but the mounts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.programs.arm64.board import PI_4, Board

# Runs inside the image; what it finds is compared with what must be.
_LOOK = """
import importlib.util, json, os, shutil, sys
status = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
def writable(folder):
    try:
        open(os.path.join(folder, "x"), "w").close()
    except OSError as error:
        return error.strerror
    return True
folders = "/", "/usr/bin", "/opt/patchedge/bin", "/etc", "/etc/patchedge", "/bundles", "/var/tmp", "/data", "/tmp"
programs = "gcc", "g++", "cc", "c++", "clang", "as", "ld", "make", "pip", "pip3", "patchedge"
modules = ["torch", "onnx", "pip", "setuptools", "export", "cv2", "onnxruntime", "hnswlib"]
modules += ["runtime.search._kernels", "runtime.scoring._pixels"]
print(json.dumps({
    "machine": os.uname().machine, "python": sys.version.split()[0],
    "user": [os.getuid(), os.geteuid(), os.getgid()], "groups": os.getgroups(),
    "capabilities": status["CapEff"], "no_new_privs": status["NoNewPrivs"],
    "programs": {name: shutil.which(name) for name in programs},
    "modules": {name: importlib.util.find_spec(name) is not None for name in modules},
    "writable": {folder: writable(folder) for folder in folders},
}))
"""


@dataclass(frozen=True, slots=True)
class Inside:
    """A root of an image and what is mounted into it.

    Attributes:
        root: of the image.
        config: of the image, as Docker has it: environment, user, entry point.
        mounts: folder in the image -> folder here, read-only.
        data: what is mounted on /data, for the image's user to write.
        boards: folder for the files by which a board is known.
    """

    root: Path
    config: Mapping[str, Any]
    mounts: Mapping[str, Path]
    data: Path
    boards: Path

    def command(self, words: Sequence[str], board: Board = PI_4) -> list[str]:
        """Return the command line that runs `words` inside; the network is that of this machine."""
        user, group = self.config["User"].split(":")
        command = ["bwrap", "--die-with-parent", "--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts"]
        # Two capabilities for setpriv, which gives them up.
        command += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        command += ["--ro-bind", str(self.root), "/", "--proc", "/proc", "--dev", "/dev"]
        command += ["--tmpfs", "/tmp", "--chmod", "1777", "/tmp", "--bind", str(self.data), "/data"]  # noqa: S108
        command += board.mounts(self.boards)
        for target, source in self.mounts.items():
            command += ["--ro-bind", str(source), target]
        command += ["--chdir", "/data", "--clearenv", "--setenv", "QEMU_CPU", board.qemu]
        for pair in self.config["Env"]:
            name, _, value = pair.partition("=")
            command += ["--setenv", name, value]
        drop = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", "--inh-caps=-all"]
        return [*command, *drop, *words]

    def entry(self, *words: str) -> list[str]:
        """Return the image's entry point with its arguments; without any, those that the image has."""
        return [*self.config["Entrypoint"], *(words or self.config["Cmd"])]

    def health(self) -> list[str]:
        """Return the command of the image's health check."""
        kind, *command = self.config["Healthcheck"]["Test"]
        return ["/bin/sh", "-c", *command] if kind == "CMD-SHELL" else command

    def output(self, words: Sequence[str], board: Board = PI_4) -> str:
        """Run a command to its end and give what it prints."""
        done = subprocess.run(self.command(words, board), check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def look(self) -> dict[str, Any]:
        """Find out who a process inside is, what it may write, and what there is."""
        found: dict[str, Any] = json.loads(self.output(["/opt/patchedge/bin/python", "-c", _LOOK]))
        return found


def faults(found: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with what `Inside.look` found; nothing if all is as it must be."""
    wrong = []
    if 0 in found["user"] or int(found["capabilities"], 16) or found["no_new_privs"] != "1" or found["groups"]:
        wrong.append("it does not run as an ordinary user")
    if found["machine"] != "aarch64":
        wrong.append(f"the machine is {found['machine']}")
    wanted = {"cv2", "onnxruntime", "hnswlib", "runtime.search._kernels", "runtime.scoring._pixels"}
    wrong += [f"module {name}: {there}" for name, there in found["modules"].items() if there != (name in wanted)]
    wrong += [
        f"program {name}: {path}" for name, path in found["programs"].items() if bool(path) != (name == "patchedge")
    ]
    free = {"/data", "/tmp"}  # noqa: S108 - inside
    wrong += [f"folder {name}: {can}" for name, can in found["writable"].items() if (can is True) != (name in free)]
    return wrong
