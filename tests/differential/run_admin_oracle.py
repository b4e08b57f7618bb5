"""Asks the stock Envoy's admin port everything and writes the answers into oracle/admin.

python -m tests.differential.run_admin_oracle
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.differential.admin_probe import FOLDER, QUESTIONS, AdminLab, shape
from tests.support.proxies import ENVOY


def main() -> int:
    """Entry point."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        lab = AdminLab(ENVOY, Path(folder))
        try:
            write(lab, "stats_idle.txt", stable_stats(lab.ask("/stats").body))
            lab.traffic()
            write(lab, "stats_no_flush_yet.txt", lab.ask("/stats?filter=upstream_rq_time").body)
            time.sleep(5.5)  # Envoy's histograms appear at the flush
            write(lab, "stats_usedonly.txt", stable_stats(lab.ask("/stats?usedonly").body))
            write(
                lab, "stats.json", lab.ask("/stats?format=json&filter=cluster.a.upstream_rq").body
            )
            write(lab, "prometheus.txt", lab.ask("/stats/prometheus?usedonly").body)
            for name in ("cumulative", "disjoint", "detailed", "summary"):
                target = f"/stats?filter=a.upstream_rq_time$&histogram_buckets={name}"
                write(lab, f"histogram_{name}.txt", lab.ask(target).body)
            lines = lab.normal(lab.ask("/clusters").body).splitlines(keepends=True)
            lines.sort(key=lambda line: line.split("::")[0])  # Envoy's order of clusters is random
            write(lab, "clusters.txt", "".join(lines))
            write(lab, "clusters.json", lab.ask("/clusters?format=json").body)
            write(lab, "listeners.txt", lab.ask("/listeners").body)
            write(lab, "listeners.json", lab.ask("/listeners?format=json").body)
            write(lab, "certs.json", lab.ask("/certs").body)
            write(lab, "memory.txt", masked(lab.ask("/memory").body))
            write(lab, "runtime.json", lab.ask("/runtime").body)
            write(lab, "help.txt", lab.ask("/help").body)
            write(lab, "logging.txt", lab.ask("/logging", "POST").body)
            write(lab, "logging_bad_level.txt", lab.ask("/logging?level=bogus", "POST").body)
            info = json.loads(lab.ask("/server_info").body)
            info["node"]["extensions"] = info["node"]["extensions"][:2]
            info["command_line_options"]["config_path"] = "<path>"
            save_json("server_info.json", info)
            dump = json.loads(lab.ask("/config_dump").body)
            for config in dump["configs"]:
                kind = config["@type"].rsplit(".", 1)[1]
                if kind == "BootstrapConfigDump":
                    del config["bootstrap"]["node"]["extensions"]
                write(lab, f"config_dump_{kind}.json", json.dumps(config, indent=1) + "\n")
            save_json("config_dump_order.json", [c["@type"] for c in dump["configs"]])
            eds = json.loads(lab.ask("/config_dump?include_eds").body)
            config = next(c for c in eds["configs"] if "Endpoints" in c["@type"])
            write(lab, "config_dump_EndpointsConfigDump.json", json.dumps(config, indent=1) + "\n")
            save_json("shape_config_dump.json", shape(dump))
            answers: list[dict[str, Any]] = []
            for method, target in QUESTIONS:
                answer = lab.ask(target, method)
                answers.append(
                    {
                        "ask": f"{method} {target}",
                        "status": answer.status,
                        "content-type": answer.header("content-type"),
                        "starts": masked(lab.normal(answer.body))[:160].split("\n")[:3],
                    }
                )
            save_json("answers.json", answers)
            headers = [f"{k}: {v}" for k, v in lab.ask("/ready").headers if k != "date"]
            save_json("headers.json", headers)
            quit_answer = lab.ask("/quitquitquit", "POST")
            save_json(
                "quitquitquit.json",
                {
                    "status": quit_answer.status,
                    "body": quit_answer.body,
                    "exit": lab.proxy.wait_exit(),
                },
            )
        finally:
            lab.stop()
    return 0


def masked(text: str) -> str:
    """Numbers that change from run to run."""
    return re.sub(r"\b\d{4,}\b", "<number>", text)


def stable_stats(text: str) -> str:
    """Stats without the numbers that differ from run to run; histograms by name only."""
    text = re.sub(r"(?m)^([^:\n]+): (P0\(|B0|No recorded).*$", r"\1: <histogram>", text)
    volatile = r"server\.(memory|uptime|stats_recent|version|total_connections)|http\.admin|bytes"
    return re.sub(rf"(?m)^([^:\n]*(?:{volatile})[^:\n]*): \d+$", r"\1: <number>", text)


def write(lab: AdminLab, name: str, text: str) -> None:
    """One golden file."""
    (FOLDER / name).write_text(lab.normal(text))


def save_json(name: str, value: Any) -> None:
    """One golden file of JSON."""
    (FOLDER / name).write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
