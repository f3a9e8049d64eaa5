"""patchedge fleet assign, adopt, resume, pause, rollback: bundles and settings for devices, stage by stage."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.cli.arguments import between, whole
from runtime.cli.fleet_arguments import operator_keys, operator_name, say, signing_key, time_span

if TYPE_CHECKING:
    from edge_config.settings.fleet import FleetSettings
    from edge_config.wire.fleet import Rollout
    from runtime.fleet.rollout.drive import Drive
    from runtime.fleet.rollout.operator_keys import OperatorKeys
    from runtime.fleet.store.interface import Store

ACTIONS = {
    "assign": "assign a bundle, settings, or both, to devices, stage by stage; it stops where a device refuses",
    "adopt": "assign a bundle that one device learnt to others; it becomes their root",
    "resume": "go on with a roll-out that was interrupted or paused",
    "pause": "have a roll-out wait; the devices keep what they were assigned",
    "rollback": "take a roll-out back: assign what there was before to all devices that took it",
}

WAITS = ("assign", "adopt", "resume")
"""Those that wait for devices, and so for servers that are away meanwhile, too."""


def add_action(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of one of `ACTIONS`."""
    if name in ("resume", "pause"):
        parser.add_argument("rollout", metavar="ID", help="the roll-out")
    elif name == "rollback":
        parser.add_argument("rollout", metavar="ID", nargs="?", help="the roll-out (default: the newest)")
    else:
        _add_rollout(name, parser)
    if name in ("assign", "adopt", "resume"):
        parser.add_argument(
            "--detach", action="store_true", help="do what is due now, and do not wait; `resume` goes on"
        )


def _add_rollout(name: str, parser: argparse.ArgumentParser) -> None:
    if name == "adopt":
        parser.add_argument("file", type=Path, metavar="FILE", help="the packed bundle, from `patchedge fleet pull`")
        parser.add_argument("--sign", action="store_true", help="sign it in place of the device that learnt it")
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--group", metavar="NAME", default="", help="all devices of this group")
    whom.add_argument("--device", metavar="NAME", action="append", default=[], help="this device; repeatable")
    if name == "assign":
        parser.add_argument("--bundle", metavar="ID|FILE", help="id of a pushed bundle, or a bundle to push first")
        parser.add_argument("--settings", type=Path, metavar="FILE", help="YAML: threshold, alerts, regions, ignore")
        children = "`drop`: a bundle that a device learnt from this one must not serve in its place"
        parser.add_argument("--children", choices=("keep", "drop"), default="keep", help=children)
    parser.add_argument("--camera", metavar="NAME", default="", help="this camera only (default: each)")
    stages = "devices that have it after each stage: numbers, or percentages of those that are on"
    parser.add_argument("--stages", default="1,10%,100%", metavar="LIST", help=stages.replace("%", "%%"))
    soak = "time for which a stage must be in place before the next one begins"
    parser.add_argument("--soak", type=time_span, default="0s", metavar="TIME", help=soak)
    shadow = "time for which both bundles score, and the old one decides"
    parser.add_argument("--shadow", type=time_span, default="0s", metavar="TIME", help=shadow)
    watch = "time after activation in which a device goes back if it leaves the bounds"
    parser.add_argument("--watch", type=time_span, default="10m", metavar="TIME", help=watch)
    _add_bounds(parser)


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    bounds = parser.add_argument_group("bounds", "A device goes back by itself beyond these.")
    bounds.add_argument(
        "--frame-time", type=between(0.999, 1000), default=1.5, metavar="X", help="time of a frame, as a multiple"
    )
    bounds.add_argument(
        "--alert-rate", type=between(0.999, 1e6), default=2.0, metavar="X", help="alerts per hour, as a multiple"
    )
    bounds.add_argument(
        "--min-alerts", type=whole(1, 1_000_000), default=5, metavar="N", help="fewer alerts are not judged"
    )
    golden = "difference of the score of a golden frame (default: the tolerance of the bundle)"
    bounds.add_argument("--golden-difference", type=between(0, 1e9), metavar="X", help=golden)


async def run_action(args: argparse.Namespace, settings: FleetSettings, store: Store) -> int:
    """Do one of `ACTIONS`, and return the exit code.

    Raises:
        RolloutStopped: a device refused, went back or got worse.
    """
    drive = await _drive(args, settings, store)
    if args.action == "rollback":
        from runtime.fleet.rollout.create import need_last

        need_last(await store.rollouts(), drive.rollout)
        rollout = await drive.roll_back(f"taken back by {operator_name(settings)}")
        say(_ending(rollout))
        say(f"`patchedge fleet status {rollout.id}` shows when the devices are back")
        return 0
    if args.action == "pause":
        rollout = await drive.pause(f"by {operator_name(settings)}")
        say(f"{_ending(rollout)}; `patchedge fleet resume {rollout.id}` goes on")
        return 0
    if args.action == "resume" and drive.rollout.state in ("running", "paused"):
        await drive.resume(operator_name(settings))
    rollout = await drive.run(once=args.detach)
    if rollout.state == "running":
        say(f"roll-out {rollout.id}: stage {rollout.stage} of {len(rollout.stages)}; {_how_to_go_on(rollout.id)}")
        return 0
    if rollout.state == "stopped":
        raise _stopped(rollout)
    say(_ending(rollout))
    return 0


