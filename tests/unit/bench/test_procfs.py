"""What /proc says of processes and cores."""

import os

from bench import procfs
from bench.procfs import Core, parse_cores, parse_rss, parse_stat

STAT = (
    "4242 (a) b (c) S 1 4242 4242 0 -1 4194560 100 200 0 0 "
    "111 222 3 4 20 0 1 0 12345 1000000 500 18446744073709551615"
)


def test_stat_counts_reaped_children_and_survives_brackets_in_the_name() -> None:
    assert parse_stat(STAT) == (114, 226)


def test_cores_leaves_out_the_sum_and_counts_iowait_as_idle() -> None:
    text = (
        "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 10 1 20 100 5 2 3 4 7 0\ncpu1 0 0 0 50 0 0 0 0 0 0\nintr 1"
    )
    assert parse_cores(text) == {0: Core(busy=40, idle=105), 1: Core(busy=0, idle=50)}


def test_share_of_a_core() -> None:
    assert Core(busy=40, idle=105).share_since(Core(busy=10, idle=95)) == 0.75
    assert Core(busy=40, idle=105).share_since(Core(busy=40, idle=105)) == 0.0


def test_rss_is_in_bytes_and_none_for_a_zombie() -> None:
    assert parse_rss("Name:\tx\nVmPeak:\t 9 kB\nVmRSS:\t    12 kB\n") == 12 * 1024
    assert parse_rss("Name:\tx\nState:\tZ (zombie)\n") == 0


def test_own_cpu_time_grows_with_work_and_agrees_with_the_ticks() -> None:
    before = procfs.cpu(os.getpid())
    spent = 0
    while procfs.cpu(os.getpid()).total - before.total < 60_000:
        spent += sum(range(1000))
    after = procfs.cpu(os.getpid()) - before
    assert after.total >= 60_000
    assert abs(after.total - after.user - after.system) <= 3 * procfs.TICK_US


def test_own_memory_is_more_than_nothing() -> None:
    assert procfs.rss(os.getpid()) > 1024 * 1024
