"""patchedge doctor: check the device, and show on one page what works, what does not, and how to fix it."""

from __future__ import annotations

import argparse
import sys
import textwrap
from typing import TYPE_CHECKING

from runtime.cli import overlay
from runtime.process.progress import GAUGE

if TYPE_CHECKING:
    from edge_config.settings.device import Settings
    from runtime.doctor.finding import Finding

NAME = "doctor"
HELP = "check the device and its software: what works, what does not, and how to fix it"

_WIDTH = 118
_INDENT = 22


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--bundle", metavar="DIR", help="also load this bundle, on each provider")
    parser.add_argument(
        "--config", metavar="FILE", help="check what these settings name: bundles, cameras, addresses, folders"
    )
    overlay.add_trust_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print all findings as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the page; the exit code is that of the worst finding, 0 where there are warnings at most."""
    from runtime.doctor.examine import examine
    from runtime.doctor.finding import Finding, as_json, exit_code

    settings, wrong = _settings(args)
    configured = args.config is not None and not wrong
    bundles = overlay.bundles(settings) if configured else []
    if args.bundle is not None and args.bundle not in bundles:
        bundles.append(args.bundle)
    page = {"settings": wrong or [Finding("settings", "ok", f"{args.config}, whole")]} if args.config else {}
    with GAUGE.stage("look at the device") as stage:

        def tell(about: str) -> None:
            stage.what = f"look at {about}"
            if sys.stderr.isatty():
                print(f"\r\033[K{f'looking at {about}' if about else ''}", end="", file=sys.stderr, flush=True)

        page |= dict(examine(settings, bundles, configured=configured, tell=tell))
        tell("")
    code = exit_code([finding for found in page.values() for finding in found])
    print(as_json(page) if args.json else _as_text(page))
    return code


def _settings(args: argparse.Namespace) -> tuple[Settings, list[Finding]]:
    """Return the settings; if those of the file are wrong, the defaults and what is wrong."""
    from edge_config.errors import SettingsError
    from edge_config.settings.parse import parse
    from edge_config.settings.reading import read_file
    from runtime.doctor.finding import Finding

    tree = overlay.of_one_camera(bundle=args.bundle or "none")
    default = parse(overlay.lay_over(tree, overlay.trust(args)), where=overlay.COMMAND_LINE)
    if args.config is None:
        return default, []
    try:
        tree = read_file(args.config, tell_later=True)
        return parse(overlay.lay_over(tree, overlay.trust(args)), where=args.config), []
    except SettingsError as error:
        return default, [Finding.of("settings", one) for one in (error, *error.more)]


def _as_text(page: dict[str, list[Finding]]) -> str:
    lines: list[str] = []
    for section, found in page.items():
        if found:
            lines += ["", section] if lines else [section]
        for finding in found:
            start = f"  {finding.level:<4}  {finding.about}"
            lines += _wrapped(f"{start:<{_INDENT - 1}} {finding.says}")
            if finding.remedy and finding.level != "ok":
                lines += _wrapped(f"{'':<{_INDENT}}-> {finding.remedy}")
    return "\n".join([*lines, "", _verdict([finding for found in page.values() for finding in found])])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent=" " * _INDENT, break_long_words=False, break_on_hyphens=False)


def _verdict(found: list[Finding]) -> str:
    failed = sum(finding.level == "fail" for finding in found)
    warned = sum(finding.level == "warn" for finding in found)
    if failed:
        return f"problems that must be fixed: {failed}, warnings: {warned}"
    return f"nothing prevents `patchedge run`; warnings: {warned}" if warned else "no problems found"
