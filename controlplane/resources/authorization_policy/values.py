"""What the values of AuthorizationPolicy's lists must look like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from controlplane.problem import Problem
from controlplane.resources.rules import addresses

#: Characters of a path segment beside templates: RFC 3986's pchar.
_LITERAL = re.compile(r"[-a-zA-Z0-9._~%!$&'()+,;:@=]+")
_PORT = re.compile(r"[0-9]{1,10}")
ONE_SEGMENT = "{*}"
ANY_SEGMENTS = "{**}"


def check_not_empty(values: Iterable[str], path: str) -> Iterator[Problem]:
    for index, value in enumerate(values):
        if not value:
            yield Problem(f"{path}[{index}]", "must not be empty")


def check_ips(values: Iterable[str], path: str) -> Iterator[Problem]:
    for index, value in enumerate(values):
        yield from addresses.subnet(value, f"{path}[{index}]")


def check_ports(values: Iterable[str], path: str) -> Iterator[Problem]:
    for index, value in enumerate(values):
        if not _PORT.fullmatch(value) or int(value) > 65535:
            yield Problem(f"{path}[{index}]", f"must be a port from 0 to 65535, is {value!r}")


def check_service_accounts(values: tuple[str, ...], path: str) -> Iterator[Problem]:
    if len(values) > 16:
        yield Problem(path, f"has {len(values)} entries; 16 are the most")
    for index, value in enumerate(values):
        if "*" in value:
            reason = "service accounts have no wildcards; use principals"
        elif not re.fullmatch(r"([^/]+/)?[^/]+", value) or len(value) > 320:
            reason = f"must be NAMESPACE/NAME or NAME, is {value!r}"
        else:
            continue
        yield Problem(f"{path}[{index}]", reason)


def check_wildcards(values: Iterable[str], path: str) -> Iterator[Problem]:
    for index, value in enumerate(values):
        if not value:
            reason = "must not be empty"
        elif "*" in value.removeprefix("*") and "*" in value.removesuffix("*"):
            reason = f"may have one `*`, at the beginning or the end, is {value!r}"
        else:
            continue
        yield Problem(f"{path}[{index}]", reason)


def check_trust_domains(values: tuple[str, ...], path: str) -> Iterator[Problem]:
    yield from check_wildcards(values, path)
    for index, value in enumerate(values):
        if "/" in value:
            reason = f"must be the trust domain alone, without a path, is {value!r}"
            yield Problem(f"{path}[{index}]", reason)


def check_paths(values: Iterable[str], path: str) -> Iterator[Problem]:
    for index, value in enumerate(values):
        reason = _wrong_path(value) if value else "must not be empty"
        if reason:
            yield Problem(f"{path}[{index}]", reason)


def _wrong_path(value: str) -> str:
    is_template = ONE_SEGMENT in value or ANY_SEGMENTS in value
    ended = False
    for segment in value.strip("/").split("/"):
        if segment in {ONE_SEGMENT, ANY_SEGMENTS}:
            if ended:
                return f"nothing variable may follow {{**}}, is {value!r}"
            ended = segment == ANY_SEGMENTS
        elif "{" in segment or "}" in segment:
            return f"{{*}} and {{**}} are templates and stand for whole segments, is {value!r}"
        elif is_template and not _LITERAL.fullmatch(segment):
            reason = f"the segment {segment!r} beside a template has characters that need escaping"
            return reason if segment else f"a path with templates has no empty segments: {value!r}"
    return ""
