"""A real API server, for tests: apply, look, ask who may do what."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nshell.cluster.manifests import Object

_CONNECT_SECONDS = 5
_GONE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Api:
    """What the tests ask of it."""

    client: Any

    @classmethod
    @contextmanager
    def connect(cls, kubeconfig: str, *, cache: Path) -> Iterator[Api]:
        """Skips where no server answers."""
        import urllib3  # noqa: PLC0415 - not where there is no cluster
        from kubernetes import client, config, dynamic  # noqa: PLC0415

        with config.new_client_from_config(kubeconfig) as connection:
            try:
                client.VersionApi(connection).get_code(_request_timeout=_CONNECT_SECONDS)
            except urllib3.exceptions.HTTPError as error:
                pytest.skip(f"no cluster: {kubeconfig}: {type(error).__name__}")
            yield cls(dynamic.DynamicClient(connection, cache_file=str(cache)))

    def apply(self, item: Object, *, dry_run: bool = False, manager: str = "session") -> Object:
        """Server-side; the server's answer or its exception."""
        options = {"dry_run": "All"} if dry_run else {}
        answer: Object = (
            self._kind(item)
            .server_side_apply(
                body=item,
                name=item["metadata"]["name"],
                namespace=item["metadata"].get("namespace"),
                field_manager=f"netobserv-{manager}",
                **options,
            )
            .to_dict()
        )
        return answer

    def delete(self, item: Object) -> None:
        from kubernetes.dynamic.exceptions import NotFoundError  # noqa: PLC0415

        try:
            self._kind(item).delete(
                name=item["metadata"]["name"], namespace=item["metadata"].get("namespace")
            )
        except NotFoundError:
            return

    def exists(self, item: Object) -> bool:
        from kubernetes.dynamic.exceptions import NotFoundError  # noqa: PLC0415

        try:
            self._kind(item).get(
                name=item["metadata"]["name"], namespace=item["metadata"].get("namespace")
            )
        except NotFoundError:
            return False
        return True

    def items(self, version: str, kind: str, **query: str) -> list[Object]:
        """All of a kind, or those that `namespace` and `label_selector` leave."""
        found = self.client.resources.get(api_version=version, kind=kind).get(**query)
        return list(found.to_dict()["items"])

    def text(self, path: str) -> str:
        """What is no object, such as a log."""
        answer = self.client.client.call_api(
            path, "GET", auth_settings=["BearerToken"], response_type="str", _preload_content=False
        )
        return str(answer[0].data.decode())

    def watch(self, version: str, kind: str, **query: Any) -> Iterator[tuple[str, Object]]:
        """Events as they come: (ADDED, MODIFIED or DELETED; the object)."""
        resource = self.client.resources.get(api_version=version, kind=kind)
        for event in resource.watch(**query):
            yield event["type"], event["object"].to_dict()

    def patch(self, item: Object) -> None:
        """Merge into what is there; None takes a value away."""
        self._kind(item).patch(
            body=item, name=item["metadata"]["name"],
            namespace=item["metadata"].get("namespace"),
            content_type="application/merge-patch+json",
        )  # fmt: skip

    def label_node(self, name: str, label: str, value: str | None) -> None:
        """None takes the label off."""
        labels = {label: value}
        self.patch(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        )

    def wait_gone(self, item: Object) -> None:
        deadline = time.monotonic() + _GONE_SECONDS
        while self.exists(item):
            assert time.monotonic() < deadline, f"{item['kind']} is still there"
            time.sleep(0.2)

    def may(self, account: str, verb: str, resource: str, **where: str) -> bool:
        """Whether a service account (NAMESPACE:NAME) has a right; resource as `[group/]plural`."""
        group, _, plural = resource.rpartition("/")
        namespace = account.partition(":")[0]
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{account}",
                "groups": [
                    "system:serviceaccounts", f"system:serviceaccounts:{namespace}",
                    "system:authenticated",
                ],
                "resourceAttributes": {
                    "verb": verb, "group": group, "resource": plural, **where,
                },
            },
        }  # fmt: skip
        return bool(self._kind(review).create(body=review).status.allowed)

    def _kind(self, item: Object) -> Any:
        return self.client.resources.get(api_version=item["apiVersion"], kind=item["kind"])
