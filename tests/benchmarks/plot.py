"""The plot of results: a handwritten SVG file with a bar for each target, readable on light and dark pages."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from .targets import Verdict

ROW, TOP, BOTTOM = 34, 62, 34
LABELS, BARS, VALUES = 250, 460, 210
WIDTH = LABELS + BARS + VALUES

# An image does not know the page's colors, so it has its own background.
STYLE = """
text { fill: #1f2328; font: 12px system-ui, sans-serif }
.title { font-size: 15px; font-weight: 600 } .small { font-size: 10px } .faint { fill: #59636e }
.ground { fill: #ffffff } .limit { fill: #dfe3e8 } .grid { stroke: #8c959f; stroke-width: 0.5 }
.no { fill: #cf4a3c } .yes { fill: #2f7fd1 } .aim { fill: #2c9a4b }
.goal { stroke: #1f2328; stroke-width: 2 } .dashed { stroke-dasharray: 3 2 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .faint { fill: #9198a1 }
.ground { fill: #0d1117 } .limit { fill: #2a313a } .grid { stroke: #656c76 }
.no { fill: #f0695b } .yes { fill: #539bf5 } .aim { fill: #46b563 }
.goal { stroke: #f0f6fc }
}
"""


def draw(verdicts: Sequence[Verdict]) -> str:
    """Return the SVG: bars of measured figures relative to their limits, with ticks at the goals."""
    shown = [verdict for verdict in verdicts if verdict.ratio is not None]
    ratios = [part for one in shown for part in (one.ratio, one.part(one.target.at_least), one.part(one.target.aim)) if part]
    scale = math.ceil(max([1.0, *ratios]) * 4) / 4
    height = TOP + ROW * len(shown) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>post3 measured against limits and targets</title><style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="6"/>',
        '<text class="title" x="16" y="26">Measured, relative to the limit of the machine without post3</text>',
        '<text class="faint" x="16" y="45">gray: limit · solid tick: at least · dashed tick: aim'
        " · red: below, blue: reached, green: aim reached</text>",
    ]
    step = 0.25 if scale <= 2 else math.ceil(scale / 8)
    for number in range(int(scale / step) + 1):
        x = LABELS + BARS * number * step / scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM + 4}"/>')
        parts.append(f'<text class="faint" x="{x:.1f}" y="{height - 12}" text-anchor="middle">{number * step:.0%}</text>')
    for number, verdict in enumerate(shown):
        parts += _row(verdict, TOP + ROW * number, BARS / scale)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(verdict: Verdict, y: int, width: float) -> list[str]:
    """Return one target's label, bars and ticks. `width` is the width of the limit's bar."""
    target, ratio = verdict.target, verdict.ratio or 0.0
    unit = verdict.unit if verdict.unit == "/s" else f" {verdict.unit}"
    value = f"{verdict.measured:,.0f} of {verdict.limit or 0:,.0f}{unit}"
    under = escape(f"{target.configuration}, {target.limit}")
    parts = [
        f'<text x="16" y="{y + 14}">{escape(target.work)}</text>',
        f'<text class="faint small" x="16" y="{y + 28}">{under}</text>',
        f'<rect class="limit" x="{LABELS}" y="{y + 6}" width="{width:.1f}" height="20" rx="2"/>',
        f'<rect class="{verdict.met}" x="{LABELS}" y="{y + 10}" width="{ratio * width:.1f}" height="12" rx="2"/>',
        f'<text x="{LABELS + BARS + 12}" y="{y + 20}">{escape(value)}</text>',
    ]
    for kind, goal in (("goal", target.at_least), ("goal dashed", target.aim)):
        if (part := verdict.part(goal)) is not None:
            x = LABELS + part * width
            parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 3}" y2="{y + 29}"/>')
    return parts
