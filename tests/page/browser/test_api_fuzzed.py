"""The API against what nobody means to send, by schemathesis, from its own description."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runtime.page.users import manage
from tests.page.browser.rig import Page, device

SECONDS = int(os.environ.get("PATCHEDGE_FUZZ_SECONDS", "0"))
"""`make fuzz-page` sends other requests each time, for so long; 0: the same ones each time, some for each operation."""

HOW_MANY = ("--max-time", str(SECONDS)) if SECONDS else ("--max-examples", "5", "--seed", "20261127")

CHECKS = "not_a_server_error,status_code_conformance"
SCHEMATHESIS = (sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run")
NEVER_ENDS = "/api/v1/events"
"""Its answer is a stream."""


def test_the_description_is_valid(page: Page) -> None:
    """What the page serves as its OpenAPI file obeys the schema of OpenAPI 3.1."""
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR  # takes a second

    OPENAPI_31_VALIDATOR.validate(page.get("openapi.json"))


def test_nothing_that_is_sent_is_an_error_of_the_page(tmp_path: Path) -> None:
    """What the description allows or forbids is answered with a status that it names, none is 500; the page goes on."""
    with device("belt") as rig, rig.page() as page:
        page.until_live(["belt"])
        # As a program that may change something: without a token all changes would end at the gate.
        token = manage.add_token(page.users, "fuzz", "operator")
        done = subprocess.run(
            [
                *SCHEMATHESIS,
                *(*HOW_MANY, "--checks", CHECKS),
                *("--exclude-path", NEVER_ENDS, "--suppress-health-check", "all", "--no-shrink"),
                *("--phases", "examples,coverage,fuzzing", "--request-timeout", "20", "--warnings", "off"),
                *("--header", f"Authorization: Bearer {token}"),
                f"{page.url}/api/v1/openapi.json",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=SECONDS + 100,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
        said = (rig.folder / "page" / "page.log").read_text(encoding="utf-8")
        assert '"by": "token"' in said, "no change was let in"
        assert page.alive()
        assert rig.device.alive()
