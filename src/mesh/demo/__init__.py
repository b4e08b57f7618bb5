"""`mesh demo`: services, sidecars, real traffic; says what happened and where to look.

Everything runs in a directory of its own under /tmp, with copies of `examples/`.
"""

from mesh.demo.command import main

__all__ = ["main"]
