"""Who may talk to the playground's server: a page that it served, opened by its user.

Any page in the user's browser can send requests to this machine, and a name on the internet may
lead to it (DNS rebinding). So every request must name the server as its Host, what changes
something must come from the server's own page (Origin), and only those who know the token of the
address are answered.
"""

import ipaddress
import json
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_WILDCARDS = ("0.0.0.0", "[::]")
# The page's own files are no secret, and modules that import each other don't pass on a token.
_WITHOUT_TOKEN = ("/static/", "/favicon.ico")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class ServedAddress:
    """The host and port that the server listens on, and the token that opens it.

    Args:
        host: A name or an address, as in ``127.0.0.1`` or ``::1``; all addresses of this machine
            with ``0.0.0.0`` or ``::``.
        port: The port.
        token: What requests must know; a new one for each server.
    """

    host: str
    port: int
    token: str

    @property
    def url(self) -> str:
        """The address to open."""
        name = "127.0.0.1" if self._name in _WILDCARDS else self._name
        return f"http://{name}:{self.port}/?token={self.token}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    @property
    def _name(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host.lower()

    def serves(self, host: str) -> bool:
        """Return whether a Host header names this server."""
        name = host.lower().removesuffix(f":{self.port}")
        if name == host.lower() and self.port != 80:
            return False
        if name in (*_LOOPBACK, self._name):
            return True
        return self._name in _WILDCARDS and _is_address(name)


def _is_address(name: str) -> bool:
    """Return whether a host is an address, which no name server can lead elsewhere."""
    is_bracketed = name.startswith("[") and name.endswith("]")
    try:
        version = ipaddress.ip_address(name[1:-1] if is_bracketed else name).version
    except ValueError:
        return False
    return version == (6 if is_bracketed else 4)


class Guard:
    """An application that passes on what is allowed, and adds headers to every response.

    Args:
        app: The application inside.
        address: Where it is served.
        policy: The content security policy.
    """

    def __init__(self, app: ASGIApp, address: ServedAddress, policy: str) -> None:
        self._app = app
        self._address = address
        headers = _HEADERS | {"Content-Security-Policy": policy}
        self._headers = [(k.lower().encode(), v.encode()) for k, v in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"].endswith("http.response.start"):
                names = {name for name, _ in self._headers}
                others = [pair for pair in message.get("headers", ()) if pair[0] not in names]
                message = {**message, "headers": [*others, *self._headers]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        else:
            await _answer(scope, send_with_headers, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and message if a request is not allowed, None if it is."""
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or not self._address.serves(hosts[0]):
            return 421, (
                f"This is the playground of {self._address.host}:{self._address.port}, but the "
                f"request is for {', '.join(hosts)[:80] or 'no host'}. Open the address that "
                f"`kerasinit playground` printed; to use another name, pass it as --host, and "
                f"forward a port under the same number."
            )
        own = f"http://{hosts[0].lower()}"
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if any(origin.lower() != own for origin in origins) or (changes and len(origins) != 1):
            return 403, (
                f"The request comes from {', '.join(origins)[:80] or 'no page'}; only the page at "
                f"{own} may make it. Open the address that `kerasinit playground` printed."
            )
        if not scope["path"].startswith(_WITHOUT_TOKEN) and not self._knows_token(scope):
            return 403, (
                "The token in the address is missing or wrong. Open the address that `kerasinit "
                "playground` printed in its terminal; each start has a new one."
            )
        return None

    def _knows_token(self, scope: Scope) -> bool:
        query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20)
        given = query.get("token", [""])
        return len(given) == 1 and secrets.compare_digest(
            given[0].encode(), self._address.token.encode()
        )


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def _answer(scope: Scope, send: Send, status: int, text: str) -> None:
    """Answer a request with text; JSON to what the page asks for, and reads."""
    is_page = scope["path"] == "/"
    body = (f"{text}\n" if is_page else json.dumps({"text": text})).encode()
    kind = b"text/plain; charset=utf-8" if is_page else b"application/json"
    prefix = "websocket." if scope["type"] == "websocket" else ""
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    start = {"type": f"{prefix}http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": f"{prefix}http.response.body", "body": body})
