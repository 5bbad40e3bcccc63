"""An API server, asked in JSON through the `kubernetes` package.

Invariant: whatever goes wrong leaves here as an ApiError of one line; objects are
dicts as the server has them. Its calls wait, so they belong in threads.
"""

# ruff: noqa: PLC0415 - imports inside functions: `kubernetes` takes half a second

from __future__ import annotations

import json
import logging
import os
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from nshell.shell.errors import did_you_mean
from nshell.shell.escape import escape
from nshell.xdg import from_home

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nshell.cluster.manifests import Object

FIELD_MANAGER = "netobserv"
WRONG = "Configuration"
"""Reason of an error that trying again does not help."""
DEFAULT_KUBECONFIG = "~/.kube/config"
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0
_APPLY = "application/apply-patch+yaml"
_JSON = "application/json"
_UNAUTHORIZED, _NOT_FOUND = 401, 404


class ApiError(Exception):
    """The API server cannot be asked, or refuses; str() is the line for the user."""

    def __init__(self, line: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(escape(" ".join(line.split())))
        self.status = status
        """Of HTTP; 0 where there was no answer."""
        self.reason = reason
        """The server's own word, such as `AlreadyExists`."""


class Api:
    """One API server, asked as whoever the kubeconfig says."""

    def __init__(self, client: Any, *, context: str = "") -> None:
        self._client = client
        self._resources: dict[str, dict[str, Object]] = {}
        self.context = context
        """Of the kubeconfig."""

    @classmethod
    def connect(cls, kubeconfig: str | None = None, context: str | None = None) -> Api:
        """Read the kubeconfig and see that the server answers."""
        path = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG
        with _log_aside() as said:
            client, name = _load(path, context, asked=bool(kubeconfig))
        if said:
            raise ApiError(f"{path}: no credentials for context {name}: {said[-1]}")
        api = cls(client, context=name)
        _ = api.server_version
        return api

    @property
    def server(self) -> str:
        """Its URL."""
        return str(self._client.configuration.host)

    @cached_property
    def server_version(self) -> str:
        """Such as `v1.31.2`."""
        return str(self.get("/version").get("gitVersion", ""))

    @property
    def configuration(self) -> Any:
        """The client's, for connections that are no plain requests."""
        return self._client.configuration

    def authorization(self) -> dict[str, str]:
        """The headers that say who asks."""
        headers: dict[str, str] = {}
        self._client.update_params_for_auth(headers, [], ["BearerToken"])
        return headers

    def get(self, path: str, **query: object) -> Object:
        """What is at a path, such as `/api/v1/nodes`."""
        return _parsed(self._data("GET", path, None, query))

    def text(self, path: str, **query: object) -> str:
        """What is at a path where that is no JSON, such as a log."""
        return self._data("GET", path, None, query).decode(errors="backslashreplace")

    def request(
        self, method: str, path: str, body: Object | None = None, **query: object
    ) -> Object:
        """Any request with a JSON answer."""
        return _parsed(self._data(method, path, body, query))

    def apply(self, item: Object, *, dry_run: bool = False, manager: str | None = None) -> Object:
        """Server-side apply; the object as the server has it now."""
        query = {"fieldManager": manager or FIELD_MANAGER, "force": "true"}
        if dry_run:
            query["dryRun"] = "All"
        return _parsed(self._data("PATCH", self.path_of(item), item, query, kind=_APPLY))

    def delete(
        self,
        item: Object | str,
        propagation: str = "Background",
        *,
        grace_seconds: int | None = None,
    ) -> bool:
        """Delete an object, or what is at a path; whether it was there."""
        path = item if isinstance(item, str) else self.path_of(item)
        options: Object = {
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation,
        }  # fmt: skip
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self.request("DELETE", path, options)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return False
        return True

    def kinds(self, group_version: str) -> set[str]:
        """The kinds that the server has, none where it lacks the group."""
        return set(self._discovered(group_version))

    def path_of(self, item: Object) -> str:
        """Where an object is, or will be."""
        group_version, kind = item["apiVersion"], item["kind"]
        found = self._discovered(group_version).get(kind)
        if found is None:
            raise ApiError(f"{self.server} has no {kind} of {group_version}", status=_NOT_FOUND)
        meta = item["metadata"]
        within = (
            f"/namespaces/{quote(meta.get('namespace', 'default'))}" if found["namespaced"] else ""
        )
        return f"{_base(group_version)}{within}/{found['name']}/{quote(meta['name'])}"

    def close(self) -> None:
        """Drop its connections."""
        self._client.rest_client.pool_manager.clear()
        self._client.close()

    def _discovered(self, group_version: str) -> dict[str, Object]:
        """Resources by kind, without subresources."""
        if group_version not in self._resources:
            try:
                listed = self.get(_base(group_version)).get("resources", [])
            except ApiError as error:
                if error.status != _NOT_FOUND:
                    raise
                listed = []
            self._resources[group_version] = {
                each["kind"]: each for each in listed if "/" not in each["name"]
            }
        return self._resources[group_version]

    def _data(
        self,
        method: str,
        path: str,
        body: Object | None,
        query: Mapping[str, object],
        *,
        kind: str = _JSON,
    ) -> bytes:
        import urllib3

        url = f"{self.server}{path}"
        if query:
            url += f"?{urlencode(query, doseq=True)}"
        headers = {"Accept": f"{_JSON}, */*", **self.authorization()}
        if body is not None:
            headers["Content-Type"] = kind
        try:
            answer = self._client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
                retries=_retries(),
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(unreachable(self.server, error)) from error
        if not 200 <= answer.status < 300:
            raise self._refused(answer.status, answer.data)
        return bytes(answer.data)

    def _refused(self, status: int, data: bytes) -> ApiError:
        said = {}
        with suppress(ApiError):
            said = _parsed(data)
        reason = str(said.get("reason", ""))
        text = said.get("message") or data[:200].decode(errors="backslashreplace")
        if status == _UNAUTHORIZED:
            text = (
                f"the API server at {self.server} does not know who asks (401 Unauthorized):"
                " log in again, or choose a --context"
            )
        elif not said.get("message"):
            text = f"the API server at {self.server} answers {status} {reason or text}"
        return ApiError(text, status=status, reason=reason)


def unreachable(server: str, error: BaseException) -> str:
    """Why there is no answer, in one line, from what urllib3, ssl or a socket raised."""
    cause = error
    while (inner := _inside(cause)) is not None:
        cause = inner
    return f"no answer from the API server at {server}: {_why(cause)}"


def _inside(error: BaseException) -> BaseException | None:
    """What urllib3 has wrapped."""
    wrapped = (getattr(error, "reason", None), error.__cause__, *error.args[:1])
    return next((each for each in wrapped if isinstance(each, BaseException)), None)


def _why(error: BaseException) -> str:
    import socket
    import ssl

    import urllib3.exceptions as errors

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, (errors.NameResolutionError, socket.gaierror)):
        return "its name is not known"
    if isinstance(error, (errors.TimeoutError, TimeoutError)):
        return "it took too long"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _retries() -> Any:
    import urllib3

    # One more, for a kept connection that the server has closed meanwhile.
    return urllib3.Retry(total=1, connect=0, redirect=0, status=0, read=1, other=0)


