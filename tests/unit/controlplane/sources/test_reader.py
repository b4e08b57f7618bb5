"""controlplane.sources.reader: documents to resources, or all that is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.problem import Refused
from controlplane.resources.resource import Key, Resource
from controlplane.sources import document, reader
from tests.support.kinds import KINDS, Destination, RouteSpec, SecretSpec, ZoneSpec, route


def one(text: str) -> document.Document:
    contents = document.read(text.encode(), "f.yaml")
    assert contents.refused == ()
    (found,) = contents.documents
    return found


def read(text: str, **more: Any) -> Resource[Any]:
    return reader.read(one(text), KINDS, **more)


def problems(text: str) -> str:
    with pytest.raises(Refused) as caught:
        read(text)
    return str(caught.value)


def test_a_whole_resource() -> None:
    text = """---
apiVersion: test.mesh/v1beta1
kind: Route
metadata:
  name: reviews.v1
  namespace: prod
  labels: {app: reviews, istio.io/rev: "", x/y: A_1.b}
  annotations: {example.com/note: "any \\n text"}
  creationTimestamp: 2026-11-27T01:00:00Z
  uid: 12
  resourceVersion: "7"
  managedFields: [{}]
spec:
  hosts: [reviews]
  routes: [{host: a, weight: 9}]
status: {anything: true}
"""
    resource = read(text, created=5.0)
    assert resource.key == Key("Route", "prod", "reviews.v1")
    assert resource.spec == RouteSpec(hosts=("reviews",), routes=(Destination("a", 9),))
    assert resource.labels == {"app": "reviews", "istio.io/rev": "", "x/y": "A_1.b"}
    assert resource.annotations == {"example.com/note": "any \n text"}
    assert resource.created == 1795741200.0
    assert str(resource.origin) == "f.yaml:2"
    assert len(resource.version) == 16


def test_what_is_not_said() -> None:
    resource = read("apiVersion: test.mesh/v1\nkind: Route\nmetadata: {name: a}\n", created=5.0)
    assert resource.key == Key("Route", "default", "a")
    assert (resource.spec, resource.created) == (RouteSpec(), 5.0)
    assert read(route("a"), namespace="other").namespace == "other"


def test_cluster_scoped_kinds_have_no_namespace() -> None:
    text = "apiVersion: test.mesh/v1\nkind: Zone\nmetadata: {name: a%s}\nspec: {region: r}\n"
    assert read(text % "") == Resource(Key("Zone", "", "a"), ZoneSpec("r"))
    assert "f.yaml:3: Zone a: metadata.namespace: a Zone has none" in problems(
        text % ", namespace: b"
    )


def test_a_kind_without_spec_and_strictness() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {k: dg==}\nimmutable: true\n"
    assert read(text).spec == SecretSpec(data={"k": "dg=="})


def test_secrets_are_not_shown() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {k: 123456, l: [x]}\n"
    said = problems(text)
    assert "data.k: must be a string; what it is is not shown" in said
    assert "123456" not in said


def test_all_problems_at_once_with_their_lines() -> None:
    text = """\
apiVersion: test.mesh/v1
kind: Route
metadata:
  name: Upper
  namespace: a.b
  lables: {}
  labels:
    app: [x]
    -bad: "spaces are not allowed"
    Bad/x: z
  annotations: text
  creationTimestamp: yesterday
  generateName: a-
spec:
  hosts: [1]
  routes:
  - weight: 5
  root: x
