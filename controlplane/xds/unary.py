"""Methods of one request and one answer, of which nothing is read before its caller was let in.

gRPC's own unary methods take in a whole message before they are called: whoever can connect could
make us hold as many of them as there are streams. On the wire there is no difference, so these are
streams to gRPC: what a stranger sends stays within the window of HTTP/2, and ends with the refusal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio

LOG = logging.getLogger(__name__)

Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]
#: A request's bytes in, those of the response out. May raise Refused.
Answer: TypeAlias = Callable[[bytes], Awaitable[bytes]]
#: Says who calls, and gives who answers him. May raise Refused.
Admit: TypeAlias = Callable[[Context], Awaitable[Answer]]

#: How long somebody who was let in has for the whole of his request.
SECONDS = 10.0


class Refused(Exception):
    """The call ends with this code and reason."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def method(
    admit: Admit, *, most: int, seconds: float = SECONDS, many: bool = False
) -> grpc.RpcMethodHandler[Any, Any]:
    """For `grpc.method_handlers_generic_handler`. `most`: bytes of a request. `many`: requests come
    one after the other, each is answered."""

    async def serve(_: object, context: Context) -> None:
        try:
            answer = await admit(context)
            data = await _first(context, seconds)
            while data is not grpc.aio.EOF:
                if len(data) > most:
                    text = f"the request has {len(data)} bytes, more than {most}"
                    raise Refused(grpc.StatusCode.INVALID_ARGUMENT, text)
                await context.write(await answer(data))
                if not many:
                    return
                data = await context.read()
            if not many:
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "there is no request")
        except Refused as refused:
            await context.abort(refused.code, str(refused))
        except grpc.aio.AbortError:
            raise
        except Exception:
            LOG.exception("%s: the call ends by a mistake of ours", context.peer())
            text = "a mistake of the control plane: its log says more"
            await context.abort(grpc.StatusCode.INTERNAL, text)

    return grpc.stream_stream_rpc_method_handler(serve)


async def _first(context: Context, seconds: float) -> Any:
    try:
        return await asyncio.wait_for(context.read(), seconds)
    except TimeoutError:
        text = f"no request within {seconds:g} s"
        raise Refused(grpc.StatusCode.DEADLINE_EXCEEDED, text) from None
