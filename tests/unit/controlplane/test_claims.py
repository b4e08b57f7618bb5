"""controlplane.claims: labels are a token's or a template's to give, not the workload's to take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controlplane.ca.grants import NOTHING, Grants, parse
from controlplane.claims import Claims
from controlplane.resources.common.pod import PodSpec, PodTemplateSpec, TemplateMetadata
from controlplane.resources.common.workload import WorkloadEntry
from controlplane.resources.deployment.schema import Deployment
from controlplane.resources.pod.schema import Pod
from controlplane.resources.resource import Key, Resource
from controlplane.resources.workload_group.schema import ObjectMeta, WorkloadGroup
from controlplane.world.proxy import Proxy
from controlplane.world.world import World
from controlplane.xds.identity import Identity, Peer
from controlplane.xds.node import Impostor

REVIEWS = Identity("cluster.local", "default", "reviews")
INTERN = Identity("cluster.local", "default", "intern")
V1 = {"app": "reviews", "version": "v1"}
TOKEN = parse("app=reviews,version=*")


def deployment(
    account: str, labels: Mapping[str, str], namespace: str = "default"
) -> Resource[Any]:
    template = PodTemplateSpec(TemplateMetadata(labels), PodSpec(service_account_name=account))
    return Resource(Key("Deployment", namespace, f"of-{account}"), Deployment(template))


def group(account: str, labels: Mapping[str, str]) -> Resource[Any]:
    template = WorkloadEntry(service_account=account, labels={"version": "v1"})
    spec = WorkloadGroup(template, ObjectMeta(labels=labels))
    return Resource(Key("WorkloadGroup", "default", "machines"), spec)


def pod(account: str, labels: Mapping[str, str]) -> Resource[Any]:
    spec = Pod(spec=PodSpec(service_account_name=account))
    return Resource(Key("Pod", "default", "one"), spec, labels=labels)


def refusal(
    identity: Identity,
    labels: Mapping[str, str],
    grants: Grants = NOTHING,
    *resources: Resource[Any],
) -> str:
    """Why not; "" if it may."""
    world = World()
    world.change(resources)
    try:
        Claims(world).check(identity, labels, grants)
    except Impostor as error:
        return str(error)
    return ""


def test_a_token_grants() -> None:
    assert refusal(REVIEWS, V1, TOKEN) == ""
    assert refusal(REVIEWS, {"version": "v9", "app": "reviews"}, TOKEN) == ""
    assert refusal(REVIEWS, {}, NOTHING) == ""
    assert refusal(REVIEWS, {"istio-locality": "eu.a", "security.istio.io/tlsMode": "x"}) == ""


def test_canonical_labels_may_say_what_granted_labels_say() -> None:
    name, revision = "service.istio.io/canonical-name", "service.istio.io/canonical-revision"
    assert refusal(REVIEWS, {**V1, name: "reviews", revision: "v1"}, TOKEN) == ""
    assert refusal(REVIEWS, {**V1, name: "reviews"}, NOTHING, deployment("reviews", V1)) == ""
    assert refusal(REVIEWS, {"app": "reviews", revision: "latest"}, TOKEN) == ""
    # They select workloads, too.
    for beyond in ({**V1, name: "ledger"}, {**V1, revision: "v2"}, {name: "reviews"}):
        assert "service.istio.io/canonical" in refusal(REVIEWS, beyond, TOKEN)
    # What they repeat has to be granted.
    assert "may not be app=ledger:" in refusal(REVIEWS, {"app": "ledger", name: "ledger"}, TOKEN)


def test_what_is_beyond_is_refused_and_the_way_out_is_said() -> None:
    assert refusal(INTERN, V1, parse("app=intern,version=*")) == (
        "service account default/intern may not be app=reviews: its join token grants"
        " app=intern,version=*, and no WorkloadGroup or Deployment is of it. Join with a token that"
        " grants it (mesh token create -n default --service-account intern --service reviews), or"
        " apply a WorkloadGroup with all its labels and this serviceAccount: what a workload is"
        " decides whose requests it gets"
    )
    assert "--service reviews --version v1)" in refusal(INTERN, V1)
    assert "--label istio=ingress)" in refusal(REVIEWS, {"istio": "ingress"}, TOKEN)
    # Shells are not to be trusted with it, nor logs with its length.
    assert "'a=$(reboot)'" in refusal(INTERN, {"a": "$(reboot)"})
    assert len(refusal(INTERN, {"a" * 5000: "b" * 5000})) < 3000


@pytest.mark.parametrize("made", [deployment, pod])
def test_a_template_grants_as_a_whole(made: Any) -> None:
    held = made("intern", {**V1, "tier": "back"})
    assert refusal(INTERN, V1, NOTHING, held) == ""
    assert refusal(INTERN, {**V1, "tier": "back"}, NOTHING, held) == ""
    assert f"{held.key.kind}/{held.name} say otherwise" in refusal(
        INTERN, {"app": "reviews", "version": "v2"}, NOTHING, held
    )
    # Of another account.
    assert refusal(REVIEWS, V1, NOTHING, held)


def test_a_group_grants_its_labels_and_its_templates() -> None:
    held = group("intern", {"app": "reviews"})
    assert refusal(INTERN, V1, NOTHING, held) == ""
    assert refusal(REVIEWS, V1, NOTHING, held)
    assert refusal(Identity("", "default", "default"), V1, NOTHING, group("", V1)) == ""


def test_parts_of_several_make_no_whole() -> None:
    held = (
        deployment("intern", {"app": "intern", "tier": "back"}),
        group("intern", {"app": "reviews"}),
    )
    assert refusal(INTERN, {"app": "reviews", "tier": "back"}, NOTHING, *held)
    assert refusal(INTERN, {"app": "reviews", "role": "x"}, parse("role=x"), *held)


def test_other_namespaces_grant_nothing() -> None:
    assert refusal(INTERN, V1, NOTHING, deployment("intern", V1, namespace="elsewhere"))


def test_what_is_taken_back_holds_no_longer() -> None:
    world = World()
    held = deployment("intern", V1)
    world.change([held])
    proxy = Proxy("sidecar", "a.default", "default", "intern", (), tuple(sorted(V1.items())))
    why_not = Claims(world).admit(proxy, Peer("", uris=(str(INTERN),)))
    assert why_not() == ""
    world.change(removed=[held.key])
    assert "may not be app=reviews" in why_not()
    with pytest.raises(Impostor):
        Claims(world).admit(proxy, Peer("", uris=(str(INTERN),)))
