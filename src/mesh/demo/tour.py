"""The mesh, step by step: Bookinfo with sidecars, routed, secured and broken under traffic."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from typing import Any

from mesh.demo.client import Client, Load
from mesh.demo.show import wait_for
from mesh.demo.town import Town

#: Workload and version of reviews; the others have one.
_WORKLOADS = (
    ("productpage", "v1"), ("details", "v1"), ("ratings", "v1"),
    ("reviews", "v1"), ("reviews", "v2"), ("reviews", "v3"),
)  # fmt: skip
_PAGE = "/api/v1/products/0/reviews"


def tour(town: Town) -> None:
    """Raises Failed. The control plane runs already."""
    begun = time.monotonic()
    _start(town)
    took = time.monotonic() - begun
    town.show.check(True, f"all in the mesh after {took:.1f} s")
    load = Load(town.port["gateway"], _PAGE, _colour)
    try:
        _split(town, load)
        _fault(town)
        _denied(town)
        _rotation(town)
    finally:
        load.stop()
    show = town.show
    show.step("All this under traffic")
    show.lines([f"{count} answers with {kind}" for kind, count in load.answers.items()])
    show.lines(load.lost[:3])
    show.check(not load.lost, f"{load.answers.total()} requests, {len(load.lost)} lost")


def _start(town: Town) -> None:
    show = town.show
    show.step("Bookinfo: seven programs, a sidecar beside each, STRICT mutual TLS")
    for name in ("mesh.yaml", "services.yaml", "strict.yaml", "subsets.yaml", "reviews-v1.yaml"):
        town.apply(name)
    _gateway_port(town)
    town.apply("gateway.yaml")
    program = [sys.executable, "-m", "mesh.demo.bookinfo"]
    for service, version in _WORKLOADS:
        labels = ["--service", service, "--version", version]
        flags = ["--port", "9080:auto"]
        name = f"{service}-{version}"
        if service == "productpage":
            flags += ["--http-proxy-port", str(town.port["productpage proxy"])]
        town.run(name, f"bookinfo-{service}", labels, flags, [*program, service, version])
    town.run(
        "intern-v1",
        "intern",
        ["--service", "intern"],
        ["--http-proxy-port", str(town.port["intern proxy"])],
        ["sleep", "86400"],
    )
    town.run(
        "ingress",
        "istio-ingressgateway",
        ["--service", "istio-ingressgateway", "--label", "istio=ingressgateway"],
        ["--gateway"],
        [],
        "istio-system",
    )
    show.say("   $ mesh run --join FILE --service reviews --version v2 --port 9080:auto -- PROGRAM")
    town.wait()
    wait_for("the first answer through the gateway", lambda: _answers(town) == "no stars")


def _gateway_port(town: Town) -> None:
    """The port on which the gateway listens, if the example's is taken."""
    port = str(town.port["gateway"])
    for name in ("gateway.yaml", "services.yaml"):
        path = town.file(name)
        path.write_text(path.read_text().replace("8080", port))


def _split(town: Town, load: Load) -> None:
    show = town.show
    show.step("A new version gets one request in ten, then another one all of them")
    wait_for("some traffic", lambda: load.answers["no stars"] > 50)
    town.apply("reviews-90-10.yaml")
    wait_for("black stars", lambda: load.answers["black stars"] > 0)
    before = Counter(load.answers)
    wait_for("500 requests", lambda: (load.answers - before).total() >= 500)
    now = load.answers - before
    share = 100 * now["black stars"] / now.total()
    show.check(4 <= share <= 18, f"{share:.0f} % of {now.total()} went to v2 (asked: 10 %)")
    town.apply("reviews-v3.yaml")
    wait_for("red stars", lambda: load.answers["red stars"] > 200)
    show.check(_answers(town) == "red stars", "then v3 gets everything")


def _fault(town: Town) -> None:
    show = town.show
    show.step("A fault, for one user only: ratings answers jason with 500")
    town.apply("ratings-fault.yaml")
    wait_for("the fault", lambda: _answers(town, "jason") == "no ratings")
    show.check(_answers(town, "jason") == "no ratings", "jason sees reviews without ratings")
    show.check(_answers(town) == "red stars", "all others see stars as before")


def _denied(town: Town) -> None:
    show = town.show
    show.step("Only reviews may call ratings, and only to read; who else does is told why")
    intern, page = Client(town.port["intern proxy"]), Client(town.port["productpage proxy"])
    wait_for("ratings, for the intern", lambda: _ask(intern, "ratings")[0] == 200)
    town.apply("ratings-policy.yaml")
    # The server's sidecar may have the policy first; it says no as well, but not why.
    named = "no rule of default/ratings-viewer"
    wait_for("the denial", lambda: named in _ask(intern, "ratings")[1])
    status, body = _ask(intern, "ratings")
    show.lines([f"intern -> GET http://ratings:9080/ratings/0 -> {status} {body}"])
    show.check(status == 403 and named in body, "its own sidecar names the policy")
    show.check(_ask(page, "reviews")[0] == 200, "productpage may call reviews as before")
    show.check(_answers(town) == "red stars", "reviews may call ratings")
    intern.close()
    page.close()


def _rotation(town: Town) -> None:
    show = town.show
    show.step("Every certificate is replaced, while requests go on")
    audit = town.state / "audit.jsonl"
    before = len(audit.read_text().splitlines())
    agents = [one for name, one in town.programs.items() if name != "control"]
    for agent in agents:
        agent.process.send_signal(signal.SIGUSR2)
    wait_for(
        "new certificates",
        lambda: len(audit.read_text().splitlines()) >= before + len(agents),
    )
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    show.lines([f"{lines[-1]['identity']}: serial {lines[-1]['serial'][:16]}..."])
    serials = {line["serial"] for line in lines}
    show.check(len(serials) == len(lines), f"{len(lines)} certificates given out, no serial twice")


def _answers(town: Town, user: str = "") -> str:
    """What a page shows of ratings."""
    client = Client(town.port["gateway"])
    try:
        status, _, body = client.get(_PAGE, {"end-user": user} if user else {})
    except OSError:
        return ""
    finally:
        client.close()
    return _colour(json.loads(body)) if status == 200 else f"status {status}"


def _colour(answer: dict[str, Any]) -> str:
    reviews = answer.get("reviews") or [{}]
    rating = reviews[0].get("rating")
    if rating is None:
        return "no stars"
    return f"{rating['color']} stars" if "color" in rating else "no ratings"


def _ask(client: Client, service: str) -> tuple[int, str]:
    status, _, body = client.get(f"http://{service}:9080/{service}/0")
    return status, body.strip()
