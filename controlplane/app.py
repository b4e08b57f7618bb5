"""The entry of `mesh control`."""

import sys


def main(argv: list[str]) -> int:
    """Says that there is no control plane yet. Exit code 2, so that no script takes it for one."""
    del argv
    print(
        "mesh control: the control plane is not part of this release; it comes with the next one."
        "\nThe sidecar takes its configuration from files: mesh proxy -c envoy.yaml",
        file=sys.stderr,
    )
    return 2