sepc: {}
"""
    assert problems(text).splitlines() == [
        "f.yaml:4: Route a.b/Upper: metadata.name: must be a DNS subdomain: a-z, 0-9, '-' and '.', 253 characters at most",
        "f.yaml:5: Route a.b/Upper: metadata.namespace: must be a DNS label: a-z, 0-9 and '-', 63 characters at most",
        "f.yaml:6: Route a.b/Upper: metadata.lables: there is no such field; did you mean labels?",
        "f.yaml:8: Route a.b/Upper: metadata.labels.app: must be a string; write it in quotes",
        "f.yaml:9: Route a.b/Upper: metadata.labels['-bad']: its name must be letters, digits, '-', '_' and '.', 63 characters at most",
        "f.yaml:9: Route a.b/Upper: metadata.labels['-bad']: must be letters, digits, '-', '_' and '.', 63 characters at most",
        "f.yaml:10: Route a.b/Upper: metadata.labels['Bad/x']: what is before '/' must be a DNS subdomain",
        "f.yaml:11: Route a.b/Upper: metadata.annotations: must be an object",
        "f.yaml:12: Route a.b/Upper: metadata.creationTimestamp: must be a time like 2026-11-27T01:00:00Z",
        "f.yaml:13: Route a.b/Upper: metadata.generateName: is not taken; give it a name",
        "f.yaml:15: Route a.b/Upper: spec.hosts[0]: must be a string, is 1; write it in quotes: '1'",
        "f.yaml:17: Route a.b/Upper: spec.routes[0].host: is required",
        "f.yaml:18: Route a.b/Upper: spec.root: there is no such field; did you mean routes?",
        "f.yaml:19: Route a.b/Upper: sepc: there is no such field; did you mean spec?",
    ]


def test_rules_of_the_kind_have_lines() -> None:
    text = route("a") + "  routes:\n  - {host: a, weight: 1}\n  - host: b\n    weight: 101\n"
    assert problems(text) == "f.yaml:10: Route default/a: spec.routes[1].weight: is over 100"


def test_warnings_refuse_nothing(caplog: pytest.LogCaptureFixture) -> None:
    said = "f.yaml:6: Route default/a: spec.hosts: warning: old is not used any more"
    text = route("a", host="old")
    assert read(text).spec == RouteSpec(hosts=("old",))
    assert caplog.messages == [said]
    wrong = text + "  routes:\n  - {host: b, weight: 101}\n"
    assert problems(wrong).splitlines() == [
        said,
        "f.yaml:8: Route default/a: spec.routes[0].weight: is over 100",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1", "apiVersion: is required"),
        ("a: 1", "f.yaml:1: document: kind: is required"),
        ("apiVersion: [1]\nkind: Route\nmetadata: {}", "apiVersion: must be a string"),
        ("apiVersion: v1\nkind: Rout\nmetadata: {name: x}", "did you mean Route?"),
        ("apiVersion: v1\nkind: Rout", "known are Route, Secret, Zone"),
        (
            "apiVersion: test.mesh/v9\nkind: Route",
            "f.yaml:1: Route: apiVersion: test.mesh/v9 has no Route; it is test.mesh/v1 or"
            " test.mesh/v1beta1",
        ),
        ("apiVersion: test.mesh/v1\nkind: Route\nmetadata: 1", "metadata: must be an object"),
        ("apiVersion: test.mesh/v1\nkind: Route", "metadata: is required"),
        ("apiVersion: test.mesh/v1\nkind: Route\nmetadata: {}", "metadata.name: is required"),
        ("apiVersion: test.mesh/v1\nkind: Route\nmetadata: {name: 1}", "write it in quotes"),
        (
            "apiVersion: test.mesh/v1\nkind: Route\nmetadata: {name: a, namespace: 1}",
            "f.yaml:3: Route default/a: metadata.namespace: must be a string; write it in quotes",
        ),
        (route("a", annotations="{a: " + "x" * 300_000 + "}"), "are more than 256 KiB"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    assert says in problems(text)


def test_versions_follow_the_meaning() -> None:
    version = read(route("a")).version
    assert read("# c\n" + route("a", uid="1", labels="{}") + "status: {}\n").version == version
    assert read(route("a", host="b")).version != version
    assert read(route("a", labels="{a: b}")).version != version


def test_the_key_of_what_is_wrong_otherwise() -> None:
    assert reader.key(one(route("a") + "  x: 1\n"), KINDS) == Key("Route", "default", "a")
    assert reader.key(one("apiVersion: v2\nkind: Route\nmetadata: {name: a}"), KINDS) is None
    assert reader.key(one("apiVersion: v1\nkind: Secret\nmetadata: {}"), KINDS) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01t01:00:01.5+01:00", 1.5),
        ("1970-01-01T00:00:01.123456789Z", 1.123456),
        ("1970-01-01", None),
        ("1970-01-01T00:00:01", None),
        ("1970-13-01T00:00:01Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("١٩٧٠-01-01T00:00:01Z", None),
        ("", None),
    ],
)
def test_timestamps(text: str, moment: float | None) -> None:
    assert reader.parse_timestamp(text) == moment


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "namespace", "labels", "a/b", "hosts", "routes", "weight", "host"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {
            "apiVersion": st.sampled_from(["test.mesh/v1", "v1", 1]) | JSON,
            "kind": st.sampled_from(["Route", "Zone", "Secret", None]) | JSON,
            "metadata": JSON,
            "spec": JSON,
        },
        optional={"status": JSON, "data": JSON, "x": JSON},
    )
)
@settings(max_examples=500)
def test_nothing_raises_but_refused(value: dict[str, Any]) -> None:
    chunk = document.Chunk("", 0, 0, 1)
    given_ = document.Document(value, "f", 1, chunk)
    reader.key(given_, KINDS)
    refused: Refused | None = None
    try:
        resource = reader.read(given_, KINDS)
    except Refused as why:
        refused = why
    else:
        assert resource.name
        assert resource.version == reader.version(value)
    if refused is not None:
        assert str(refused)
        assert all(problem.line >= 1 for problem in refused.problems)
