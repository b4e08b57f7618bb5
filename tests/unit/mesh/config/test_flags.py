"""mesh.config.flags"""

from __future__ import annotations

import pytest

from mesh.config import flags


def test_defaults_are_envoys() -> None:
    options = flags.parse(["-c", "x.yaml"])
    assert options.config_path == "x.yaml"
    assert (options.mode, options.log_level, options.concurrency) == ("serve", "info", 0)
    assert (options.drain_time_s, options.parent_shutdown_time_s) == (600, 900)


def test_reads_what_istio_and_people_pass() -> None:
    options = flags.parse(
        "-c a.yaml --config-yaml {} --concurrency 2 -l warn --component-log-level "
        "upstream:err,config:trace --drain-time-s=45 --service-node n --service-cluster=c "
        "--base-id 7 --disable-hot-restart --restart-epoch 0 --drain-strategy gradual "
        "--parent-shutdown-time-s 60 --local-address-ip-version v4".split()
    )
    assert (options.concurrency, options.log_level, options.drain_time_s) == (2, "warning", 45)
    assert options.component_levels() == [("upstream", "error"), ("config", "trace")]
    assert (options.service_node, options.service_cluster) == ("n", "c")


def test_reads_what_pilot_agent_passes() -> None:
    line = (
        "-c etc/istio/proxy/envoy-rev.json --drain-time-s 45 --drain-strategy immediate "
        "--local-address-ip-version v6 --file-flush-interval-msec 500 --disable-hot-restart "
        "--allow-unknown-static-fields -l warning --component-log-level misc:error "
        "--skip-deprecated-logs --concurrency 2"
    )
    form = "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t"
    options = flags.parse([*line.split(), "--log-format", form])
    assert options.log_format == form
    assert (options.drain_time_s, options.drain_strategy) == (45, "immediate")
    assert (options.ip_version, options.file_flush_interval_msec) == ("v6", 500)
    assert options.allow_unknown_static
    assert not options.ignore_unknown_dynamic
    assert options.component_levels() == [("misc", "error")]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "no configuration"),
        ("envoy.yaml", "-c envoy.yaml"),
        ("--bogus 1", "there is no flag --bogus"),
        ("--config-pat x", "Did you mean --config-path?"),
        ("-c", "--config-path needs a value"),
        ("-c x --config-path y", "--config-path is given twice"),
        ("-c x --mode run", "unknown mode 'run'"),
        ("-c x --concurrency two", "--concurrency needs a whole number from 0; 'two'"),
        ("-c x --concurrency -1", "'-1'"),
        ("-c x --concurrency 4294967296", "4294967296"),
        ("-c x -l loud", "no level 'loud'"),
        ("-c x --component-log-level upstream", "not NAME:LEVEL"),
        ("-c x --component-log-level upstream:loud", "no level 'loud'"),
        ("-c x --disable-hot-restart=yes", "takes no value"),
        ("-c x --restart-epoch 1", "--restart-epoch 1 is not supported"),
        ("-c x --drain-strategy never", "--drain-strategy never is not supported"),
        ("-c x --local-address-ip-version v5", "--local-address-ip-version v5 is not supported"),
        ("-c x --file-flush-interval-msec x", "--file-flush-interval-msec needs a whole number"),
        (
            "-c x --reject-unknown-dynamic-fields --ignore-unknown-dynamic-fields",
            "exclude each other",
        ),
        ("-c x --stats-tag a:b", "--stats-tag is not supported"),
    ],
)
def test_refusals_name_the_flag(line: str, says: str) -> None:
    with pytest.raises(flags.FlagError) as refused:
        flags.parse(line.split())
    assert says in str(refused.value)


def test_every_flag_has_its_place() -> None:
    options = flags.Options()
    for name, flag in flags.FLAGS.items():
        assert hasattr(options, flag.attribute), name
        assert name in flags.usage()
    for name, flag in flags.REFUSED.items():
        assert flag.refused, name
        assert name not in flags.FLAGS
