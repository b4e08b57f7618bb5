"""What a compromised sidecar gets over the debug port, and over files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from controlplane.xds import type_urls
from tests.integration.three_identities.bank import (
    ADS_DELTA,
    GATE,
    NAMES,
    PATHS,
    bank,
    fetch,
    refused,
)
from tests.support.playing import played


@played
async def test_the_debug_port_shows_no_secret_and_changes_nothing(tmp_path: Path) -> None:
    async with bank(tmp_path) as made, made.channel("gate") as channel:
        # With a stream that holds the key.
        call: Any = channel.stream_stream(ADS_DELTA)()
        for url in (type_urls.CLUSTER, type_urls.SECRET):
            asked = discovery_pb2.DeltaDiscoveryRequest(
                node=GATE.node(), type_url=url, resource_names_subscribe=NAMES[url]
            )
            await call.write(asked.SerializeToString())
            await call.read()
        token = made.running.control.tokens.new_join("bank", "teller")
        before = made.running.control.world.revision
        for path in PATHS:
            status, body = await asyncio.to_thread(fetch, made, "GET", path)
            assert status == 200, path
            for one in (*made.keys, token.encode(), b"PRIVATE KEY", b"x-combination"):
                assert one not in body, path
                assert json.dumps(one.decode())[1:-1].encode() not in body, path
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                status, _ = await asyncio.to_thread(fetch, made, method, path)
                assert status == 405, (method, path)
            # A web page that points its own name here.
            status, _ = await asyncio.to_thread(fetch, made, "GET", path, "evil.example")
            assert status == 403, path
        assert made.running.control.world.revision == before


@pytest.mark.parametrize("port", ["secure_port", "join_port"])
@played
async def test_the_debug_paths_are_on_no_port_of_sidecars(tmp_path: Path, port: str) -> None:
    async with bank(tmp_path) as made:
        member = made.members["thief"] if port == "secure_port" else None
        async with made.running.channel(member) as channel:
            for path in PATHS:
                code, _ = await refused(channel.unary_unary(path.partition("?")[0])(b""))
                assert code is grpc.StatusCode.UNIMPLEMENTED, path


@played
async def test_who_writes_configuration_or_reads_keys_must_own_the_files(tmp_path: Path) -> None:
    """`mesh apply`, `get` and `delete` have no port: their proof is the folder."""
    async with bank(tmp_path) as made:
        assert made.members
        for path in (tmp_path / "state").rglob("*"):
            mode = path.stat().st_mode & 0o777
            if path.is_dir() or "key" in path.name or "token" in path.name:
                assert mode & 0o077 == 0, path
        assert (tmp_path / "state").stat().st_mode & 0o077 == 0
