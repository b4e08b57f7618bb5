"""Bookinfo's four services, ours, in one program: `python -m mesh.demo.bookinfo reviews v2`.

Same names, versions, ports, paths and answers as Istio's sample, so that its configuration applies.
Each calls the next by name, through the HTTP proxy that `mesh run` gives it, and hands on the
headers by which a trace and a user are known.
"""

from __future__ import annotations

import html
import http.client
import http.server
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import ClassVar
from urllib.parse import urlsplit

_HANDED_ON = (
    "authorization", "cookie", "end-user", "user-agent", "x-request-id", "x-b3-traceid",
    "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "traceparent", "tracestate",
)  # fmt: skip
#: Seconds to wait for another service: those of Istio's sample, whose delays are about them.
_PAGE_TIMEOUT = 3.0
_RATINGS_TIMEOUT = {"v2": 10.0, "v3": 2.5}
#: productpage asks reviews again if it got nothing good.
_REVIEWS_ATTEMPTS = 2
_STARS = {"v2": "black", "v3": "red"}
_BOOK = {
    "id": 0,
    "author": "William Shakespeare",
    "year": 1595,
    "type": "paperback",
    "pages": 200,
    "publisher": "PublisherA",
    "language": "English",
    "ISBN-10": "1234567890",
    "ISBN-13": "123-1234567890",
}
_TEXTS = (
    ("Reviewer1", "An extremely entertaining play by Shakespeare."),
    ("Reviewer2", "Absolutely fun and entertaining."),
)
#: Status and the body, as JSON or as a page.
Answer = tuple[int, object]


def details(path: str, headers: Mapping[str, str], version: str) -> Answer:
    """`/details/0`."""
    del headers, version
    return (200, _BOOK) if path.startswith("/details") else _nothing(path)


