"""The API server as the collector asks it: raw JSON, no model classes, streams that can be cut.

Invariant: called from threads of its own; whatever goes wrong leaves here as an
AccessError of one line. Credentials are read again when the server refuses them.
"""

# ruff: noqa: PLC0415 - imports inside functions: `kubernetes` takes a third of a second

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from nshell.xdg import from_home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nshell.collector.kube.connections import Handles
    from nshell.collector.kube.parse import Json

DEFAULT_KUBECONFIG = "~/.kube/config"
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
UNAUTHORIZED = 401
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
_CHUNK_BYTES = 1 << 16
_MESSAGE_LETTERS = 200


class AccessError(Exception):
    """The server cannot be asked, or refuses; str() is the line for the user."""

    def __init__(self, line: str, *, status: int = 0) -> None:
        super().__init__(" ".join(line.split()))
        self.status = status
        """Of HTTP; 0 where there was no answer."""


class ApiServer:
    """Asked as whoever the pod's service account is, else as KUBECONFIG says."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Any = None
        self._handles: Handles | None = None
        self._cut = False

    def get(self, path: str, **query: str | int) -> Json:
        """An object or a list."""
        return self.request("GET", path, query)

    def request(
        self,
        method: str,
        path: str,
        query: dict[str, str | int] | None = None,
        *,
        body: Json | None = None,
    ) -> Json:
        """The server's answer to anything."""
        query = query or {}
        with self._answer(method, path, query, body=body, read_seconds=READ_SECONDS) as response:
            try:
                answer: Json = json.loads(_read(response))
            except ValueError as error:
                raise AccessError(f"the API server does not answer in JSON: {error}") from error
        return answer

    def watch(self, path: str, *, read_seconds: float, **query: str | int) -> Iterator[list[Json]]:
        """Events as they come, those that came together in one list.

        The first list is empty: the server has begun to answer. Ends when the server
        ends the stream; AccessError when it breaks or is silent for too long.
        """
        with self._answer("GET", path, query, read_seconds=read_seconds) as response:
            yield []
            rest = b""
            for chunk in _chunks(response):
                *lines, rest = (rest + chunk).split(b"\n")
                try:
                    events = [json.loads(line) for line in lines if line]
                except ValueError as error:
                    raise AccessError(f"the API server's stream is no JSON: {error}") from error
                if events:
                    yield events

    def forget_credentials(self) -> None:
        """Read them anew before the next request."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.rest_client.pool_manager.clear()

    def cut(self) -> None:
        """End every request at once, from any thread; there are no more."""
        with self._lock:
            self._cut = True
            handles = self._handles
        if handles is not None:
            handles.cut()

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        query: dict[str, str | int],
        *,
        read_seconds: float,
        body: Json | None = None,
    ) -> Iterator[Any]:
        """An open response of status 2xx."""
        import urllib3

        client = self._connected()
        headers = {"Accept": "application/json", "User-Agent": "netobserv-collector"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = client.configuration.host + path + ("?" + urlencode(query) if query else "")
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds)
        try:
            client.update_params_for_auth(headers, [], ["BearerToken"])
            response = client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body),
                headers=headers,
                timeout=timeout,
                preload_content=False,
                retries=False,
            )
        except Exception as error:
            raise AccessError(
                f"no API server at {client.configuration.host}: {_why(error)}"
            ) from error
        try:
            if response.status >= 300:
                raise _refusal(response)
            yield response
        finally:
            # What was not read to its end cannot serve another request.
            response.close()

    def _connected(self) -> Any:
        with self._lock:
            if self._cut:
                raise AccessError("at its end")
            if self._client is None:
                from nshell.collector.kube.connections import Handles

                self._client = _client()
                self._handles = self._handles or Handles()
                self._handles.adopt(self._client.rest_client.pool_manager)
            return self._client


def _client() -> Any:
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        if os.environ.get(_IN_CLUSTER):
            config.load_incluster_config(configuration)
        else:
            config.load_kube_config(_kubeconfig(), client_configuration=configuration)
        made = client.ApiClient(configuration)
    except AccessError:
        raise
    except Exception as error:
        raise AccessError(f"cannot read the credentials: {_why(error)}") from error
    return made


def _kubeconfig() -> str:
    """One or several files, as the variable has them."""
    path = os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG
    names = [from_home(each) for each in path.split(os.pathsep) if each]
    if not any(each.is_file() for each in names):
        raise AccessError(f"no cluster: neither in a pod nor is there a {path}")
    return path


def _read(response: Any) -> bytes:
    return b"".join(_chunks(response))


def _chunks(response: Any) -> Iterator[bytes]:
    try:
        yield from response.stream(_CHUNK_BYTES, decode_content=True)
    except Exception as error:
        raise AccessError(f"the API server's answer broke off: {_why(error)}") from error


def _refusal(response: Any) -> AccessError:
    status, reason = response.status, ""
    with suppress(AccessError, ValueError, AttributeError):
        reason = str(json.loads(_read(response)).get("message") or "")[:_MESSAGE_LETTERS]
    return AccessError(f"HTTP {status}: {reason or response.reason or 'refused'}", status=status)


def _why(error: BaseException) -> str:
    """The innermost reason in one line."""
    while (inner := getattr(error, "reason", None) or error.__cause__) is not None:
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = str(error) or type(error).__name__
    # urllib3 begins with the object's address.
    return text.rpartition(">: ")[2][:_MESSAGE_LETTERS]
