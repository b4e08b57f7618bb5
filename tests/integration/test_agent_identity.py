"""The agent's certificate against a control plane as it runs: machines that sleep, answers that are
lost, tokens that are used up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.agent import identity as module
from controlplane.agent.identity import Credentials, Identity, Refused
from controlplane.agent.join import Join
from controlplane.ca.authority import new_root, pem
from controlplane.ca.grants import parse
from tests.support.control import Running, controlled
from tests.support.playing import played
from tests.support.ports import free_port

GRANTS = "app=reviews,version=*"


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def joining(running: Running, path: Path, account: str = "reviews") -> Join:
    """A join file, and what is in it."""
    server = running.control.server
    join = Join(
        control=f"localhost:{server.secure_port}",
        join=f"localhost:{server.join_port}",
        roots=running.roots.decode(),
        namespace="default",
        service_account=account,
        trust_domain="cluster.local",
        grants=GRANTS,
        token=running.control.tokens.new_join("default", account, grants=parse(GRANTS)),
    )
    path.write_bytes(join.to_json())
    return join


class Agent:
    """An identity that is kept, and what it was given."""

    def __init__(self, running: Running, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.given: asyncio.Queue[Credentials] = asyncio.Queue()
        self.identity = Identity(joining(running, path), self.given.put_nowait, path, self.clock)

    async def __aenter__(self) -> Agent:
        await self.identity.obtain()
        await self.given.get()
        self._task = asyncio.create_task(self.identity.keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(module, "_LEAST_SECONDS", 0.0)


def proofs(folder: Path) -> list[str]:
    lines = (folder / "state/audit.jsonl").read_text().splitlines()
    return [line.partition('"proof": "')[2].partition('"')[0] for line in lines]


async def said(caplog: pytest.LogCaptureFixture, text: str) -> str:
    def found() -> str:
        return next((one for one in caplog.messages if text in one), "")

    while not found():
        await asyncio.sleep(0.005)
    return found()


@played
async def test_half_of_the_life_is_told_by_the_clock(tmp_path: Path) -> None:
    """Timers stand still while a machine sleeps."""
    async with controlled(tmp_path) as running, Agent(running, tmp_path / "a.join") as agent:
        first = agent.identity.held
        agent.clock.ahead = timedelta(hours=13)
        second = await agent.given.get()
        agent.clock.ahead = timedelta()
        assert second.serial != first.serial
        assert proofs(tmp_path)[:2] == ["join token", f"certificate {first.serial:x}"]


@played
async def test_a_machine_that_slept_for_days_comes_back(tmp_path: Path) -> None:
    async with controlled(tmp_path) as running, Agent(running, tmp_path / "a.join") as agent:
        first = agent.identity.held
        agent.clock.ahead = timedelta(days=3)
        await agent.given.get()
        agent.clock.ahead = timedelta()
        assert proofs(tmp_path)[:2] == ["join token", f"ended certificate {first.serial:x}"]


@played
async def test_who_slept_too_long_is_told_the_command_and_needs_no_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "a.join"
    async with (
        # However long it is ahead: nothing is taken.
        controlled(tmp_path, rejoin=timedelta(days=-2)) as running,
        Agent(running, path) as agent,
    ):
        agent.clock.ahead = timedelta(days=3)
        why = await said(caplog, "nobody takes it any more")
        assert "it needs a new join token" in why
        assert (
            f"rm -f {path}; mesh token create -n default --service-account reviews"
            " --service reviews --control localhost:"
        ) in why
        assert proofs(tmp_path) == ["join token"]
        # Of somebody else: not his.
        joining(running, path, "ratings")
        await said(caplog, "is for another workload; it is not used")
        joining(running, path)
        await agent.given.get()
        agent.clock.ahead = timedelta()
        assert proofs(tmp_path) == ["join token", "join token"]


@played
async def test_an_answer_that_was_lost_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Callable[..., Credentials] = module._credentials
    lost: list[int] = []

    def losing(*given: object) -> Credentials:
        if not lost:
            lost.append(1)
            raise ValueError("cut off")
        return read(*given)

    monkeypatch.setattr(module, "_credentials", losing)
    async with controlled(tmp_path) as running:
        join = joining(running, tmp_path / "a.join")
        held = await Identity(join, lambda _: None, tmp_path / "a.join").obtain()
        assert held.serial
        assert proofs(tmp_path) == ["join token", "join token"]


@played
async def test_a_token_that_was_used_by_another_is_refused_with_the_command(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.join"
    async with controlled(tmp_path) as running:
        join = joining(running, path)
        await Identity(join, lambda _: None, path).obtain()
        with pytest.raises(Refused) as raised:
            await Identity(join, lambda _: None, path).obtain()
    assert "used before, for another key" in str(raised.value)
    assert f"rm -f {path}; mesh token create -n default" in str(raised.value)
    assert join.token not in str(raised.value)


@played
async def test_a_control_plane_of_another_root_is_said_so_and_the_next_file_taken_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.join"
    async with controlled(tmp_path) as running:
        right = joining(running, path)
        wrong = replace(right, roots=pem(new_root("cluster.local")[0]).decode(), token="fmjoin_x")
        path.write_bytes(wrong.to_json())
        obtaining = asyncio.create_task(Identity(wrong, lambda _: None, path).obtain())
        why = await said(caplog, "no certificate yet")
        assert f"the control plane there has another root than the join file {path}" in why
        assert f"rm -f {path}; mesh token create -n default --service-account reviews" in why
        assert "CERTIFICATE_VERIFY_FAILED" in why
        path.write_bytes(right.to_json())
        assert (await obtaining).serial


@played
async def test_a_control_plane_that_does_not_run_is_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.join"
    async with controlled(tmp_path) as running:
        joined = replace(joining(running, path), join=f"127.0.0.1:{free_port()}")
    obtaining = asyncio.create_task(Identity(joined, lambda _: None, path).obtain())
    why = await said(caplog, "no certificate yet")
    assert f"({joined.join}): nobody answers; is `mesh control` running? It is waited for" in why
    obtaining.cancel()


@played
async def test_a_state_that_was_replaced_is_said_so_and_needs_no_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A control plane with a new root, while certificates of the old one are good still."""
    path = tmp_path / "a.join"
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    async with controlled(tmp_path / "old") as running:
        server = running.control.server
        ports = {
            "secure": f"127.0.0.1:{server.secure_port}",
            "join": f"127.0.0.1:{server.join_port}",
        }
        agent = Agent(running, path)
        await agent.__aenter__()
    async with controlled(tmp_path / "new", **ports) as running:
        agent.identity.renew()
        why = await said(caplog, "certificate not renewed")
        assert "the control plane there has another root than this workload knows" in why
        joining(running, path)
        await agent.given.get()
        assert agent.identity.held.roots == running.roots
        # And is a member of it.
        agent.identity.renew()
        await agent.given.get()
    await agent.__aexit__()
