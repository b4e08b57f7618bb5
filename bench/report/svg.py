"""A bar chart as inline SVG: the median of each peer, and the range as a line across its end."""

from collections.abc import Mapping
from html import escape

from bench.scenario import Figure
from bench.summary import Spread

COLOURS = {
    "ours": "#0b7a75",
    "envoy": "#b0468f",
    "nginx": "#4c8c2b",
    "haproxy": "#3b6fb6",
    "direct": "#888888",
}
OTHER = "#c77700"
ROW, LABEL, BAR, VALUE = 22, 84, 260, 110


def chart(figure: Figure, spreads: Mapping[str, Spread]) -> str:
    top = max((spread.high for spread in spreads.values()), default=0.0)
    scale = BAR / top if top > 0 else 0.0
    height = ROW * len(spreads)
    rows = [
        _row(index * ROW, name, spread, scale, figure.digits)
        for index, (name, spread) in enumerate(spreads.items())
    ]
    width = LABEL + BAR + VALUE
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(figure.title)}">{"".join(rows)}</svg>'
    )


def _row(top: int, name: str, spread: Spread, scale: float, digits: int) -> str:
    length, low, high = (max(0.0, v * scale) for v in (spread.median, spread.low, spread.high))
    middle, text = top + ROW / 2, f"{spread.median:,.{digits}f}"
    return (
        f'<text x="{LABEL - 6}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{LABEL}" y="{top + 3}" width="{length:.1f}" height="{ROW - 6}" '
        f'fill="{COLOURS.get(name, OTHER)}"/>'
        f'<line x1="{LABEL + low:.1f}" x2="{LABEL + high:.1f}" y1="{middle}" y2="{middle}" '
        f'class="range"/>'
        f'<text x="{LABEL + high + 6:.1f}" y="{middle + 4}">{text}</text>'
    )
