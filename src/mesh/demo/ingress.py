"""First part: one sidecar, routes by file, changes under load."""

from __future__ import annotations

import json
from collections import Counter

from mesh.demo.client import Client, Load
from mesh.demo.services import HttpService
from mesh.demo.show import wait_for
from mesh.demo.sidecar import Sidecar
from mesh.demo.stage import Stage

SERVICES = ("users", "orders-v1", "orders-v2")


def tour(stage: Stage) -> None:
    """Raises Failed."""
    stage.show.step("Three services, and a proxy with an ordinary Envoy configuration")
    for name in SERVICES:
        stage.serve(HttpService(name, stage.port[name]))
        stage.show.say(f"   {name:<10} http://127.0.0.1:{stage.port[name]}")
    sidecar = stage.start("envoy", stage.port["ingress admin"])
    stage.show.check(True, f"live; it listens on http://127.0.0.1:{stage.port['ingress']}")
    _routing(stage)
    _changes(stage, sidecar)
    _where_to_look(stage, sidecar)


def _routing(stage: Stage) -> None:
    show = stage.show
    client = Client(stage.port["ingress"])
    show.step("Routing by path, path rewrite, headers added")
    status, headers, body = client.get("/users/42")
    show.lines([f"GET /users/42 -> {status} {body.strip()}"])
    seen = json.loads(body) if status == 200 else {}
    show.check(seen.get("service") == "users", "/users/ goes to the service `users`")
    show.check(seen.get("path") == "/42", "which sees the path /42")
    show.check(seen.get("x-demo") == "added-by-the-proxy", "and the header x-demo")
    show.check(headers.get("x-answered") == "yes", "the answer carries x-answered")

    show.step("Redirect, direct response, no route")
    status, headers, _ = client.get("/old-orders")
    location = headers.get("location", "")
    show.check(status == 301 and location.endswith("/orders"), f"301 to {location}")
    status, _, body = client.get("/hello")
    show.check((status, body) == (200, "hello from the proxy itself\n"), f"200 {body.strip()}")
    status, _, _ = client.get("/nowhere")
    show.check(status == 404, f"{status} for what no route matches")

    show.step("A weighted split, 90 to 10")
    count: Counter[str] = Counter()
    for _ in range(1000):
        count[json.loads(client.get("/orders")[2])["service"]] += 1
    shares = ", ".join(f"{name} {number}" for name, number in sorted(count.items()))
    show.check(850 <= count["orders-v1"] <= 950, f"of 1,000 requests: {shares}")
    client.close()


def _changes(stage: Stage, sidecar: Sidecar) -> None:
    show = stage.show
    scope = "http.ingress_http.rds.demo"
    show.step("The routes change under load: all orders to v2, by moving a file into place")
    load = Load(stage.port["ingress"], "/orders", lambda seen: seen["service"])
    try:
        wait_for("some traffic", lambda: load.answers.total() > 200)
        stage.move_into_place("routes-2.yaml", "routes.yaml")
        wait_for("version 2", lambda: sidecar.stat(f"{scope}.version_text").startswith("2"))
        before = load.answers["orders-v1"]
        after = load.answers.total()
        wait_for("traffic on version 2", lambda: load.answers.total() > after + 200)
    finally:
        load.stop()
    late = load.answers["orders-v1"] - before
    show.check(not load.lost, f"{load.answers.total()} requests, {len(load.lost)} lost")
    show.lines(load.lost[:3])
    show.check(late <= 4, "orders-v1 got nothing more once version 2 was in use")

    show.step("A broken configuration is refused, and what served before keeps serving")
    stage.move_into_place("routes-bad.yaml", "routes.yaml")
    wait_for("the refusal", lambda: sidecar.stat(f"{scope}.update_rejected") == "1")
    show.lines(sidecar.log_lines("stderr", "rejected")[-1:])
    show.check(bool(sidecar.log_lines("stderr", "rejected")), "the log says what is wrong, where")
    version = sidecar.stat(f"{scope}.version_text")
    show.check(version.startswith("2"), f"in use: version '{version}'")
    client = Client(stage.port["ingress"])
    show.check(client.get("/orders")[0] == 200, "and it answers")
    client.close()


def _where_to_look(stage: Stage, sidecar: Sidecar) -> None:
    show = stage.show
    admin = f"http://127.0.0.1:{sidecar.admin}"
    show.step("Access log, statistics, clusters")
    wait_for("the access log", lambda: bool(sidecar.log_lines("stdout", "/users/42")))
    show.lines(sidecar.log_lines("stdout", "/users/42")[:1])
    show.check(True, f"one line per request in {sidecar.log('stdout')}")
    names = "downstream_rq_2xx|downstream_rq_3xx|downstream_rq_4xx|downstream_rq_total"
    lines = sidecar.ask_admin(f"/stats?filter=^http.ingress_http.({names})$").splitlines()
    show.lines(lines)
    show.check(len(lines) == 4, f"{admin}/stats")
    lines = sidecar.ask_admin("/clusters").splitlines()
    lines = [line for line in lines if "::rq_success::" in line]
    show.lines(lines)
    show.check(len(lines) == 3, f"{admin}/clusters")
