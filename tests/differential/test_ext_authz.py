"""`envoy.filters.http.ext_authz`: what clients hear, what arrives upstream, what the server is asked,
log lines and statistics, ours against the stock Envoy, with the same authorization server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.counting import differences
from tests.differential.ext_authz import CUT, ExtAuthzLab, Seen
from tests.differential.ext_authz_scenes import SCENES
from tests.support.proxies import ENVOY, OURS

CASES = [(scene.id, case.id) for scene in SCENES for case in scene.cases]
Both = dict[str, Seen]
each_case = pytest.mark.parametrize("case", CASES, ids=[f"{scene}-{case}" for scene, case in CASES])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """What came of both proxies."""
    lab = ExtAuthzLab(tmp_path_factory.mktemp("ext_authz"), SCENES)
    yield {kind: lab.run(kind) for kind in (ENVOY, OURS)}


@each_case
def test_answers_are_envoys(both: Both, case: tuple[str, str]) -> None:
    """What the client hears."""
    assert both[OURS].answers[case] == both[ENVOY].answers[case]


@each_case
def test_what_arrives_is_envoys(both: Both, case: tuple[str, str]) -> None:
    """The request as the upstream gets it, if it does."""
    assert both[OURS].arrived[case] == both[ENVOY].arrived[case]


@each_case
def test_the_server_is_asked_what_envoy_asks(both: Both, case: tuple[str, str]) -> None:
    """The check, and the call it came by."""
    assert both[OURS].asked[case] == both[ENVOY].asked[case]


@pytest.mark.parametrize("scene", [scene.id for scene in SCENES])
def test_lines_are_envoys(both: Both, scene: str) -> None:
    """Lines of the access log."""
    assert both[OURS].lines[scene] == both[ENVOY].lines[scene]


def test_statistics_are_envoys(both: Both) -> None:
    """Names and values."""
    assert differences(both[ENVOY].stats, both[OURS].stats) == {}
    assert len(both[ENVOY].stats) > 100


def test_tags_are_envoys(both: Both) -> None:
    """For Prometheus."""
    assert sorted(both[OURS].tagged) == sorted(both[ENVOY].tagged)
    assert len(both[ENVOY].tagged) > 100


def test_cases_both_pass_and_fail(both: Both) -> None:
    """The comparison compares something."""
    answers = [str(answer) for answer in both[ENVOY].answers.values() if answer != CUT]
    assert min(sum(status in a for a in answers) for status in ("200 OK", "403 Forb")) > 40
    assert sum(bool(asked) for asked in both[ENVOY].asked.values()) > 100
