"""Join files: all that a workload needs to come into the mesh, made by `mesh token create`."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path

from controlplane.ca import grants as granted


class BadJoin(Exception):
    """The file is no join file; `str()` says why, without its token."""


@dataclass(frozen=True, slots=True)
class Join:
    """What is in one."""

    #: `HOST:PORT` of the port for those who have a certificate.
    control: str
    #: `HOST:PORT` of the port for those who show a token.
    join: str
    #: PEM of the roots with which the control plane is verified.
    roots: str
    namespace: str
    service_account: str
    trust_domain: str
    #: The labels that the workload may have (`controlplane.ca.grants`).
    grants: str
    token: str = field(repr=False)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    def command(self, path: Path) -> str:
        """What makes a file like this one, with a new token, in place of this one."""
        pairs = granted.parse(self.grants).pairs
        pairs = tuple(pair for pair in pairs if pair != ("version", granted.ANY))
        words = (
            f"mesh token create -n {self.namespace} --service-account {self.service_account}",
            granted.flags(pairs),
            f"--control {self.control} --join {self.join} --trust-domain {self.trust_domain}",
            f"-o {shlex.quote(str(path))}",
        )
        return f"rm -f {shlex.quote(str(path))}; {' '.join(filter(None, words))}"


def read(path: Path) -> Join:
    """Raises BadJoin."""
    try:
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise BadJoin(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError):
        raise BadJoin(f"{path}: is no JSON; make a join file with `mesh token create`") from None
    names = set(Join.__dataclass_fields__)
    if not isinstance(fields, dict) or set(fields) != names:
        raise BadJoin(f"{path}: must have exactly {', '.join(sorted(names))}")
    if not all(isinstance(value, str) for value in fields.values()):
        raise BadJoin(f"{path}: all its values must be strings")
    try:
        granted.parse(fields["grants"])
    except granted.Unreadable as error:
        raise BadJoin(f"{path}: grants: {error}") from None
    return Join(**fields)
