"""Rules of WorkloadGroup: cases.yaml has resources, and every line that is said of each."""

from typing import Any

import pytest

from controlplane.resources.workload_group import KIND
from tests.support.documents import cases, problems_of


@pytest.mark.parametrize(("document", "want"), cases(__file__, KIND))
def test_what_is_said(document: dict[str, Any], want: list[str]) -> None:
    assert problems_of(document) == want
