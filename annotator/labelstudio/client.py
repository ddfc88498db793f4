"""A thin wrapper over label-studio-sdk 2.x: authentication and transport are its own, the rest is stated here.

What the SDK does that would harm a sync is turned off: it repeats a POST after a cut connection (which doubles what
was sent) and its pager ends quietly on a 404. Reads are repeated, writes never; a failed write raises
:class:`ServerError` with ``maybe_done``, and the caller looks before it goes on. No message holds a token.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from annotator.errors import AnnotatorError, InputError, MissingExtraError

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

PROVEN = "1.23.2"
_OLDEST, _NEXT_MAJOR = (1, 20), 2
READ_RETRIES = 3
WRITE_ATTEMPTS = 3
LOOK_PAUSES = (0.2, 1.0, 2.0)  # seconds
CONNECT_TIMEOUT = 15.0
WRITE_TIMEOUT = 600.0
PAGE_SIZE = 250
TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"  # noqa: S105 -- the name of a variable
# What the SDK brings logs every request, at DEBUG with the session cookie that the server sets, and much of no use.
_TALKATIVE = ("httpx", "httpcore", "label_studio_sdk", "faker")
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


class ServerError(AnnotatorError):
    """Label Studio refused, failed or could not be reached; one line, without the token.

    ``status`` is the HTTP status, None where no answer came; ``maybe_done`` says whether a write may have been done.
    """

    def __init__(self, message: str, *, status: int | None = None, maybe_done: bool = False) -> None:
        """Keep the message with what is known of the request."""
        super().__init__(message)
        self.status = status
        self.maybe_done = maybe_done

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later: no answer, a server error, too many requests."""
        return self.status is None or self.status >= 500 or self.status == 429


def find_token(option: str | None = None, file: Path | None = None) -> str:
    """Return the token: ``option``, ``file``, or $LABEL_STUDIO_API_KEY; legacy or personal access token.

    Raises:
        InputError: there is none, or it has characters that no token has.
    """
    if option is not None:
        token, source = option, "--token"
    elif file is not None:
        try:
            token, source = file.read_text(encoding="utf-8"), str(file)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: the token cannot be read: {getattr(error, 'strerror', None) or error}") from None
    else:
        token, source = os.environ.get(TOKEN_VARIABLE, ""), f"${TOKEN_VARIABLE}"
    token = token.strip()
    if not token:
        raise InputError(f"{source}: no token: copy one from Label Studio (Account & Settings) to ${TOKEN_VARIABLE}")
    if not re.fullmatch(r"[\w.~+/=-]+", token, re.ASCII):
        raise InputError(f"{source}: this is no token: it has characters that no token has (several lines?)")
    return token


def _address(url: str) -> str:
    """Return the address with one slash at its end: without it, the SDK cuts a sub-path when it refreshes a token."""
    wrong = InputError(f"{url!r}: not the address of a server: it looks like http://localhost:8080")
    try:
        parts = urlsplit(url.strip())
        named = parts.hostname and not re.search(r"\s", url.strip())
        _ = parts.port  # one that is no number is a ValueError
    except ValueError:
        raise wrong from None
    if "@" in parts.netloc:  # not shown: it may be a password
        raise InputError("the address of the server holds a user name or a password: leave them out")
    if parts.scheme not in ("http", "https") or not named or parts.query or parts.fragment:
        raise wrong
    return parts.geturl().rstrip("/?#") + "/"


