"""The playground's server: the page, its files, uploads, and sessions.

It trains nothing and imports no framework: it is up at once, and answers while worker processes
train.
"""

import asyncio
import contextlib
import errno
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from kerasinit._src.playground import page_files, uploads
from kerasinit._src.playground.relay import MAX_COMMAND, Relay
from kerasinit._src.playground.security import Guard, ServedAddress
from kerasinit._src.playground.worker_pool import Limits, Pool, WorkerError

_UPLOAD_SECONDS = 30.0
_STOP_SECONDS = 2


class Playground:
    """The application that a server runs.

    Args:
        pool: The pool of worker processes; it runs as long as the application does.
        address: Where the application is served.
    """

    def __init__(self, pool: Pool, address: ServedAddress) -> None:
        self._pool = pool
        self._uploads = uploads.Uploads()
        self._sessions: set[asyncio.Task[Any]] = set()
        routes = [
            Route("/", self.page),
            Route("/favicon.ico", self.icon),
            Route("/static/{name}", self.file),
            Route("/options", self.options),
            Route("/upload", self.upload, methods=["POST"]),
            WebSocketRoute("/session", self.session),
        ]
        app = Starlette(routes=routes, lifespan=self._running)
        # Outside, so that no response is without its headers.
        self._app = Guard(app, address, page_files.policy())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)

    async def stop(self) -> None:
        """End the worker processes, and let the sessions say so to their pages."""
        await self._pool.end()
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=1.0)

    @contextlib.asynccontextmanager
    async def _running(self, _: Starlette) -> AsyncIterator[None]:
        async with self._pool:
            yield

    async def page(self, _: Request) -> Response:
        """Send the page."""
        return Response(page_files.page(), media_type="text/html")

    async def icon(self, _: Request) -> Response:
        """Send no icon."""
        # The page has its own, but a browser that shows a refusal asks for this one.
        return Response(status_code=204)

    async def file(self, request: Request) -> Response:
        """Send a file of the page."""
        found = page_files.static_files().get(request.path_params["name"])
        if found is None:
            return Response("The page has no such file.\n", 404, media_type="text/plain")
        return Response(found.content, media_type=found.content_type)

    async def options(self, _: Request) -> Response:
        """Send what the page needs before a session."""
        try:
            return JSONResponse(await self._pool.options())
        except WorkerError as error:
            return JSONResponse({"text": str(error)}, 503)

    async def upload(self, request: Request) -> Response:
        """Keep a file, or refuse it."""
        name = request.query_params.get("name", "")
        try:
            async with asyncio.timeout(_UPLOAD_SECONDS):
                content = await _read_limited(request)
        except TimeoutError:
            text = f"The upload took more than {_UPLOAD_SECONDS:g} seconds. Try it again."
            return JSONResponse({"text": text}, 408)
        except ClientDisconnect:
            return Response(status_code=400)
        if content is None:
            # The rest is not read.
            closing = {"Connection": "close"}
            return JSONResponse({"text": str(uploads.too_large(name[:80]))}, 413, closing)
        try:
            # In a thread: a large file takes a moment, and sessions go on.
            table = await asyncio.to_thread(uploads.parse, content, name)
        except ValueError as error:
            return JSONResponse({"text": str(error)}, 422)
        self._uploads.add(table)
        return JSONResponse(table.summary())

    async def session(self, socket: WebSocket) -> None:
        """Run a session."""
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        try:
            await Relay(socket, self._pool, self._uploads).run()
        finally:
            self._sessions.discard(task)


async def _read_limited(request: Request) -> bytes | None:
    """Return the body of a request; None as soon as it is known to be too large."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > uploads.MAX_BYTES:
        return None
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > uploads.MAX_BYTES:
            return None
    return bytes(content)


def serve(
    host: str,
    port: int,
    limits: Limits,
    *,
    lessons: Path | None = None,
    browser: bool = True,
    worker: Sequence[str] | None = None,
) -> None:
    """Serve the playground until the process is interrupted.

    Args:
        host: The address to listen on.
        port: The port; 0 for any that is free.
        limits: The limits of sessions and worker processes.
        lessons: A folder with further lessons.
        browser: Whether to open the page in the user's browser.
        worker: The words that start a worker process; those of this package's by default.

    Raises:
        OSError: If the port cannot be had.
    """
    with listening_socket(host, port) as listener:
        address = ServedAddress(host, listener.getsockname()[1], secrets.token_urlsafe())
        pool = Pool(worker or _worker_command(lessons), limits)
        server = configured(Playground(pool, address))
        _print_address(address)
        if browser:
            # Requests wait in the socket until the server runs.
            threading.Thread(target=webbrowser.open, args=(address.url,), daemon=True).start()
        try:
            server.run(sockets=[listener])
        finally:
            pool.kill()


class _Server(uvicorn.Server):
    """A server that ends its application, which waits for workers, before it waits for it."""

    def __init__(self, config: uvicorn.Config, app: Playground) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._app.stop()
        await super().shutdown(sockets)


def configured(app: Playground) -> uvicorn.Server:
    """Return a server of an application."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="websockets-sansio",
        lifespan="on",
        # An access log would show the token.
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=100,
        ws_max_size=MAX_COMMAND,
        # All messages stay on this machine.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    return _Server(config, app)


def _print_address(address: ServedAddress) -> None:
    print(f"The playground is at {address.url} (Ctrl-C ends it).", flush=True)
    if not address.is_loopback:
        print(
            f"Warning: --host {address.host} makes the playground reachable from other machines. "
            f"Anyone who knows its URL, with the name of this machine, can use it.",
            file=sys.stderr,
        )


def _worker_command(lessons: Path | None) -> list[str]:
    words = [sys.executable, "-m", "kerasinit._src.playground.worker"]
    return words if lessons is None else [*words, str(lessons)]


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raise an OSError that says what to change otherwise."""
    try:
        kind, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise OSError(f"--host {host} is no address of this machine: {error.strerror}.") from error
    try:
        return socket.create_server(place[:2], family=kind, backlog=100)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OSError(
                f"Port {port} of {host} is in use, maybe by another playground. Pass another "
                f"--port, or --port 0 for any that is free."
            ) from error
        if error.errno == errno.EACCES:
            raise OSError(
                f"Port {port} of {host} is not for every user. Pass a --port above 1023."
            ) from error
        raise OSError(
            f"Cannot listen on --host {host}, --port {port}: {error.strerror}. Pass an address of "
            f"this machine."
        ) from error
