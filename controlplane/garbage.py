"""When Python looks for cycles among a control plane's objects.

There are a great many objects, and they live long; next to none that are dropped are in cycles. By
Python's own thresholds these looks take a fifth of the time of a push to a thousand streams.
"""

from __future__ import annotations

import gc

#: Objects more than there were at the last look; looks until the older are looked at, too.
_THRESHOLDS = (50_000, 20, 50)


def look_rarely() -> None:
    """For the whole process: called by its `main`."""
    gc.set_threshold(*_THRESHOLDS)