def _expiry(token: str) -> float | None:
    """Return when a personal access token ends (seconds since 1970); None for a legacy token."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None


def writing(write: Callable[[], _T], look: Callable[[], _T | None]) -> _T:
    """Write; after a failure look whether it was done, and write once more only where it was not.

    ``look`` returns what the write would have returned, or None where nothing of it is on the server. A server that
    gave no answer may still be at work, so it is looked at more than once before anything is sent again.

    Raises:
        ServerError: it failed for good; nothing was sent twice without looking.
    """
    for attempt in range(WRITE_ATTEMPTS):
        try:
            return write()
        except ServerError as error:
            if not error.passing:
                raise
            _log.info("looking after: %s", error)
            for pause in LOOK_PAUSES if error.maybe_done else LOOK_PAUSES[:1]:
                time.sleep(pause)
                if (done := look()) is not None:
                    return done
            if attempt + 1 == WRITE_ATTEMPTS:
                raise
    raise AssertionError


class Server:
    """A Label Studio that one may talk to; a context manager, which closes its connections.

    Args:
        url: where it answers, with its sub-path if it has one.
        token: legacy or personal access token.
        timeout: seconds that a read may take; writes have ``write_timeout``.
    """

    def __init__(self, url: str, token: str, *, timeout: float = 120.0, write_timeout: float = WRITE_TIMEOUT) -> None:
        self.url = _address(url)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            import httpx  # noqa: PLC0415 -- comes with the extra
            from label_studio_sdk import LabelStudio  # noqa: PLC0415 -- a second, and an extra
            from label_studio_sdk.core.api_error import ApiError  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtraError("annotator labelstudio", "labelstudio", error.name or "label_studio_sdk") from error
        self._token = token
        self._timeout = httpx.Timeout(timeout, connect=CONNECT_TIMEOUT)
        self._write_timeout = httpx.Timeout(write_timeout, connect=CONNECT_TIMEOUT)
        self._failures: tuple[type[Exception], ...] = (httpx.HTTPError, httpx.InvalidURL, ApiError, ValueError)
        ends = _expiry(token)
        if ends is not None and ends < time.time():
            raise ServerError("the access token has expired: make a new one in Label Studio (Account & Settings)")
        # A redirect is an error: following it would turn a POST into a GET.
        self._http = httpx.Client(timeout=self._timeout, follow_redirects=False)
        make: Any = LabelStudio  # its constructor has no types
        self._sdk = make(base_url=self.url, api_key=token, httpx_client=self._http, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    # --- requests ---

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Read; repeated when the server stumbles.

        Raises:
            ServerError: no answer, or one of status 400 or more.
        """
        for attempt in range(READ_RETRIES + 1):
            try:
                return self._request("GET", path, params, None, self._timeout)
            except ServerError as error:
                if not error.passing or attempt == READ_RETRIES:
                    raise
                _log.info("read again after: %s", error)
                time.sleep(0.3 * 2**attempt)
        raise AssertionError

    def write(self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None) -> Any:
        """Write, once.

        Raises:
            ServerError: as :meth:`get`; its ``maybe_done`` says that the server may have done it all the same.
        """
        return self._request(method, path, params, body, self._write_timeout)

    def _request(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: Any, timeout: httpx.Timeout
    ) -> Any:
        write = method != "GET"
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's own, when it refreshes a token
                response: httpx.Response = self._sdk._client_wrapper.httpx_client.request(  # noqa: SLF001 -- its login
                    path,
                    method=method,
                    params=dict(params or {}),
                    content=content,
                    headers={"Content-Type": "application/json"} if content is not None else None,
                    request_options={"max_retries": 0, "timeout": timeout},
                )
        except self._failures as error:
            raise self._no_answer(method, path, error, maybe_done=write) from None  # its text may hold the token
        status = response.status_code
        if 300 <= status < 400:
            place = self._scrub(response.headers.get("Location", "another address"))
            raise ServerError(f"{self.url}: sends one on to {place}: name the right address with --url", status=status)
        if status >= 400:
            raise self._refused(method, path, status, response.text, maybe_done=write and status >= 500)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise ServerError(
                f"{self.url}: {method} {path} answered with something that is not JSON: is this a Label Studio?",
                status=None if write else 404,
                maybe_done=write,
            ) from None

    def _no_answer(self, method: str, path: str, error: Exception, *, maybe_done: bool) -> ServerError:
        status = getattr(error, "status_code", None)
        if isinstance(status, int):  # the SDK could not turn the personal token into an access token
            return self._refused("POST", "api/token/refresh", status, str(getattr(error, "body", "")), maybe_done=False)
        name = type(error).__name__
        if name == "ConnectTimeout":
            what = "cannot be reached in time: is the address right, is a firewall between?"
            maybe_done = False
        elif "Timeout" in name:
            what = "gave no answer in time"
        elif name == "ConnectError":
            what = "cannot be reached: is it running, is the address right?"
            maybe_done = False
        elif isinstance(error, ValueError):  # of the SDK, when it asks for an access token
            what = "gave no access token: is this the address of a Label Studio?"
            maybe_done = False
        else:
            what = "broke off the connection"
        return ServerError(self._scrub(f"{self.url}: {what} ({name}, {method} {path})"), maybe_done=maybe_done)

    def _refused(self, method: str, path: str, status: int, text: str, *, maybe_done: bool) -> ServerError:
        try:
            body = json.loads(text)
            detail = body.get("detail") or body.get("validation_errors") or body if isinstance(body, dict) else body
        except ValueError:
            if status == 404:
                return ServerError(
                    f"{self.url}: has no {path} (status 404): is this the address of a Label Studio?", status=status
                )
            plain = re.sub(r"(?is)<(script|style)\b.*?</\1>", " ", text)
            detail = re.sub(r"<[^>]*>", " ", plain)
        words = " ".join(str(detail).split())[:200]
        if status == 401:
            message = f"{self.url}: the token is wrong or has expired, or legacy tokens are off: make a new one"
        elif status == 403:
            message = f"{self.url}: this token's user may not do {method} {path}: ask for access ({words})"
        elif status == 429:
            message = f"{self.url}: too many requests ({method} {path}): run it again later"
        else:
            message = f"{self.url}: {method} {path} failed with status {status}: {words}"
        return ServerError(self._scrub(message), status=status, maybe_done=maybe_done)

    def _scrub(self, message: str) -> str:
        return " ".join(_JWT.sub("[token]", message.replace(self._token, "[token]")).split())

    # --- what every command needs ---

    def check_version(self) -> str:
        """Return the server's version, after checking that this library can speak to it and that the token holds.

        Raises:
            ServerError: a version that is too old or of another major, or the token is refused.
        """
        answer = self.get("api/version/")
        version = str(answer.get("release", "")) if isinstance(answer, Mapping) else ""
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if numbers is None:
            raise ServerError(f"{self.url}: it states no version: is this a Label Studio?")
        pair = int(numbers[1]), int(numbers[2])
        if not (pair >= _OLDEST and pair[0] < _NEXT_MAJOR):
            raise ServerError(
                f"{self.url}: Label Studio {version}: this was proven with {PROVEN} and needs 1.20 or later, below 2.0"
            )
        if pair != tuple(int(n) for n in PROVEN.split(".")[:2]):
            _log.warning("Label Studio %s: proven with %s only", version, PROVEN)
        self.get("api/current-user/whoami")
        return version

    def pages(
        self,
        path: str,
        params: Mapping[str, Any],
        *,
        items: str,
        keep: Callable[[dict[str, Any]], _T],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[_T]:
        """Read a whole listing, page by page, and check that it is whole; each item once, by id.

        Args:
            path: of the listing.
            params: filters; the order must not change under writing (order by id).
            items: the key of the items in an answer.
            keep: what to hold of an item.
            progress: called with the number read and the total.

        Raises:
            ServerError: a page failed, or the pages do not make up the total that the server states.
        """
        found: dict[int, _T] = {}
        total = 0
        for _ in range(3):  # tasks may come or go while pages are read: then once more from the start
            found.clear()
            page, total = 1, 1
            while (page - 1) * PAGE_SIZE < total:
                try:
                    answer = self.get(path, {**params, "page": page, "page_size": PAGE_SIZE})
                except ServerError as error:
                    if error.status == 404 and page > 1:  # shrunk below this page
                        break
                    raise
                total = int(answer.get("total", answer.get("count", 0)))
                found.update((int(item["id"]), keep(item)) for item in answer[items])
                if progress is not None:
                    progress(len(found), total)
                page += 1
            if len(found) == total:
                return [found[key] for key in sorted(found)]
            _log.info("listing %s: %d of %d items, reading again", path, len(found), total)
        raise ServerError(
            f"{self.url}: GET {path}: the pages held {len(found)} items of {total}: the list is not whole, run it again"
        )
