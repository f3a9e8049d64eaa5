"""patchedge teach: collect pictures that are normal on a running device, and judge the stored ones."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.cli.arguments import between, whole
from runtime.cli.control_arguments import add_control, device_of, print_json, to_request

if TYPE_CHECKING:
    from edge_config.wire.teaching import PictureList, StoredPicture, TeachingState
    from runtime.client.control_client import ControlClient

POLL_S = 0.5
"""Interval between looks at a collection that runs, seconds."""

NAME = "teach"
HELP = "show a device what is normal: collect frames, mark false alarms, judge pictures"
TALKS = True

_ACTIONS = {
    "start": "collect normal frames of a camera, and wait until there are enough",
    "status": "show what is collected, and how much is stored",
    "stop": "end a collection; what was stored stays",
    "list": "list stored pictures",
    "save": "write stored pictures into a folder, to look at them",
    "accept": "accept pictures as normal: `patchedge learn-on` learns them",
    "reject": "reject pictures: they are never learnt",
    "false-alarm": "mark an alert as a false alarm: its peak is accepted as normal",
}
_KINDS = ("peak", "taught", "aside", "held_out")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    subs = {name: actions.add_parser(name, help=said, description=said) for name, said in _ACTIONS.items()}
    for name, sub in subs.items():
        optional = {"nargs": "?"} if name in {"status", "list"} else {}
        said = "name of the camera" + (" (default: all)" if optional else "")
        sub.add_argument("camera", metavar="CAMERA", help=said, **optional)  # type: ignore[arg-type]
    start = subs["start"]
    start.add_argument("--count", type=whole(1, 5000), metavar="N", help="number of frames (default: 100)")
    start.add_argument(
        "--minutes", type=between(0, 20_161), metavar="M", help="end after M minutes; frames are spread over them"
    )
    start.add_argument(
        "--every-ms", type=whole(0, 86_400_000), metavar="MS", help="minimum time between two frames (default: 1000)"
    )
    start.add_argument("--no-wait", action="store_true", help="return at once; `teach status` shows how far it is")
    subs["list"].add_argument("--kind", action="append", choices=_KINDS, help="only this kind; repeatable")
    subs["list"].add_argument("--undecided", action="store_true", help="only pictures that nobody has judged")
    subs["save"].add_argument(
        "pictures", nargs="*", metavar="ID", help="ids of pictures (default: all that nobody has judged)"
    )
    subs["save"].add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder")
    for name in ("accept", "reject"):
        subs[name].add_argument("pictures", nargs="*", metavar="ID", help="ids of pictures")
        subs[name].add_argument("--all", action="store_true", help="all pictures set aside that nobody has judged")
    subs["false-alarm"].add_argument(
        "alert", nargs="?", metavar="ALERT", help="id of the alert, as `watch` prints it (default: the last one)"
    )
    for sub in subs.values():
        add_control(sub)


def run(args: argparse.Namespace) -> int:
    """Send the request, and print the result."""
    with device_of(args) as device:
        match args.action:
            case "start":
                return _start(args, device)
            case "status":
                _show_status(args, device)
            case "list":
                _list(args, device)
            case "save":
                _save(args, device)
            case "stop":
                _show(args, _ask(device, "stop_teaching", camera=args.camera))
            case "false-alarm":
                _false_alarm(args, device)
            case _:
                _judge(args, device)
    return 0


def _ask(device: ControlClient, request: str, **fields: Any) -> Any:
    """Send a request, and return the reply."""
    from edge_config.wire.learning import REPLIES

    kinds = {"stop_teaching": "teach", "reject": "accept"}
    return device.request(to_request({"request": request, **fields}), REPLIES[kinds.get(request, request)])


def _start(args: argparse.Namespace, device: ControlClient) -> int:
    """Return 0 once all frames are stored, 1 if the collection ended without any."""
    fields = {"frames": args.count, "minutes": args.minutes, "every_ms": args.every_ms}
    state = _ask(device, "teach", camera=args.camera, **fields)
    if state.replaced:
        _say(f"an unfinished collection of camera `{args.camera}` was replaced")
    if not args.no_wait:
        _say(f"{args.camera}: collecting {state.wanted} frames; Ctrl-C ends the waiting, not the collection")
        state = _wait(args.camera, device, state)
    _show(args, state)
    return 0 if args.no_wait or state.taught + state.aside else 1


def _wait(camera: str, device: ControlClient, state: TeachingState) -> TeachingState:
    """Wait until a collection is over, and say how far it is."""
    pause, told, reason = threading.Event(), -1, ""
    while state.state == "running":
        pause.wait(POLL_S)
        status = _status(device)
        state = _state_of(status, camera) or state
        now = status["cameras"][camera]
        if now["state"] != "live" and now["reason"] != reason:
            reason = now["reason"]
            _say(f"{camera} is {now['state']} ({reason}): nothing is collected until it is live")
        stored = state.taught + state.aside
        if stored != told and (sys.stderr.isatty() or stored % 10 == 0):
            _say(f"{camera}: {_figures(state)}")
            told = stored
    return state


def _status(device: ControlClient) -> dict[str, Any]:
    from edge_config.wire.requests import Status

    reply: dict[str, Any] = device.ask(Status())[0]
    return reply


def _state_of(status: dict[str, Any], camera: str) -> TeachingState | None:
    import msgspec

    from edge_config.wire.teaching import TeachingState

    found = status["cameras"].get(camera, {}).get("teaching")
    return None if found is None else msgspec.convert(found, TeachingState)


def _show_status(args: argparse.Namespace, device: ControlClient) -> None:
    from edge_config.errors import RequestError

    status = _status(device)
    if args.camera is not None and args.camera not in status["cameras"]:
        raise RequestError(f"no camera `{args.camera}`; known: {', '.join(status['cameras'])}")
    cameras = [args.camera] if args.camera else list(status["cameras"])
    states = {name: _state_of(status, name) for name in cameras}
    if args.json:
        print_json({"cameras": states, "pictures": status["pictures"]})
        return
    for name, state in states.items():
        print(f"{name}: nothing was collected" if state is None else _line(state))
    stored = status["pictures"]
    print(f"stored: {stored['stored']} pictures, {stored['stored_bytes'] / 2**20:.1f} MiB, in {stored['folder']}")
    if stored["problem"]:
        print(f"pictures cannot be stored: {stored['problem']}")


def _list(args: argparse.Namespace, device: ControlClient) -> None:
    pictures = _all_pictures(device, args.camera, kinds=tuple(args.kind or ()), undecided=args.undecided)
    if args.json:
        print_json(pictures)
        return
    for one in pictures:
        about = "".join(f"  {word}" for word in (f"alert {one.alert}" if one.alert else "", one.decided) if word)
        said = f"score {one.score:.3f} of {one.threshold:.3f}"
        print(f"{one.id}  {one.camera}  {one.kind}  {one.time}  {said}{about}")
    if not pictures:
        _say("no such picture is stored")


def _all_pictures(device: ControlClient, camera: str | None, **fields: Any) -> list[StoredPicture]:
    found: list[StoredPicture] = []
    more = True
    while more:
        after = found[-1].id if found else None
        part: PictureList = _ask(device, "pictures", camera=camera, after=after, limit=1000, **fields)
        found += part.pictures
        more = part.more
    return found


def _save(args: argparse.Namespace, device: ControlClient) -> None:
    from edge_config.saving import put, writing

    unjudged = {"kinds": ("aside", "peak"), "undecided": True}
    ids = args.pictures or [one.id for one in _all_pictures(device, args.camera, **unjudged)]
    with writing(args.to):
        args.to.mkdir(parents=True, exist_ok=True)
    paths = []
    for picture in ids:
        data = _fetch(device, args.camera, picture)
        paths.append(args.to / f"{picture}.png")
        put(paths[-1], data)
        if not args.json:
            print(paths[-1], flush=True)
    if args.json:
        print_json([str(path) for path in paths])
    elif not paths:
        _say("no picture waits to be judged")


def _fetch(device: ControlClient, camera: str, picture: str) -> bytes:
    """Return a stored picture, part by part."""
    from edge_config.errors import RequestError

    data, size = b"", 1
    while len(data) < size:
        fields = {"camera": camera, "picture": picture, "offset": len(data)}
        reply, parts = device.ask(to_request({"request": "fetch_picture", **fields}))
        size = reply["size"]
        if len(parts) != 1 or not parts[0]:
            raise RequestError(f"a part of picture {picture} is missing")
        data += parts[0]
    return data


def _judge(args: argparse.Namespace, device: ControlClient) -> None:
    from edge_config.errors import UsageError

    if args.all == bool(args.pictures):
        raise UsageError("name pictures, or --all", where=f"teach {args.action}", remedy="`teach list` shows their ids")
    given = {"all": True} if args.all else {"pictures": args.pictures}
    reply = _ask(device, args.action, camera=args.camera, **given)
    if args.json:
        print_json(reply)
        return
    done = f"{args.action}ed"
    print(f"{args.camera}: {reply.changed} pictures {done}; {reply.undecided} set aside wait to be judged")


def _false_alarm(args: argparse.Namespace, device: ControlClient) -> None:
    from edge_config.errors import RequestError

    alert = args.alert
    if alert is None:
        peaks = _all_pictures(device, args.camera, kinds=("peak",), undecided=True)
        if not peaks:
            raise RequestError(f"of no alert of camera `{args.camera}` a peak is stored that nobody has judged")
        alert = peaks[-1].alert
    reply = _ask(device, "false_alarm", camera=args.camera, alert_id=alert)
    if args.json:
        print_json(reply)
        return
    goes_on = "; the alert is still open" if reply.open else ""
    print(f"{args.camera}: the peak of alert {alert} is accepted as normal, picture {reply.picture.id}{goes_on}")


def _show(args: argparse.Namespace, state: TeachingState) -> None:
    if args.json:
        print_json(state)
        return
    print(_line(state), flush=True)
    if state.aside:
        _say(f"look at those set aside (`patchedge teach save {state.camera} --to DIR`), and accept or reject them")


def _line(state: TeachingState) -> str:
    return f"{state.camera}: {_figures(state)}; {f'over: {state.reason}' if state.reason else 'running'}"


def _figures(state: TeachingState) -> str:
    lost = f", {state.lost} lost" if state.lost else ""
    return f"{state.taught} taught, {state.aside} set aside{lost}, of {state.wanted}"


def _say(what: str) -> None:
    print(f"patchedge: {what}", file=sys.stderr, flush=True)