async def _drive(args: argparse.Namespace, settings: FleetSettings, store: Store) -> Drive:
    from edge_config.errors import UsageError
    from runtime.fleet.rollout.drive import Drive
    from runtime.fleet.rollout.tell import Tell

    keys, tell = operator_keys(settings), Tell(say)
    if args.action in ("assign", "adopt"):
        return Drive(store, keys, await _new(args, settings, store, keys), 0, tell)
    wanted = args.rollout or _newest(await store.rollouts())
    found = await keys.rollout(store, wanted)
    if found is None:
        raise UsageError("there is no such roll-out", where=wanted, remedy="`patchedge fleet status` lists them")
    args.rollout = wanted
    if args.action in ("pause", "rollback"):
        allowed = {"pause": ("running",), "rollback": ("running", "paused", "done", "stopped")}[args.action]
        if found[0].state not in allowed:
            raise UsageError(f"it is {found[0].state}", where=f"roll-out {wanted}")
    return Drive(store, keys, *found, tell)


def _newest(rollouts: dict[str, Rollout]) -> str:
    from edge_config.errors import UsageError

    some = [one for one in rollouts.values() if one.state != "rolled back"]
    if not some:
        raise UsageError("there is no roll-out that could be taken back")
    return max(some, key=lambda one: one.at_ms).id


async def _new(args: argparse.Namespace, settings: FleetSettings, store: Store, keys: OperatorKeys) -> Rollout:
    """Return the record of a new roll-out, and print what it will do."""
    from edge_config.wire.fleet import FleetBounds
    from runtime.fleet.rollout.create import RolloutWish, create
    from runtime.fleet.rollout.drive import now_ms
    from runtime.fleet.rollout.stages import parse_stages
    from runtime.fleet.rollout.tell import beginning

    shares = parse_stages(args.stages)
    bounds = FleetBounds(
        frame_time_ratio=args.frame_time,
        alert_rate_ratio=args.alert_rate,
        min_alerts=args.min_alerts,
        max_golden_difference=args.golden_difference,
    )
    root, camera, changes = await _what(args, settings, store)
    wish = RolloutWish(
        group=args.group,
        devices=args.device,
        root=root,
        camera=camera,
        settings=changes,
        shares=shares,
        soak_s=args.soak,
        shadow_s=args.shadow,
        watch_s=args.watch,
        bounds=bounds,
        children=getattr(args, "children", "keep"),
        by=operator_name(settings),
    )
    rollout, division = await create(store, keys, wish, now_ms())
    args.rollout = rollout.id
    say(*beginning(rollout, division, await store.reports()))
    return rollout


async def _what(args: argparse.Namespace, settings: FleetSettings, store: Store) -> tuple[str, str, Any]:
    """Return the bundle, the camera and the settings that are assigned."""
    from edge_config.errors import UsageError
    from runtime.fleet.rollout import pull, settings_file
    from runtime.fleet.rollout.bundle_wanted import bundle_wanted
    from runtime.fleet.rollout.stages import members

    if args.action == "assign":
        changes = settings_file.read(args.settings) if args.settings is not None else None
        if args.bundle is None and changes is None:
            raise UsageError("nothing to assign", remedy="give --bundle, --settings or both")
        return await bundle_wanted(store, args.bundle) if args.bundle else "", args.camera, changes
    reports = await store.reports()
    names = members(reports, args.group, args.device)
    with pull.unpacked(args.file) as bundle:
        mine = {name: reports[name] for name in names}
        grown = await pull.check_root(store, bundle, str(args.file), pull.MAX_PULLED_BYTES)
        pull.adopt(bundle, str(args.file), mine, signing_key(settings), signs=args.sign)
        say(pull.origin(bundle), grown)
        await store.put_pack(bundle.path)
        lineage = bundle.manifest.lineage
        return bundle.id, args.camera or (lineage.camera if lineage else ""), None


def interrupted(args: argparse.Namespace) -> None:
    """Say how to go on after Ctrl-C."""
    rollout = getattr(args, "rollout", None)
    if args.action in ("assign", "adopt", "resume") and rollout:
        print(
            f"patchedge: roll-out {rollout} waits, devices keep what they have; {_how_to_go_on(rollout)}",
            file=sys.stderr,
        )


def _how_to_go_on(rollout: str) -> str:
    return f"`patchedge fleet resume {rollout}` goes on, `patchedge fleet rollback {rollout}` takes it back"


def _ending(rollout: Rollout) -> str:
    from runtime.fleet.rollout.tell import ending

    return ending(rollout)


def _stopped(rollout: Rollout) -> Exception:
    from edge_config.fleet_errors import RolloutStopped
    from runtime.fleet.rollout.tell import ending

    keeps = [name for stage in rollout.stages[: rollout.stage] for name in stage if name not in rollout.back]
    remedy = f"{', '.join(keeps)} keep it: `patchedge fleet rollback {rollout.id}` takes it back there" if keeps else ""
    return RolloutStopped(ending(rollout), remedy=remedy)
