"""A configuration error ends the process with 1 and says where: file, line, field path, reason."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.differential.bad_configs import BAD, GOOD
from tests.support.proxies import mesh_binary

_BY_ID = {bad.id: bad for bad in BAD}
_CHAIN = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config"
_ROUTE = f"{_CHAIN}.route_config.virtual_hosts[0].routes[0]"

# id -> the field path in the message
_PATHS = {
    "unknown_top_field": "bogus_field",
    "unknown_listener_field": "static_resources.listeners[0].bogus",
    "unknown_hcm_field": f"{_CHAIN}.bogus",
    "unknown_route_field": f"{_ROUTE}.route.bogus",
    "wrong_type_number": "static_resources.listeners[0].address.socket_address.port_value",
    "wrong_type_string": f"{_CHAIN}.stat_prefix",
    "bad_duration": "static_resources.clusters[0].connect_timeout",
    "bad_duration_text": "static_resources.clusters[0].connect_timeout",
    "bad_enum": "static_resources.clusters[0].type",
    "pgv_stat_prefix_empty": f"{_CHAIN}.stat_prefix",
    "pgv_cluster_name_empty": "static_resources.clusters[0].name",
    "pgv_port_range": "static_resources.listeners[0].address.socket_address.port_value",
    "pgv_connect_timeout_zero": "static_resources.clusters[0].connect_timeout",
    "pgv_domains_empty": f"{_CHAIN}.route_config.virtual_hosts[0].domains",
    "pgv_vhost_name_empty": f"{_CHAIN}.route_config.virtual_hosts[0].name",
    "pgv_direct_status": f"{_ROUTE}.direct_response.status",
    "pgv_max_headers": f"{_CHAIN}.max_request_headers_kb",
    "bad_regex": f"{_ROUTE}.match.safe_regex.regex",
    "unknown_type_url": f"{_CHAIN}.http_filters[0].typed_config",
}


def _run(text: str, folder: Path, *flags: str, name: str = "bootstrap.yaml") -> tuple[int, str]:
    path = folder / name
    path.write_text(text)
    argv = [str(mesh_binary()), "proxy", "-c", str(path), *flags]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr + done.stdout


@pytest.mark.parametrize("name", list(_PATHS))
def test_file_line_and_field_path(name: str, tmp_path: Path) -> None:
    """`bootstrap.yaml:12` (a column may follow), the whole path of the field."""
    bad = _BY_ID[name]
    code, said = _run(bad.text, tmp_path)
    assert code == 1, said
    assert f"bootstrap.yaml:{bad.line}" in said
    assert _PATHS[name] in said
    assert "Traceback" not in said


def test_json_bootstrap_errors_have_a_line(tmp_path: Path) -> None:
    """The same for JSON."""
    tree = yaml.safe_load(GOOD)
    tree["static_resources"]["clusters"][0]["bogus"] = 1
    text = json.dumps(tree, indent=1)
    line = text[: text.index('"bogus"')].count("\n") + 1
    code, said = _run(text, tmp_path, name="bootstrap.json")
    assert code == 1
    assert f"bootstrap.json:{line}" in said
    assert "static_resources.clusters[0].bogus" in said


def test_config_yaml_flag_errors(tmp_path: Path) -> None:
    """--config-yaml is merged over the file; its errors name it."""
    code, said = _run(GOOD, tmp_path, "--config-yaml", "bogus: 1", "--mode", "validate")
    assert code == 1
    assert "bogus" in said


def test_config_yaml_overrides(tmp_path: Path) -> None:
    """A good override is taken."""
    code, said = _run(
        GOOD, tmp_path, "--config-yaml", "node: {id: other, cluster: c}", "--mode", "validate"
    )
    assert code == 0, said


def test_missing_file(tmp_path: Path) -> None:
    """Named, exit 1."""
    argv = [str(mesh_binary()), "proxy", "-c", str(tmp_path / "nope.yaml")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "nope.yaml" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_no_configuration() -> None:
    """Neither -c nor --config-yaml."""
    argv = [str(mesh_binary()), "proxy"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_port_in_use(tmp_path: Path) -> None:
    """A listener that cannot bind is an error that names the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = _run(GOOD.replace("10000", str(port)), tmp_path)
    assert code == 1
    assert str(port) in said


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("http", "envoy.extensions.filters.http.lua.v3.Lua"),
        ("http", "envoy.extensions.filters.http.wasm.v3.Wasm"),
        ("http", "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor"),
        ("network", "envoy.extensions.filters.network.redis_proxy.v3.RedisProxy"),
        ("network", "envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy"),
    ],
)
def test_known_but_not_implemented_is_refused_by_name(kind: str, name: str, tmp_path: Path) -> None:
    """Envoy's extensions that ours does not have yet are named, not ignored."""
    tree = yaml.safe_load(GOOD)
    filters = tree["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    fresh = {"name": "it", "typed_config": {"@type": f"type.googleapis.com/{name}"}}
    if kind == "network":
        filters[:] = [fresh]
    else:
        filters[0]["typed_config"]["http_filters"].insert(0, fresh)
    code, said = _run(yaml.safe_dump(tree), tmp_path, "--mode", "validate")
    assert code == 1
    assert name in said


def test_validate_says_ok(tmp_path: Path) -> None:
    """Envoy's words."""
    code, said = _run(GOOD, tmp_path, "--mode", "validate")
    assert code == 0
    assert f"configuration '{tmp_path / 'bootstrap.yaml'}' OK" in said


@pytest.mark.parametrize(
    "flags",
    [
        ("--concurrency", "2"),
        ("-l", "debug"),
        ("--log-level", "warning"),
        ("--drain-time-s", "5"),
        ("--service-node", "n", "--service-cluster", "c"),
        ("--base-id", "3"),
        ("--disable-hot-restart",),
    ],
    ids=" ".join,
)
def test_flags_are_taken(flags: tuple[str, ...], tmp_path: Path) -> None:
    """Envoy's flags that matter."""
    code, said = _run(GOOD, tmp_path, "--mode", "validate", *flags)
    assert code == 0, said


def test_unknown_flag_is_refused(tmp_path: Path) -> None:
    """With its name."""
    code, said = _run(GOOD, tmp_path, "--mode", "validate", "--no-such-flag")
    assert code != 0
    assert "no-such-flag" in said
