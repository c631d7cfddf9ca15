"""Charts as SVG that scripts nothing and loads nothing; drawn for the width that shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil, floor, log10

import htpy as h
from htpy import Element, Node

from processors.report_document import Bounded, Chart
from processors.report_numbers import THIN, amount

BEST = "#0b5394"
BAND = "#9dc3e6"
LIMIT = "#c8470e"
INK = "#1f2933"
GRID = "#d9dee4"
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 12.0, 20.0, 26.0
_HEAD, _ROW = 20.0, 44.0
"""Of a gauge: above its first row, and each row."""
_WIDE, _NARROW = 1000.0, 350.0
_STEPS = (1, 2, 2.5, 5, 10)
_LETTER = 6.4
"""Width of a label's letter; a Chinese one takes two."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a chart's axes lie, in the SVG's own units; one of them is a pixel on its screen."""

    width: float
    height: float
    top: float
    """Amount at the upper end of the axis."""
    count: int

    def x(self, place: float) -> float:
        """Of the place among the points, from 0 to `count`."""
        return _LEFT + (self.width - _LEFT - _RIGHT) * place / max(self.count, 1)

    def y(self, number: float) -> float:
        """Of an amount."""
        return self.height - _BOTTOM - (self.height - _BOTTOM - _TOP) * number / self.top


def drawn(chart: Chart, *, wide: bool) -> Element:
    """The chart, for a desktop's width or a phone's."""
    width, height = (_WIDE, 260.0) if wide else (_NARROW, 220.0)
    if chart.kind == "gauge":
        return _gauge(chart, width)
    frame = Frame(width, height, _top(chart), len(chart.points))
    body = _band(chart, frame) if chart.kind == "band" else _bars(chart, frame)
    return _svg(
        chart,
        width,
        height,
        [_grid(frame), body, _limit(chart, frame), _labels(chart, frame), _unit(chart)],
    )


def _svg(chart: Chart, width: float, height: float, parts: Node) -> Element:
    label = f"{chart.title}, {chart.unit}"
    size = "wide" if width > _NARROW else "narrow"
    return h.svg(f".{size}", viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label)[
        parts
    ]


def _top(chart: Chart) -> float:
    numbers = [float(_end(point)) for point in chart.points]
    return max([*numbers, float(chart.limit or 0), 1e-6]) * 1.05


def _end(point: Bounded) -> Decimal:
    high = point.amount.high
    return point.amount.best if high is None else high


# ---- Axes


def _ticks(top: float, wanted: int = 4) -> list[float]:
    rough = top / wanted
    size = 10.0 ** floor(log10(rough))
    step = next(size * times for times in _STEPS if size * times >= rough)
    return [step * i for i in range(ceil(top / step)) if step * i <= top]


def _written(number: float) -> str:
    text = f"{number:,.6f}".rstrip("0").rstrip(".")
    return text.replace(",", THIN)


def _grid(frame: Frame) -> list[Element]:
    lines = []
    for tick in _ticks(frame.top):
        y = frame.y(tick)
        lines += [
            _line((_LEFT, y), (frame.width - _RIGHT, y), GRID, 1),
            _text(_LEFT - 6, y + 4, _written(tick), "end"),
        ]
    return lines


def _line(
    start: tuple[float, float], end: tuple[float, float], color: str, width: float, dash: str = ""
) -> Element:
    ends = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
    stroke = {"stroke": color, "stroke-width": f"{width:g}"}
    dashes = {"stroke-dasharray": dash} if dash else {}
    return h.line({name: f"{place:.1f}" for name, place in ends.items()} | stroke | dashes)


def _box(x: float, y: float, width: float, height: float, paint: dict[str, str]) -> Element:
    sides = {"x": x, "y": y, "width": max(width, 0), "height": max(height, 0)}
    return h.rect({name: f"{side:.1f}" for name, side in sides.items()} | paint)


def _text(x: float, y: float, text: str, anchor: str = "middle", color: str = INK) -> Element:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}"}
    return h.Element("text")({"text-anchor": anchor, "fill": color, **place})[text]


def _unit(chart: Chart) -> Element:
    return _text(4, 12, chart.unit, "start")


def _labels(chart: Chart, frame: Frame) -> list[Element]:
    """Each where it first holds, as many as fit."""
    widest = max((_width(point.label) for point in chart.points), default=0.0)
    free, last, shown = 0.0, "", []
    for place, point in enumerate(chart.points):
        x = frame.x(place + 0.5)
        fits = x >= free and x + widest / 2 < frame.width
        if fits and point.label != last:
            shown.append(_text(x, frame.height - 8, point.label))
            free = x + widest + 14
        last = point.label
    return shown


