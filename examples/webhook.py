"""Send every alert to a web server, and lose none: python examples/webhook.py http://127.0.0.1:8000/alerts.

Each message of an alert is one POST of JSON. If the server is down, it is sent again until the server answers 2xx; only
then is it acknowledged. If this program is killed in between, it is sent again at the next start. So a server may get a
message twice: the header `Idempotency-Key` is the same then.
"""

import json
import time
from argparse import ArgumentParser
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from patchedge import DEFAULT_CONTROL, DEFAULT_EVENTS, Keys, Subscriber

FIELDS: tuple[str, ...] = ("alert_id", "device", "camera", "phase", "peak_score", "threshold", "peak_excess", "boxes")
FIELDS += ("t_start_ns", "reason", "clip")


def main() -> None:
    """Send alerts until Ctrl-C."""
    parser = ArgumentParser(description="Send every alert of a device to a web server.")
    parser.add_argument("url", help="where to send it, http:// or https://")
    parser.add_argument("--events", default=DEFAULT_EVENTS, help="address of its events (%(default)s)")
    parser.add_argument("--control", default=DEFAULT_CONTROL, help="address of its control socket (%(default)s)")
    parser.add_argument("--name", default="webhook", help="the device remembers what this name has acknowledged")
    parser.add_argument("--keys", nargs=2, metavar=("SECRET", "DEVICE"), help="key files, if it has encryption")
    args = parser.parse_args()
    if not args.url.startswith(("http://", "https://")):
        parser.error("the url begins with http:// or https://")
    keys = Keys(*args.keys) if args.keys else None
    with Subscriber(args.events, control=args.control, name=args.name, keys=keys, kinds=["alert"]) as alerts:
        for received in alerts:
            body, wait_s = {name: getattr(received.message, name) for name in FIELDS}, 0.5
            while problem := post(args.url, json.dumps(body).encode(), received.key):
                print(f"{problem}; next try in {wait_s:g} s", flush=True)
                time.sleep(wait_s)  # later alerts wait in the journal of the device
                wait_s = min(2 * wait_s, 30.0)
            alerts.acknowledge(received)  # only now, as the server has it


def post(url: str, body: bytes, key: str) -> str:
    """Send one message, and return what went wrong: nothing if the server took it."""
    at = urlsplit(url)
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    try:
        kind = HTTPSConnection if at.scheme == "https" else HTTPConnection
        with closing(kind(at.netloc, timeout=10)) as connection:
            connection.request("POST", f"{at.path or '/'}?{at.query}".removesuffix("?"), body, headers)
            status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"{at.hostname}: {error!r}"
    return "" if 200 <= status < 300 else f"{at.hostname}: status {status}"


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
