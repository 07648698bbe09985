# SPDX-License-Identifier: MIT
"""Draws comparisons as bars, as long as the logarithm of their values, in SVG."""

import math
from xml.sax.saxutils import escape

from benchmark.rows import shown

from .rows import LANES, VITRINE, Comparison, ratio_shown

COLOURS = ["#1f6f8b", "#d9822b", "#ecc08c"]  # one for each lane
NAMES, BARS, RATIOS = 330, 440, 60  # widths
BAR, GAP, HEAD, FOOT = 13, 12, 80, 14  # heights
MARGIN = 16


def text(x: float, y: float, words: str, size: int = 12, colour: str = "#222",
         more: str = "") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{more}>'
            f"{escape(words)}</text>")


def rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="{colour}"/>')


def legend(left: float) -> list[str]:
    parts, y = [], MARGIN + 2 * BAR
    for lane, colour in zip(LANES, COLOURS):
        parts += [rectangle(left, y, BAR, BAR, colour),
                  text(left + BAR + 5, y + BAR - 2, lane.title)]
        left += BAR + 30 + 7 * len(lane.title)
    return parts


def svg(comparisons: list[Comparison], title: str) -> str:
    """The picture. Of each row its name, what it is, and a bar for each lane that has a value, with
    the value and how many times Vitrine's it is."""
    comparisons = [c for c in comparisons if c.values]
    most = max((value for c in comparisons for value in c.values.values()), default=1)
    decades = max(1, math.ceil(math.log10(max(most, 1))))
    left = MARGIN + NAMES
    body, y = legend(left), HEAD
    for c in comparisons:
        lanes = [(lane, colour) for lane, colour in zip(LANES, COLOURS) if lane.name in c.values]
        body.append(text(MARGIN, y + BAR - 2, c.row.name, 13, more=' font-weight="bold"'))
        body.append(text(MARGIN, y + 2 * BAR, c.row.what, 11, "#666"))
        for lane, colour in lanes:
            value = c.values[lane.name]
            length = BARS * math.log10(max(value, 1)) / decades
            label = shown(value) + ("" if c.row.unit == "ticks" else f" {c.row.unit}")
            if lane is not VITRINE and c.ratio(lane) is not None:
                label += f"  ×{ratio_shown(c.ratio(lane))}"
            body.append(rectangle(left, y, max(length, 1), BAR - 2, colour))
            body.append(text(left + length + 5, y + BAR - 3, label, 11))
            y += BAR
        y += GAP + BAR * max(0, 2 - len(lanes))
    width, height = left + BARS + 2 * RATIOS + MARGIN, y + FOOT
    grid = []
    for decade in range(decades + 1):
        x = left + BARS * decade / decades
        grid.append(f'<line x1="{x:.1f}" y1="{HEAD - 6}" x2="{x:.1f}" y2="{y}" stroke="#ddd"/>')
        grid.append(text(x, HEAD - 10, f"{10 ** decade:,}", 10, "#888", ' text-anchor="middle"'))
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f"<title>{escape(title)}</title>",
        rectangle(0, 0, width, height, "#fff"),
        text(MARGIN, MARGIN + BAR - 2, title, 14, more=' font-weight="bold"'),
        *grid, *body, "</svg>", ""])
