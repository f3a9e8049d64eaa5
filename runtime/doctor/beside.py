"""Doctor beside a running device: settings come in as JSON, the report goes out as JSON.

What the device uses is left alone: cameras, ports, the journal, the bundle in service.
"""

from __future__ import annotations

import sys

import msgspec

from edge_config.settings.device import Settings
from runtime.doctor.examine import examine
from runtime.doctor.finding import as_json


def main() -> None:
    """Check, and print the report."""
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=Settings)
    print(as_json(dict(examine(settings, [], configured=True, running=True))))


if __name__ == "__main__":
    main()