def ratings(path: str, headers: Mapping[str, str], version: str) -> Answer:
    """`/ratings/0`."""
    del headers, version
    if not path.startswith("/ratings"):
        return _nothing(path)
    return 200, {"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}


def reviews(path: str, headers: Mapping[str, str], version: str) -> Answer:
    """`/reviews/0`: v1 without stars, v2 with black ones, v3 with red ones."""
    if not path.startswith("/reviews"):
        return _nothing(path)
    stars: dict[str, object] = {}
    found: list[dict[str, object]] = []
    if version in _STARS:
        status, answer = call("ratings", "/ratings/0", headers, _RATINGS_TIMEOUT[version])
        stars = answer.get("ratings", {}) if status == 200 and isinstance(answer, dict) else {}
    for name, text in _TEXTS:
        one: dict[str, object] = {"reviewer": name, "text": text}
        if version in _STARS:
            one["rating"] = (
                {"stars": stars[name], "color": _STARS[version]}
                if name in stars
                else {"error": "Ratings service is currently unavailable"}
            )
        found.append(one)
    pod = os.environ.get("HOSTNAME", f"reviews-{version}")
    return 200, {"id": "0", "podname": pod, "clustername": "null", "reviews": found}


def productpage(path: str, headers: Mapping[str, str], version: str) -> Answer:
    """`/productpage`, `/api/v1/products`, `/0` below that, and its parts `/reviews`, `/ratings`."""
    del version
    if path in {"/", "/index.html"}:
        return 200, "<a href='/productpage'>The Comedy of Errors</a>"
    if path == "/api/v1/products":
        return 200, [{"id": 0, "title": "The Comedy of Errors"}]
    if path.startswith("/api/v1/products/0/reviews"):
        return _all_reviews(headers)
    if path.startswith("/api/v1/products/0/ratings"):
        return call("ratings", "/ratings/0", headers, _PAGE_TIMEOUT)
    if path.startswith("/api/v1/products/0"):
        return call("details", "/details/0", headers, _PAGE_TIMEOUT)
    if not path.startswith("/productpage"):
        return _nothing(path)
    found = call("details", "/details/0", headers, _PAGE_TIMEOUT)
    return 200, _page(found, _all_reviews(headers))


def _all_reviews(headers: Mapping[str, str]) -> Answer:
    for _ in range(_REVIEWS_ATTEMPTS):
        answer = call("reviews", "/reviews/0", headers, _PAGE_TIMEOUT)
        if answer[0] == 200:
            break
    return answer


def call(service: str, path: str, headers: Mapping[str, str], timeout: float) -> Answer:
    """Another service, by the HTTP proxy if there is one."""
    proxy = urlsplit(os.environ.get("http_proxy", ""))
    target = f"{service}:9080"
    connection = http.client.HTTPConnection(
        proxy.hostname or service, proxy.port or 9080, timeout=timeout
    )
    sent = {name: headers[name] for name in _HANDED_ON if headers.get(name)}
    try:
        connection.request("GET", f"http://{target}{path}", headers={"host": target, **sent})
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 503, {"error": f"{service}: {type(error).__name__}"}
    finally:
        connection.close()
    try:
        return response.status, json.loads(body)
    except ValueError:
        return response.status, {"error": body.strip()}


def _page(details: Answer, reviews: Answer) -> str:
    """HTML, with what could not be had said in its place."""
    lines = ["<!doctype html><title>Simple Bookstore App</title>", "<h1>The Comedy of Errors</h1>"]
    if details[0] == 200 and isinstance(details[1], dict):
        rows = (f"<dt>{html.escape(k)}<dd>{html.escape(str(v))}" for k, v in details[1].items())
        lines.append(f"<h2>Book Details</h2><dl>{''.join(rows)}</dl>")
    else:
        lines.append("<h2>Error fetching product details!</h2>")
    if reviews[0] == 200 and isinstance(reviews[1], dict):
        lines.append("<h2>Book Reviews</h2>")
        for one in reviews[1].get("reviews", []):
            rating = one.get("rating", {})
            stars = f"{rating['stars']} {rating['color']} stars" if "stars" in rating else ""
            told = html.escape(
                f"{one['text']} {one['reviewer']} {stars or rating.get('error', '')}"
            )
            lines.append(f"<blockquote>{told}</blockquote>")
    else:
        lines.append("<h2>Error fetching product reviews!</h2>")
    return "\n".join(lines)


def _nothing(path: str) -> Answer:
    return 404, {"error": f"there is no {path}"}


SERVICES: Mapping[str, Callable[[str, Mapping[str, str], str], Answer]] = {
    "details": details,
    "productpage": productpage,
    "ratings": ratings,
    "reviews": reviews,
}


class Handler(http.server.BaseHTTPRequestHandler):
    """One service."""

    protocol_version = "HTTP/1.1"
    #: An answer is one write: two would wait for each other (Nagle, delayed acknowledgements).
    wbufsize = -1
    service: ClassVar[str]
    version: ClassVar[str]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/health":
            status, answer = 200, {"status": f"{self.service} is healthy"}
        else:
            found = {name.lower(): value for name, value in self.headers.items()}
            status, answer = SERVICES[self.service](path, found, self.version)  # type: ignore[assignment]
        is_page = isinstance(answer, str)
        body = (str(answer) if is_page else json.dumps(answer)).encode()
        self.send_response(status)
        self.send_header("content-type", "text/html" if is_page else "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-served-by", f"{self.service}-{self.version}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The sidecar has an access log."""


def main(argv: list[str]) -> int:
    """Serves on $PORT (9080) of 127.0.0.1 until it is killed."""
    if len(argv) != 2 or argv[0] not in SERVICES:
        print(f"usage: bookinfo {'|'.join(SERVICES)} VERSION", file=sys.stderr)
        return 1
    Handler.service, Handler.version = argv
    address = ("127.0.0.1", int(os.environ.get("PORT", "9080")))
    with http.server.ThreadingHTTPServer(address, Handler) as server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
