"""Certificates for TLS between the processes of Dask."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

ROLES = ("scheduler", "worker", "client")


def certificates(folder: Path, name: str) -> dict[str, Any]:
    """Make a certificate that is its own CA, and return the settings of Dask with which every role has it."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    new = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    made = (*new, "-subj", f"/CN={name}", "-keyout", key, "-out", certificate)
    subprocess.run(made, check=True, capture_output=True)
    tls = {"ca-file": certificate}
    for role in ROLES:
        tls |= {f"{role}.cert": certificate, f"{role}.key": key}
    found = {f"distributed.comm.tls.{what}": str(path) for what, path in tls.items()}
    return {"distributed.comm.require-encryption": True, **found}


def write_settings(path: Path, settings: dict[str, Any]) -> Path:
    """Write settings of Dask into a file, as a user does."""
    tree: dict[str, Any] = {}
    for name, value in settings.items():
        *above, last = name.split(".")
        place = tree
        for one in above:
            place = place.setdefault(one, {})
        place[last] = value
    path.write_text(yaml.dump(tree))
    return path
