"""`mesh status`: every sidecar and what it has acknowledged, as istioctl's proxy-status says it."""

from __future__ import annotations

import argparse
from typing import Any, Final

from controlplane.commands import client, common, output
from controlplane.commands.aligned import aligned, one_line, said
from controlplane.commands.arguments import Parser
from controlplane.commands.common import CommandError
from controlplane.commands.dumped.compare import compared
from controlplane.commands.dumped.dump import DUMP, Dump
from controlplane.commands.table import age

#: In istioctl's order.
_TYPES: Final = ("cds", "lds", "eds", "rds", "sds", "ecds")


def main(argv: list[str]) -> int:
    """Exit code 0, or 1 if the control plane or the proxy is not there."""
    options = _options(argv)
    return common.run(lambda: _status(options))


def _options(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="mesh status",
        description="Who is connected, and what each has acknowledged or refused.",
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAME[.NAMESPACE][@ACCOUNT]", help="details")
    parser.add_argument("-n", "--namespace", metavar="NS", help="of this namespace only")
    parser.add_argument("-v", "--verbose", action="store_true", help="a column for every type")
    output.add_flag(parser)
    client.add_flag(parser)
    return parser.parse_args(argv)


def _status(options: argparse.Namespace) -> int:
    control = client.Control(options.control)
    if options.name:
        return _one(control, options)
    answer = control.ask("/api/v1/proxies")
    proxies = [one for one in answer["proxies"] if options.namespace in {None, one["namespace"]}]
    complaints = control.ask("/api/v1/refused")
    if options.output != "table":
        output.show({**answer, "proxies": proxies, **complaints}, options.output)
        return 0
    if proxies:
        print(_table(proxies, answer["control"], verbose=options.verbose), end="")
    else:
        common.say("No proxies are connected.")
    _say_errors(proxies)
    _say_unhealthy(proxies)
    for title in ("refused", "warnings"):
        if complaints[title]:
            print(f"\n{_TITLES[title]}")
            for one in complaints[title]:
                print("\n".join(f"  {line}" for line in one["text"].splitlines()))
    if complaints["more"]:
        print(f"  and {complaints['more']} more")
    return 0


_TITLES: Final = {
    "refused": "The control plane refuses:",
    "warnings": "The control plane warns of:",
}


def _table(proxies: list[Any], control: Any, *, verbose: bool) -> str:
    rows = [["NAME", "CLUSTER", "ISTIOD", "VERSION"]]
    rows[0] += [name.upper() for name in _TYPES] if verbose else ["SUBSCRIBED TYPES"]
    for one in proxies:
        row = [one["proxy"], one["cluster_id"] or "-", control["name"], version(one)]
        if verbose:
            row += [_state(one["types"].get(name)) for name in _TYPES]
        else:
            names = [name.upper() for name in _ordered(one) if one["types"][name]["subscribed"]]
            row.append(f"{len(names)} ({','.join(names)})")
        rows.append(row)
    return aligned(rows)


def version(one: Any) -> str:
    """Of a proxy: Istio's, or what the program calls itself."""
    return one["istio_version"] or one["agent"] or "-"


def _ordered(one: Any) -> list[str]:
    """Its types, those that istioctl knows first."""
    return [name for name in _TYPES if name in one["types"]] + sorted(
        name for name in one["types"] if name not in _TYPES
    )


def _state(kind: Any) -> str:
    if kind is None or not kind["subscribed"]:
        return "-"
    moment = kind["answered_seconds_ago"]
    if kind["state"] == "STALE":
        moment = kind["sent_seconds_ago"]
    return kind["state"] if moment is None else f"{kind['state']} ({age(moment)})"


def _say_errors(proxies: list[Any]) -> None:
    for state, title in (("ERROR", "Refused by proxies:"), ("STALE", "Late:")):
        lines = [
            f"{one['proxy']} {name.upper()}: {said(kind['text'])}"
            for one in proxies
            for name, kind in one["types"].items()
            if kind["state"] == state and kind["subscribed"]
        ]
        if lines:
            print(f"\n{title}")
            print("\n".join(f"  {line}" for line in lines))


def _say_unhealthy(proxies: list[Any]) -> None:
    """Whose applications are in no endpoints. A proxy may have several streams."""
    lines = {f"  {one['proxy']}: {one_line(one['unhealthy'])}" for one in proxies if sick(one)}
    if lines:
        print("\nUnhealthy, and out of all endpoints:")
        print("\n".join(sorted(lines)))


def sick(one: Any) -> str:
    """Why; "" for one that is well, and of an older control plane that does not tell."""
    why: str = one.get("unhealthy", "")
    return why


def _one(control: client.Control, options: argparse.Namespace) -> int:
    found = find(control, options.name, options.namespace)
    asked = {"name": found["proxy"], "identity": found["identity"]}
    answer = control.ask("/api/v1/proxies", {key: one for key, one in asked.items() if one})
    if options.output != "table":
        output.show(answer, options.output)
        return 0
    for one in answer["proxies"]:
        facts = {
            "Name": one["proxy"],
            "Identity": one["identity"] or "-",
            "Address": one["address"] or "-",
            "Admin": one["admin"] or "-",
            "Version": version(one),
            "Protocol": f"{one['protocol']}, connected for {age(one['connected_seconds'])}",
        }
        if sick(one):
            facts["Health"] = f"unhealthy, and out of all endpoints: {sick(one)}"
        print("".join(f"{title + ':':<10}{one_line(value)}\n" for title, value in facts.items()))
        rows = [["TYPE", "STATUS", "RESOURCES", "REVISION SENT", "REVISION ACKED"]]
        for kind in _ordered(one):
            held = one["types"][kind]
            numbers = [str(held[key] or "-") for key in ("resources", "sent", "acked")]
            rows.append([kind.upper(), _state(held), *numbers])
        print(aligned(rows), end="")
        for kind in _ordered(one):
            _say_type(kind, one["types"][kind], answer["resources"].get(kind, {}))
        _compare(one, answer["resources"])
    return 0


def _compare(one: Any, sent: Any) -> None:
    """Whether it holds what it was sent, by its own word."""
    if not one["admin"]:
        return
    try:
        dump = Dump(client.admin(one["admin"], DUMP, one["proxy"]), one["proxy"])
    except CommandError as error:
        common.say(f"\nWhat it holds is not known: {error}")
        return
    print("".join(f"\n{one_line(line)}" for line in compared(sent, dump)))


def _say_type(name: str, kind: Any, resources: dict[str, str]) -> None:
    if kind["text"] and kind["subscribed"]:
        print(f"\n{name.upper()} {kind['state']}: {said(kind['text'])}")
        for refused, at in kind["refused"].items():
            print(f"  refuses {one_line(refused)} (version {at}); what it had before stays")
    if resources:
        print(f"\n{name.upper()}:")
        print("".join(f"  {one_line(one)}\n" for one in sorted(resources)), end="")


def find(control: client.Control, name: str, namespace: str | None) -> Any:
    """The connected proxy of a name, with or without its namespace; `NAME@ACCOUNT` is that of a
    service account. Raises CommandError."""
    proxies = control.ask("/api/v1/proxies")["proxies"]
    name, _, account = name.partition("@")
    sought = {name, f"{name}.{namespace or 'default'}"}
    found = [
        one
        for one in proxies
        if one["proxy"] in sought
        and (not account or one.get("identity", "").endswith(f"/sa/{account}"))
    ]
    if not found:
        known = ", ".join(sorted({one["proxy"] for one in proxies})[:20]) or "none"
        text = f"{name} is not connected to {control.url}; connected are: {known}"
        raise CommandError(one_line(text))
    identities = sorted({one.get("identity", "") for one in found})
    if len(identities) > 1:
        # Anybody of a namespace may call itself so.
        accounts = " or ".join(f"{name}@{one.rpartition('/sa/')[2]}" for one in identities)
        raise CommandError(one_line(f"{' and '.join(identities)} are {name}: say {accounts}"))
    # A proxy may have several streams; the one that says where its admin port is, if any.
    return next((one for one in found if one["admin"]), found[0])
