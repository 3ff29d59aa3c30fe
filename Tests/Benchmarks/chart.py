"""The backlog's rates as an SVG: each case's limit is a full bar, and the streamer's beside it as long as it deserves."""

from html import escape

_WIDTH, _LABELS, _NUMBERS, _MARGIN = 820, 190, 150, 16
_TOP, _BAR, _GAP, _GROUP = 64, 15, 3, 50

# Readable on white and on GitHub's dark grey.
_STYLE = """
  text { font: 13px -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 } .name { font-weight: 600 } .small { font-size: 11.5px; fill: #59636e }
  .limit { fill: #b4bcc6 } .streamer { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 } .limit { fill: #5a6470 } .streamer { fill: #4493f8 }
  }
"""


def svg(results: list[dict], note: str) -> str:
    """A chart of the cases that are not void; `note` stands below it."""
    shown = [result for result in results if not result["void"]]
    longest = max([1.0, *(result["ratio"] for result in shown)])
    scale = (_WIDTH - 2 * _MARGIN - _LABELS - _NUMBERS) / longest
    left = _MARGIN + _LABELS
    height = _TOP + _GROUP * len(shown) + 30
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
             f'role="img" aria-label="Changes a second: the limit of both servers and the streamer">',
             f"<style>{_STYLE}</style>", _text(_MARGIN, 26, "title", "A backlog’s changes a second"),
             *_legend(left, 46)]
    for index, result in enumerate(shown):
        top = _TOP + _GROUP * index
        parts.append(_text(_MARGIN, top + 14, "name", result["case"]))
        parts.append(_text(_MARGIN, top + 30, "small", f"PostgreSQL {result['postgres']} × {result['nats']}"))
        rates = result["per_second"]
        bars = [("limit", 1.0, f"{rates['limit']:,}"),
                ("streamer", result["ratio"], f"{rates['streamer']:,} · {result['ratio']:.2f}")]
        for place, (kind, share, number) in enumerate(bars):
            y = top + place * (_BAR + _GAP)
            parts.append(f'<rect class="{kind}" x="{left}" y="{y}" width="{share * scale:.1f}" height="{_BAR}" rx="2"/>')
            parts.append(_text(left + share * scale + 8, y + 12, "number", number))
    parts += [_text(_MARGIN, height - 12, "small", note), "</svg>"]
    return "\n".join(parts) + "\n"


def _legend(x: float, y: float) -> list[str]:
    entries = [("streamer", "Slotstream", 0), ("limit", "limit: a bare drain and a bare publish at once", 110)]
    parts = []
    for kind, name, offset in entries:
        parts.append(f'<rect class="{kind}" x="{x + offset}" y="{y - 10}" width="12" height="12" rx="2"/>')
        parts.append(_text(x + offset + 18, y, "small", name))
    return parts


def _text(x: float, y: float, kind: str, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y}">{escape(text)}</text>'
