"""An HTTP server of the standard library that serves in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer


@contextmanager
def served(server: ThreadingHTTPServer, over: threading.Event) -> Iterator[None]:
    """Serve until the block ends; `over` is set then, so that answers that go on end."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            over.set()
            server.shutdown()
            thread.join()
