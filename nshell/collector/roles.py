"""Lets through only those whose certificate names the role that a service is for.

Invariant: a service that is not listed here is served to nobody.
"""

from __future__ import annotations

import inspect
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from nshell.roles import Role

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]

_LOG = logging.getLogger(__name__)
_FOR = {"netobserv.agent.v1.AgentLink": Role.AGENT, "netobserv.session.v1.Session": Role.SHELL}
_CALLED = {Role.AGENT: "an agent's", Role.SHELL: "a shell's"}


class RoleGuard(grpc.aio.ServerInterceptor):
    """For a server with mutual TLS; one without knows nothing of its peers."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        service = handler_call_details.method.split("/")[1]
        return _guarded(handler, service)


def _guarded(handler: Handler, service: str) -> Handler:
    """The same handler behind the question who is there."""
    codec = {
        "request_deserializer": handler.request_deserializer,
        "response_serializer": handler.response_serializer,
    }
    serve: Any = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )

    async def reply(request: Any, context: Context) -> Any:
        await _admit(service, context)
        return await serve(request, context)

    async def replies(request: Any, context: Context) -> None:
        await _admit(service, context)
        served = serve(request, context)
        if not inspect.isasyncgen(served):
            await served
            return
        async with aclosing(served):
            async for each in served:
                await context.write(each)

    make: Any = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    guarded: Handler = make(replies if handler.response_streaming else reply, **codec)
    return guarded


async def _admit(service: str, context: Context) -> None:
    problem = _problem(service, context.auth_context().get("peer_uri", ()))
    if problem:
        _LOG.error("refused %s: %s", context.peer(), problem)
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, problem)


def _problem(service: str, uris: Any) -> str:
    """Why a peer with these URIs is not served; empty where it is."""
    wanted = _FOR.get(service)
    shown = {bytes(uri).decode(errors="replace") for uri in uris}
    if wanted in shown:
        return ""
    if wanted is None:
        return f"{service} is for nobody"
    found = next((called for role, called in _CALLED.items() if role in shown), "no role's")
    name = service.rpartition(".")[2]
    return f"{name} takes {_CALLED[wanted]} certificate, and this is {found}"
