"""A change that a shell asks for, made in the session.

Invariant: one that is wrong raises and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.collector.rules import ChangeError

if TYPE_CHECKING:
    from nshell.collector.session import Session
    from nshell.proto import session_pb2 as pb


def change(session: Session, request: pb.ChangeRequest) -> tuple[int, ...]:
    """Make it; the ids of filters that it is about.

    ChangeError or FilterError say what is wrong.
    """
    kind = request.WhichOneof("change")
    if kind is None:
        raise ChangeError("nothing to change")
    asked = getattr(request, kind)
    match kind:
        case "add_filter":
            ids = session.add_filter(list(asked.words))
        case "delete_filters":
            ids = session.delete_filters(list(asked.ids))
        case "replace_filter":
            ids = session.replace_filter(asked.id, list(asked.words))
        case "clear_filters":
            ids = session.clear_filters()
        case "feature":
            ids = session.switch_features(list(asked.names), on=asked.on)
        case "dns_ports":
            ids = session.set(dns_ports=list(asked.ports))
        case _:  # a setting, called alike here and there
            ids = session.set(**{kind: asked})
    return ids
