"""Save the picture of every alert in a folder: python examples/save_pictures.py pictures.

The device attaches pictures if its settings have `alerts: {attach: [jpeg]}` for the camera.
"""

from argparse import ArgumentParser
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from patchedge import DEFAULT_CONTROL, DEFAULT_EVENTS, AlertMessage, Keys, Received, Subscriber


def main() -> None:
    """Save pictures until Ctrl-C."""
    parser = ArgumentParser(description="Save the picture of every alert of a device.")
    parser.add_argument("folder", type=Path, help="made if it does not exist")
    parser.add_argument("--events", default=DEFAULT_EVENTS, help="address of its events (%(default)s)")
    parser.add_argument("--control", default=DEFAULT_CONTROL, help="address of its control socket (%(default)s)")
    parser.add_argument("--name", default="pictures", help="the device remembers what this name has acknowledged")
    parser.add_argument("--keys", nargs=2, metavar=("SECRET", "DEVICE"), help="key files, if it has encryption")
    args = parser.parse_args()
    keys = Keys(*args.keys) if args.keys else None
    args.folder.mkdir(parents=True, exist_ok=True)
    with Subscriber(args.events, control=args.control, name=args.name, keys=keys, kinds=["alert"]) as alerts:
        for received in alerts:
            save(received, args.folder)
            alerts.acknowledge(received)  # only now: after a crash, the device sends what was not saved again


def save(received: Received, folder: Path) -> None:
    """Write the picture of an alert message, if it has one."""
    alert = received.message
    assert isinstance(alert, AlertMessage)  # no other kind was asked for
    began = datetime.fromtimestamp(alert.t_start_ns / 1e9, timezone.utc)
    name = f"{alert.camera}_{began:%Y-%m-%dT%H-%M-%S}_{alert.alert_id[:8]}_frame{alert.peak_frame_id}.jpg"
    for part, data in zip(alert.parts, received.parts, strict=True):
        if part.name == "jpeg":
            unfinished = folder / f"{name}.part"  # renamed when complete, so no file is ever half a picture
            unfinished.write_bytes(data)
            unfinished.rename(folder / name)
            print(f"{name}: score {alert.peak_score:.1f}, threshold {alert.threshold:.1f}", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
