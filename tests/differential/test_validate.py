"""Bad bootstraps: what the stock Envoy refuses, ours refuses; what it takes, ours takes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.differential.bad_configs import BAD, GOOD, ODD, Bad
from tests.support.proxies import envoy_binary, mesh_binary

# Where ours is stricter: id -> why. Mirrored in docs/differences.md.
STRICTER = {
    "yaml_duplicate_key": "a key that is given twice is a mistake; Envoy keeps one of them silently",
    "no_http_filters": "nothing would be served",
}

# Taken by `--mode validate`, refused when serving; each a line of docs/differences.md.
NOT_OPENED = {"log_bad_path": "validating opens nothing"}


def _validate(argv: list[str], text: str, folder: Path) -> tuple[int, str]:
    path = folder / "bootstrap.yaml"
    path.write_text(text)
    argv = [*argv, "--mode", "validate", "-c", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def _ours(text: str, folder: Path) -> tuple[int, str]:
    return _validate([str(mesh_binary()), "proxy"], text, folder)


def test_good_one_is_taken(tmp_path: Path) -> None:
    """The bootstrap the bad ones are made from."""
    assert _validate([str(envoy_binary())], GOOD, tmp_path)[0] == 0
    code, said = _ours(GOOD, tmp_path)
    assert code == 0, said


@pytest.mark.parametrize("bad", [*BAD, *ODD], ids=lambda bad: bad.id)
def test_same_verdict_as_envoy(bad: Bad, tmp_path: Path) -> None:
    """Exit code 0 or 1, as Envoy; an accepted stricter verdict must still be stricter."""
    envoy, _ = _validate([str(envoy_binary()), "-l", "off"], bad.text, tmp_path)
    ours, said = _ours(bad.text, tmp_path)
    assert envoy == (1 if bad in BAD else 0)
    wanted = 1 if bad.id in STRICTER else 0 if bad.id in NOT_OPENED else envoy
    assert ours == wanted, said


@pytest.mark.parametrize(
    "bad", [bad for bad in BAD if bad.id not in NOT_OPENED], ids=lambda bad: bad.id
)
def test_ours_names_the_fault(bad: Bad, tmp_path: Path) -> None:
    """The file with a line, and the field or value that is wrong; no Python traceback."""
    code, said = _ours(bad.text, tmp_path)
    assert code == 1, said
    assert "bootstrap.yaml:" in said
    assert "Traceback" not in said
    for name in bad.names:
        assert name in said
