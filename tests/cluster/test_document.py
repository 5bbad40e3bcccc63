"""The session that docs/kubernetes.md shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs import on_cluster, transcript

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.cluster.nodes import Nodes

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/kubernetes.md"


@pytest.mark.cluster
@pytest.mark.timeout(240)
def test_the_session_of_the_document_is_what_happens(
    api: Api, kubeconfig: str, nodes: Nodes, image: str, tmp_path: Path
) -> None:
    (block,) = re.findall(r"```console\n(netobserv> .*?)```", DOCUMENT.read_text(), re.DOTALL)
    expected = transcript.parse(block)
    assert [each.command for each in expected] == list(on_cluster.COMMANDS)
    with on_cluster.shop(api, kubeconfig, nodes, image) as shop:
        really = shop.run(on_cluster.COMMANDS, tmp_path)
    for ours, theirs in zip(really, expected, strict=True):
        assert [on_cluster.likeness(line) for line in ours.answer] == [
            on_cluster.likeness(line) for line in theirs.answer
        ]
    assert (tmp_path / "client.pcapng").stat().st_size > 1000