def _parsed(data: bytes) -> Object:
    try:
        parsed = json.loads(data or b"{}")
    except ValueError as error:
        raise ApiError("the answer is not of a Kubernetes API server") from error
    if not isinstance(parsed, dict):
        raise ApiError("the answer is not of a Kubernetes API server")
    return parsed


def _base(group_version: str) -> str:
    return f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"


def _load(path: str, context: str | None, *, asked: bool) -> tuple[Any, str]:
    """A client and the name of its context."""
    files = [str(from_home(each)) for each in path.split(os.pathsep) if each]
    if not any(Path(each).is_file() for each in files):
        raise ApiError(
            f"no kubeconfig: {path} is not there; --kubeconfig or KUBECONFIG names one",
            reason=WRONG if asked else "",
        )
    import urllib3
    import yaml
    from kubernetes import config
    from kubernetes.config import ConfigException

    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    merged = os.pathsep.join(files)
    try:
        contexts, current = config.list_kube_config_contexts(merged)
        names = [str(each["name"]) for each in contexts]
        if context is not None and context not in names:
            near = did_you_mean(context, names) or _listed(names)
            raise ApiError(f"no context {context!r} in {path}{near}", reason=WRONG)
        client = config.new_client_from_config(merged, context, persist_config=False)
    except (TypeError, AttributeError, yaml.YAMLError) as error:
        raise ApiError(f"{path} is not a kubeconfig", reason=WRONG) from error
    except (ConfigException, OSError, KeyError, ValueError) as error:
        line = f"{path} is not a kubeconfig that can be used: {error}"
        raise ApiError(line, reason=WRONG) from error
    return client, context or str(current["name"])


def _listed(names: list[str]) -> str:
    return f": there are {', '.join(names[:5])}" if names else ": it has none"


@contextmanager
def _log_aside() -> Iterator[list[str]]:
    """What the package logs while it reads a kubeconfig, off the terminal."""
    said: list[str] = []

    class Aside(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    root, handler = logging.getLogger(), Aside(logging.ERROR)
    root.addHandler(handler)
    try:
        yield said
    finally:
        root.removeHandler(handler)
