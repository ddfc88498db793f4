"""What every request passes: size, time, password, one-line errors, counts.

Nothing of a request is logged but its method and route.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
import time
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotator.serve.counts import Counts
from annotator.serve.model import OutOfTimeError

_log = logging.getLogger(__name__)

_OPEN = frozenset({"/health"})
_PATHS = (
    frozenset({"/setup", "/predict", "/webhook", "/versions", "/score", "/metrics", "/docs", "/openapi.json"}) | _OPEN
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a request: bytes of its body, articles, characters of an article, seconds from start to answer."""

    body_bytes: int = 32_000_000
    articles: int = 500
    characters: int = 300_000
    seconds: float = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """User and password of Basic authentication."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login(user={self.user!r})"

    def accepts(self, header: str) -> bool:
        """Compare an Authorization header in a time that does not depend on where it differs."""
        kind, _, value = header.partition(" ")
        try:
            given = base64.b64decode(value.strip(), validate=True) if kind.lower() == "basic" else b""
        except (binascii.Error, ValueError):
            given = b""
        return hmac.compare_digest(given, f"{self.user}:{self.password}".encode())


class RefusedError(Exception):
    """A request that is answered with an error: status and one line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, " ".join(message.split())


class Guard:
    """The outermost layer of the application (ASGI)."""

    def __init__(self, app: ASGIApp, *, limits: Limits, login: Login | None, counts: Counts) -> None:
        self._app, self._limits, self._login, self._counts = app, limits, login, counts
        self._told = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        scope.setdefault("state", {})["deadline"] = started + self._limits.seconds
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        refused: RefusedError | None = None
        try:
            self._admit(scope)
            with anyio.fail_after(self._limits.seconds):
                await self._app(scope, self._counted(receive), note)
        except RefusedError as error:
            refused = error
        except (TimeoutError, OutOfTimeError):
            refused = RefusedError(503, f"no answer within {self._limits.seconds:g} seconds: send less, or try later")
        except Exception as error:  # noqa: BLE001 -- logged without its text, which may hold a piece of the request
            where = error.__traceback__
            while where is not None and where.tb_next is not None:
                where = where.tb_next
            place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where is not None else "?"
            _log.error("request failed: %s at %s", type(error).__name__, place)
            refused = RefusedError(500, "the server failed at this request; its log says where")
        if refused is not None and not status:
            status = refused.status
            await _answer(send, refused)
        route = scope["path"] if scope["path"] in _PATHS else "other"  # what others ask for is not written down
        self._counts.request(route, status, time.monotonic() - started)
        _log.info("%s %s %d", scope["method"], route, status)

    def _admit(self, scope: Scope) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        login = None if scope["path"] in _OPEN else self._login
        if login is not None and not login.accepts(headers.get(b"authorization", "")):
            if scope["path"] == "/webhook" and not self._told:
                self._told = True
                _log.warning(
                    "a webhook without the password was refused: give it the header Authorization, in its settings"
                )
            raise RefusedError(401, "user and password are asked for (Basic authentication)")
        length = headers.get(b"content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > self._limits.body_bytes:
            raise self._too_large()

    def _too_large(self) -> RefusedError:
        return RefusedError(
            413, f"the body is larger than {self._limits.body_bytes} bytes: send fewer articles at once"
        )

    def _counted(self, receive: Receive) -> Receive:
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limits.body_bytes:
                raise self._too_large()
            return message

        return counted


async def _answer(send: Send, refused: RefusedError) -> None:
    headers = [(b"content-type", b"application/json")]
    if refused.status == 401:
        headers.append((b"www-authenticate", b'Basic realm="annotator", charset="UTF-8"'))
    if refused.status in {413, 503}:
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    body: Any = json.dumps({"error": refused.message}).encode()
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
