"""What fills a root, in MB of 10^6 bytes as Docker counts: files once, however many names they have."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path, PurePosixPath

MB = 1_000_000

_OF = {  # folder -> package, where they are named differently
    "cv2": "opencv",
    "google": "protobuf",
    "opencv_python_headless": "opencv",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}


def group(path: PurePosixPath) -> str:
    """Return the row of the table that a file belongs to."""
    parts = path.parts
    if "site-packages" in parts:
        return _package(parts[parts.index("site-packages") + 1])
    depth = 3 if parts[:2] == ("usr", "lib") else 2
    return "/" + "/".join(parts[: min(depth, max(1, len(parts) - 1))])


def _package(entry: str) -> str:
    """Return the name of a package: its folder, its libraries (NAME.libs) and its metadata are one."""
    name = entry.removesuffix(".dist-info").removesuffix(".libs").split(".cpython-")[0].split("-")[0]
    return f"python: {_OF.get(name, name.lower())}"


def measure(root: Path) -> Counter[str]:
    """Return bytes by row."""
    seen: set[int] = set()
    sizes: Counter[str] = Counter()
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            status = path.lstat()
            if status.st_nlink > 1 and status.st_ino in seen:
                continue
            seen.add(status.st_ino)
            sizes[group(PurePosixPath(path.relative_to(root)))] += status.st_size
    return sizes


def table(sizes: Counter[str], rows: int = 16) -> list[str]:
    """Return the lines of the table: the largest first, the small ones in one."""
    lines = ["| what | MB |", "|---|--:|"]
    ordered = sizes.most_common()
    lines += [f"| {name} | {size / MB:.1f} |" for name, size in ordered[:rows]]
    lines.append(f"| the other {len(ordered[rows:])} | {sum(size for _, size in ordered[rows:]) / MB:.1f} |")
    lines.append(f"| all files | {sizes.total() / MB:.1f} |")
    return lines
