"""What somebody may have meant by a name that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Among more names nobody looks for a near one: it is to cost little.
_MOST = 1_000


def meant(name: str, known: Iterable[str]) -> str:
    """`; did you mean reviews?`, or "". Names may have a namespace in front: `shop/reviews`."""
    names = sorted(set(known))
    if len(names) > _MOST:
        return ""
    same = [one for one in names if one.rpartition("/")[2] == name]
    near = same or difflib.get_close_matches(name[:100], names, n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else ""


def there_are(known: Iterable[object], what: str) -> str:
    """`; there are the ports 80, 81`, or that there are none."""
    names = ", ".join(dict.fromkeys(map(str, known)))
    return f"; there are the {what} {names}" if names else f"; there are no {what}"
