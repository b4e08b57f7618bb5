"""controlplane.app: what cannot be used is said in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane import app


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("ca/root.pem", "ca/root.pem: holds no certificate in PEM"),
        ("tokens/join-tokens.json", "join-tokens.json: cannot be read; remove it"),
        ("tokens/token-key", "tokens/token-key: holds no key; remove it"),
        ("registered.json", "registered.json: holds no registrations"),
    ],
)
def test_a_state_that_is_broken(
    tmp_path: Path, file: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "state" / file
    path.parent.mkdir(parents=True)
    path.write_text("x")
    flags = [
        part
        for name in ("secure", "join", "debug")
        for part in (f"--{name}-address", "127.0.0.1:0")
    ]
    config = ["--config", str(tmp_path / "config"), "--state", str(tmp_path / "state")]
    assert app.main([*config, *flags]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mesh control: ")
    assert why in line


@pytest.mark.parametrize("flag", ["--debounce-after", "--debounce-max"])
@pytest.mark.parametrize("value", ["soon", "100", "-1s", "61s", "2m"])
def test_a_debounce_is_a_duration_of_a_minute_at_most(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, value: str
) -> None:
    folders = ["--config", str(tmp_path), "--state", str(tmp_path / "state")]
    assert app.main([*folders, f"{flag}={value}"]) == 1
    said = capsys.readouterr().err
    assert said == f"mesh control: {flag} {value}: must be a duration from 0s to 1m: 100ms, 1s\n"


@pytest.mark.parametrize("flag", ["--secure-address", "--join-address", "--debug-address"])
@pytest.mark.parametrize("value", ["x", ":15012", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000"])
def test_an_address_is_host_and_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, value: str
) -> None:
    folders = ["--config", str(tmp_path), "--state", str(tmp_path / "state")]
    assert app.main([*folders, f"{flag}={value}"]) == 1
    said = capsys.readouterr().err
    assert said == f"mesh control: {flag} {value}: write HOST:PORT, as in 127.0.0.1:15012\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "mesh control: {file}: No such file or directory\n"),
        (b"a: 1\nb: \xff\n", "mesh control: {file}: is no MeshConfig: is not UTF-8\n"),
        (b"- a\n", "mesh control: {file}: is no MeshConfig: must be an object\n"),
        (
            b"accessLogFile: /dev/stdout\ntrustDomian: x\n",
            "mesh control: {file}:2: trustDomian: there is no such field; did you mean trustDomain",
        ),
    ],
)
def test_a_mesh_config_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes | None, says: str
) -> None:
    file = tmp_path / "mesh.yaml"
    if text is not None:
        file.write_bytes(text)
    folders = ["--config", str(tmp_path / "config"), "--state", str(tmp_path / "state")]
    assert app.main([*folders, "--mesh-config", str(file)]) == 1
    assert capsys.readouterr().err.startswith(says.format(file=file))


@pytest.mark.parametrize(
    ("operator", "why"),
    [
        ("admin", "'admin' is not spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT"),
        ("spiffe://cluster.local/ns/a/sa/", "is not spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT"),
        ("spiffe://other/ns/a/sa/b", "spiffe://other/ns/a/sa/b is of another trust domain than"),
    ],
)
def test_an_operator_that_nobody_can_prove_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], operator: str, why: str
) -> None:
    folders = ["--config", str(tmp_path), "--state", str(tmp_path / "state")]
    assert app.main([*folders, "--operator", operator]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mesh control: --operator: ")
    assert why in line
