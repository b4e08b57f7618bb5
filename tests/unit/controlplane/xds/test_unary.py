"""controlplane.xds.unary: nothing is read before somebody was let in, and then within bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from controlplane.xds import unary
from controlplane.xds.unary import Refused
from tests.support.playing import played


async def _echo(data: bytes) -> bytes:
    if data == b"bomb":
        raise RuntimeError("the reason is nobody's business")
    if data == b"no":
        raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "not today")
    return data


async def _let_in(context: unary.Context) -> unary.Answer:
    if ("name", "friend") not in [tuple(one) for one in context.invocation_metadata() or ()]:
        raise Refused(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
    return _echo


@asynccontextmanager
async def serving(**more: Any) -> AsyncIterator[Callable[..., Any]]:
    server = grpc.aio.server()
    handlers = {
        "One": unary.method(_let_in, most=100, **more),
        "Many": unary.method(_let_in, most=100, many=True, **more),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel.stream_stream
    finally:
        await server.stop(0)


FRIEND = (("name", "friend"),)


async def end(call: Any, *requests: bytes, done: bool = True) -> tuple[grpc.StatusCode, str]:
    try:
        for one in requests:
            await call.write(one)
        if done:
            await call.done_writing()
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError:
        pass
    return await call.code(), await call.details()


@played
async def test_a_stranger_is_refused_before_he_has_said_anything() -> None:
    async with serving() as method:
        for name in ("One", "Many"):
            found = await end(method(f"/a.B/{name}")(), done=False)
            assert found == (grpc.StatusCode.UNAUTHENTICATED, "who are you?")


@played
async def test_a_friend_is_answered_as_by_any_unary_method() -> None:
    async with serving() as method:
        call = method("/a.B/One")(metadata=FRIEND)
        await call.write(b"hello")
        await call.done_writing()
        assert await call.read() == b"hello"
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


@played
async def test_one_request_after_the_other() -> None:
    async with serving() as method:
        call = method("/a.B/Many")(metadata=FRIEND)
        for one in (b"1", b"", b"3"):
            await call.write(one)
            assert await call.read() == one
        assert await end(call) == (grpc.StatusCode.OK, "")


@played
async def test_what_is_wrong_is_said() -> None:
    code = grpc.StatusCode
    async with serving() as method:
        for requests, found, why in (
            ((bytes(101),), code.INVALID_ARGUMENT, "has 101 bytes, more than 100"),
            ((), code.INVALID_ARGUMENT, "there is no request"),
            ((b"no",), code.FAILED_PRECONDITION, "not today"),
            ((b"bomb",), code.INTERNAL, "a mistake of the control plane: its log says more"),
        ):
            ended, text = await end(method("/a.B/One")(metadata=FRIEND), *requests)
            assert (ended, why in text) == (found, True), text


@played
async def test_who_was_let_in_and_says_nothing_is_not_waited_for() -> None:
    async with serving(seconds=0.01) as method:
        found = await end(method("/a.B/One")(metadata=FRIEND), done=False)
        assert found == (grpc.StatusCode.DEADLINE_EXCEEDED, "no request within 0.01 s")
