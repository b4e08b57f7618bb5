"""Hidden values: equal by content, shown by nothing."""

import json
import pickle

import pytest

from controlplane.resources.hidden import Hidden


def test_equality_is_by_content() -> None:
    assert Hidden(b"a") == Hidden(b"a")
    assert Hidden(b"a") != Hidden(b"b")
    assert Hidden(b"a") != b"a"
    assert len({Hidden(b"a"), Hidden(b"a")}) == 1


def test_nothing_shows_or_takes_it_out() -> None:
    hidden = Hidden(b"secret")
    assert f"{hidden} {hidden!r}" == "*** ***"
    assert not hasattr(hidden, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(hidden)
    with pytest.raises(TypeError):
        json.dumps(hidden)
