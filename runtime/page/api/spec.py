"""The OpenAPI description of the API."""

from __future__ import annotations

from starlette.responses import Response

from runtime.page.api.endpoint import Call, Endpoint


async def _openapi(call: Call) -> Response:
    return Response(call.request.app.state.openapi, media_type="application/json")


ROUTES = [
    Endpoint("GET", "/openapi.json", _openapi, "Return this description (OpenAPI 3.1).", reply="application/json"),
]