def _width(text: str) -> float:
    return sum(_LETTER if letter.isascii() else 2 * _LETTER for letter in text)


def _limit(chart: Chart, frame: Frame) -> list[Element]:
    if chart.limit is None:
        return []
    y = frame.y(float(chart.limit))
    name = f"{chart.limit_name} {amount(chart.limit)} {chart.unit}"
    return [
        _line((_LEFT, y), (frame.width - _RIGHT, y), LIMIT, 2, "7 4"),
        _text(frame.width - _RIGHT, y - 5, name, "end", LIMIT),
    ]


# ---- Amounts


def _said(point: Bounded, unit: str) -> Element:
    """What a pointer that rests on it is told."""
    some = point.amount
    high = "?" if some.high is None else amount(some.high)
    text = f"{point.label}: {amount(some.best)} [{amount(some.low)}, {high}] {unit}"
    return h.Element("title")[text]


def _bars(chart: Chart, frame: Frame) -> list[Element]:
    room = frame.x(1) - frame.x(0)
    return [
        _bar(point, chart.unit, frame, frame.x(place + 0.5), min(room * 0.6, 84))
        for place, point in enumerate(chart.points)
    ]


def _bar(point: Bounded, unit: str, frame: Frame, x: float, width: float) -> Element:
    some = point.amount
    foot, best, least = (frame.y(float(number)) for number in (Decimal(0), some.best, some.low))
    most = _TOP if some.high is None else frame.y(float(some.high))
    arm = min(width / 4, 7)
    known = some.high is not None
    return h.g[
        _said(point, unit),
        _box(x - width / 2, best, width, foot - best, {"fill": BEST}),
        _line((x, least), (x, most), INK, 1.5, "" if known else "3 3"),
        _line((x - arm, least), (x + arm, least), INK, 1.5),
        known and _line((x - arm, most), (x + arm, most), INK, 1.5),
    ]


def _band(chart: Chart, frame: Frame) -> list[Element]:
    """Steps, since each amount is of its whole quarter hour or day; an unknown high reaches the top."""
    ends = [point.amount.high for point in chart.points]
    highs = [frame.top if end is None else float(end) for end in ends]
    lows = [float(point.amount.low) for point in chart.points]
    best = [float(point.amount.best) for point in chart.points]
    there, back = _steps(frame, highs), _steps(frame, lows)[::-1]
    return [
        h.polygon(points=" ".join([*there, *back]), fill=BAND),
        h.polyline(
            {"stroke-width": "1.4", "stroke-linejoin": "round"},
            points=" ".join(_steps(frame, best)),
            fill="none",
            stroke=BEST,
        ),
    ]


def _steps(frame: Frame, numbers: Sequence[float]) -> list[str]:
    return [
        f"{frame.x(place + side):.1f},{frame.y(number):.1f}"
        for place, number in enumerate(numbers)
        for side in (0, 1)
    ]


def _gauge(chart: Chart, width: float) -> Element:
    """Lying bars from zero to best, their bounds as a box, against one upright limit."""
    height = _HEAD + _ROW * len(chart.points)
    scale = (width - 24) / _top(chart)
    rows = [
        _lying(point, chart.unit, scale, width, _HEAD + _ROW * place)
        for place, point in enumerate(chart.points)
    ]
    return _svg(chart, width, height, [rows, _upright(chart, scale, width, height)])


def _lying(point: Bounded, unit: str, scale: float, width: float, y: float) -> Element:
    some = point.amount
    best, least = scale * float(some.best), scale * float(some.low)
    most = width - 2 if some.high is None else scale * float(some.high)
    edge = {"stroke": INK, "stroke-width": "1.5", "fill": BAND, "fill-opacity": "0.5"}
    open_end = {"stroke-dasharray": "4 3"} if some.high is None else {}
    return h.g[
        _said(point, unit),
        _text(1, y + 11, point.label, "start"),
        _box(1, y + 20, best, 14, {"fill": BEST}),
        _box(1 + least, y + 17, max(most - least, 1), 20, edge | open_end),
    ]


def _upright(chart: Chart, scale: float, width: float, height: float) -> list[Element]:
    if chart.limit is None:
        return []
    x = 1 + scale * float(chart.limit)
    anchor, beside = ("end", x - 6) if x > width / 2 else ("start", x + 6)
    name = f"{chart.limit_name} {amount(chart.limit, places=0)} {chart.unit}"
    return [
        _line((x, 2), (x, height), LIMIT, 2.5, "7 4"),
        _text(beside, 13, name, anchor, LIMIT),
    ]
