"""Plots as SVG that stands in the page itself, so that a report needs nothing from anywhere."""

from collections.abc import Sequence
from html import escape
from math import floor, log10

from loadtests.measures import Bars, Curves, Figure, at_share

_WIDTH = 720
_LEFT, _RIGHT = 170, 90
_BAR = 28
_HEIGHT = 260
_BOTTOM = 34
_COLOURS = ("#3b6fb6", "#c8702a", "#4a8f5b", "#8a5aa8", "#a33b4a", "#6b6b6b")


def plot(what: Bars | Curves) -> str:
    return _bars(what) if isinstance(what, Bars) else _curves(what)


def _bars(bars: Bars) -> str:
    top = max(figure.high for figure in bars.figures.values()) or 1
    rows = [
        _bar(name, figure, number, (_WIDTH - _LEFT - _RIGHT) / top)
        for number, (name, figure) in enumerate(bars.figures.items())
    ]
    return _svg(bars.title, _BAR * len(rows) + 8, rows)


def _bar(name: str, figure: Figure, number: int, scale: float) -> str:
    y = _BAR * number + 4
    middle = y + _BAR / 2
    low, high = _LEFT + figure.low * scale, _LEFT + figure.high * scale
    return (
        _text(_LEFT - 8, middle + 4, name, "end")
        + f'<rect x="{_LEFT}" y="{y + 4}" width="{figure.median * scale:.1f}" height="{_BAR - 8}" '
        f'fill="{_colour(number)}"/>'
        # The spread over the rounds, across the end of the bar.
        f'<path d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8" '
        'stroke="currentColor" fill="none"/>'
        + _text(high + 8, middle + 4, f"{figure.median:.3g} {figure.unit}")
    )


def _curves(curves: Curves) -> str:
    # What lies beyond the slowest twentieth of anyone would press all the rest to the edge.
    most = max(at_share(samples, 0.95) for samples in curves.samples.values()) or 1
    drawn = [
        _curve(name, samples, number, most) for number, (name, samples) in enumerate(curves.samples.items())
    ]
    return _svg(f"{curves.title} ({curves.unit})", _HEIGHT, [_axes(most), *drawn])


def _curve(name: str, samples: Sequence[float], number: int, most: float) -> str:
    """Draw the share of values that are at most so large."""
    last = len(samples) - 1
    points = [
        f"{_across(value, most):.1f},{_down(rank / last):.1f}"
        for rank, value in enumerate(sorted(samples))
        if value <= most
    ]
    label = f"{name}, median {at_share(samples, 0.5):.3g}"
    return (
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{_colour(number)}" stroke-width="2"/>'
        + _text(_WIDTH - _RIGHT - 6, _down(0) - 12 - 16 * number, label, "end", _colour(number))
    )


def _axes(most: float) -> str:
    step = _step(most)
    marks = [step * number for number in range(int(most / step) + 1)]
    across = [_text(_across(mark, most), _HEIGHT - 12, f"{mark:g}", "middle") for mark in marks]
    down = [_text(_LEFT - 8, _down(share) + 4, f"{share:.0%}", "end") for share in (0, 0.5, 1)]
    lines = "".join(f"M{_LEFT} {_down(share)}H{_WIDTH - _RIGHT}" for share in (0, 0.5, 1))
    return "".join([f'<path d="{lines}" stroke="currentColor" opacity=".25"/>', *across, *down])


def _step(most: float) -> float:
    """Find a round distance of marks, so that there are from two to ten of them."""
    power: float = 10 ** floor(log10(most))
    return next(step for step in (power / 5, power / 2, power) if most / step <= 10)


def _across(value: float, most: float) -> float:
    return _LEFT + value / most * (_WIDTH - _LEFT - _RIGHT)


def _down(share: float) -> float:
    return (1 - share) * (_HEIGHT - _BOTTOM - 8) + 8


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "currentColor") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{"".join(parts)}</svg></figure>'
    )
