"""Which hosts this server answers to.

A page of any web site can have its own name lead to 127.0.0.1 and then read what is served there
as if it were its own (DNS rebinding). Its requests carry that name as `Host`, so a server that
answers only to names it knows gives such a page nothing. An address in digits is nobody's name.
"""

import ipaddress
import re
import socket
from collections.abc import Collection
from typing import Any

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_MISDIRECTED = 421
_PORT = re.compile(r":\d{0,5}$")
LOOPBACK_NAMES = frozenset({"localhost", "localhost."})


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    address = _read_address(host)
    return address is not None and address.is_loopback


def known_names(host: str, allowed: Collection[str]) -> frozenset[str]:
    """Return the names that a server bound to an address answers to, beside addresses in digits.

    Args:
        host: What it is bound to.
        allowed: What its user names besides, as the name at which a proxy serves it.
    """
    names = {*LOOPBACK_NAMES, host, *allowed}
    if not is_loopback(host):
        names.add(socket.gethostname())
    return frozenset(name.lower() for name in names)


class HostCheck:
    """Answers 421 to requests, streams and websockets for a host that is not served here."""

    def __init__(self, app: ASGIApp, names: Collection[str], *, any_address: bool) -> None:
        """Guard an app.

        Args:
            app: What is guarded.
            names: The names that are served, in lower case.
            any_address: Serve every address in digits too, not only those of loopback.
        """
        self._app, self._names, self._any_address = app, names, any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] == "lifespan" or self._serves(_read_host(scope)):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "unknown host"})
            return
        await self._refuse(_read_host(scope))(scope, receive, send)

    def _serves(self, host: str | None) -> bool:
        if host is None:
            return False
        name = _PORT.sub("", host).lower()
        if name in self._names:
            return True
        address = _read_address(name)
        return address is not None and (self._any_address or address.is_loopback)

    def _refuse(self, host: str | None) -> JSONResponse:
        said = (
            f"this server does not serve the host {(host or '')[:100]!r}: open it at the address "
            "that it printed at its start, or start it with --allowed-host NAME"
        )
        return JSONResponse({"error": said, "errors": [{"message": said}]}, _MISDIRECTED)


def _read_host(scope: Scope) -> str | None:
    """Return the Host header, None where there is none or more than one."""
    found: list[bytes] = [value for name, value in scope["headers"] if name == b"host"]
    return found[0].decode("latin-1") if len(found) == 1 else None


def _read_address(host: str) -> Any:
    """Return an address in digits, of IPv6 also in brackets; None for a name."""
    try:
        return ipaddress.ip_address(host[1:-1] if host[:1] + host[-1:] == "[]" else host)
    except ValueError:
        return None
