"""patchedge schema: print the JSON Schemas of messages, requests and replies."""

from __future__ import annotations

import argparse

NAME = "schema"
HELP = "print the JSON Schemas of messages, requests and replies"


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Take no arguments."""


def run(_args: argparse.Namespace) -> int:
    """Print one JSON object: name of the schema -> schema."""
    import msgspec

    from edge_config.wire import messages, replies

    schemas = messages.json_schemas() | replies.json_schemas()
    print(msgspec.json.format(msgspec.json.encode(schemas), indent=2).decode())
    return 0
