"""What the page's plots are drawn with: log axes, a frame with a grid, marks, labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from onepass.bench.report.markup import Html, element

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom
COLORS = 8  # classes c0 to c7 in the style; c0 is ours
_LETTER = 6.9  # width of a letter of a label, about
_LINE = 13.0  # height of a label


def number(value: float) -> str:
    """Return a coordinate."""
    return f"{value:.1f}"


@dataclass(frozen=True)
class LogAxis:
    """Maps values from low to high to places from start to end by their logarithm."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round values within, a handful."""
        return round_values(self.low, self.high)


def round_values(low: float, high: float) -> list[float]:
    """Return powers of ten between two positive values; 2 and 5 times them, too, where few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    stride = 1 + (last - first) // 8
    values = (step * 10.0**power for power in range(first, last + 1, stride) for step in steps)
    return [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]


def around(values: Iterable[float], by: float = 1.6) -> Point:
    """Return a range that holds positive values with some room on both sides."""
    found = list(values)
    return min(found) / by, max(found) * by


@dataclass(frozen=True)
class Frame:
    """A plot's area, with its axes.

    Attributes
    ----------
    width, height : of the whole drawing
    x, y : axes; places grow to the right and downwards
    x_title, y_title : what they show
    x_mark, y_mark : text of a round value
    """

    width: float
    height: float
    x: LogAxis
    y: LogAxis
    x_title: str
    y_title: str
    x_mark: Callable[[float], str]
    y_mark: Callable[[float], str]

    def place(self, x: float, y: float) -> Point:
        """Return where a point lies."""
        return self.x.at(x), self.y.at(y)

    def draw(self, *inside: Html, name: str) -> Html:
        """Return the drawing: grid, axes, and what lies inside; ``name`` is for screen readers."""
        return element(
            "svg",
            *self._grid(),
            *inside,
            viewBox=f"0 0 {self.width:g} {self.height:g}",
            role="img",
            aria_label=name,
            style=f"min-width:{min(self.width, 600.0) / 16:g}rem" if self.width > 400 else None,
        )

    def _grid(self) -> Iterator[Html]:
        left, right, top, bottom = self.x.start, self.x.end, self.y.end, self.y.start
        for value in self.x.ticks():
            at = self.x.at(value)
            yield line((at, top), (at, bottom), "grid")
            yield text((at, bottom + 16), self.x_mark(value), anchor="middle")
        for value in self.y.ticks():
            at = self.y.at(value)
            yield line((left, at), (right, at), "grid")
            yield text((left - 6, at + 4), self.y_mark(value), anchor="end")
        yield line((left, bottom), (right, bottom), "axis")
        yield line((left, top), (left, bottom), "axis")
        middle = (left + right) / 2
        yield text((middle, self.height - 6), self.x_title, "title", anchor="middle")
        yield text((4, top - 10), self.y_title, "title")


def line(start: Point, end: Point, kind: str) -> Html:
    """Return a straight line of a class of the style."""
    (x1, y1), (x2, y2) = start, end
    return element("line", x1=number(x1), y1=number(y1), x2=number(x2), y2=number(y2), class_=kind)


def path(points: Sequence[Point], kind: str) -> Html:
    """Return a line through points."""
    shown = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return element("polyline", points=shown, class_=kind)


def text(
    at: Point, words: str, kind: str | None = None, anchor: str | None = None, turn: float = 0.0
) -> Html:
    """Return a text whose base line begins (or has its middle or end) at a point."""
    x, y = number(at[0]), number(at[1])
    return element(
        "text",
        words,
        x=x,
        y=y,
        class_=kind,
        text_anchor=anchor,
        transform=f"rotate({turn:.1f} {x} {y})" if turn else None,
    )


def dot(at: Point, color: int, words: str, noisy: bool = False, radius: float = 4.5) -> Html:
    """Return a mark that says what it is when pointed at; hollow if noisy."""
    kind = f"dot c{color % COLORS}" + (" hollow" if noisy else "")
    x, y = number(at[0]), number(at[1])
    return element("circle", element("title", words), cx=x, cy=y, r=number(radius), class_=kind)


@dataclass
class Labels:
    """Places labels beside points where no other label, point or edge is in the way.

    Attributes
    ----------
    left, top, right, bottom : where labels may be
    taken : boxes in which there is something
    """

    left: float
    top: float
    right: float
    bottom: float
    taken: list[Box] = field(default_factory=list)

    def keep_free(self, at: Point, radius: float = 5.0) -> None:
        """Let no label cover a point."""
        x, y = at
        self.taken.append((x - radius, y - radius, x + radius, y + radius))

    def place(self, at: Point, words: str) -> Html | None:
        """Return the label where there is room for it, else None."""
        x, y = at
        width = _LETTER * len(words)
        for left, base in (
            (x + 8, y + 4),
            (x - 8 - width, y + 4),
            (x - width / 2, y - 9),
            (x - width / 2, y + 18),
            (x + 6, y - 8),
            (x + 6, y + 16),
            (x - 6 - width, y - 8),
            (x - 6 - width, y + 16),
            (x - width / 2, y - 22),
            (x - width / 2, y + 31),
        ):
            box = (left, base - _LINE + 3, left + width, base + 3)
            if self._free(box):
                self.taken.append(box)
                return text((left, base), words, "label")
        return None

    def place_turned(self, starts: Iterable[Point], words: str, turn: float) -> Html:
        """Return a turned label at the first start with room for it, at the last if none has."""
        radians = math.radians(turn)
        pieces = range(1 + round(_LETTER * len(words) / _LINE))
        boxes: list[Box] = []
        at = (self.left, self.bottom)
        for at in starts:
            middles = [
                (
                    at[0] + _LINE * piece * math.cos(radians) + 4 * math.sin(radians),
                    at[1] + _LINE * piece * math.sin(radians) - 4 * math.cos(radians),
                )
                for piece in pieces
            ]
            boxes = [(x - 7, y - 7, x + 7, y + 7) for x, y in middles]
            if all(self._free(box) for box in boxes):
                break
        self.taken += boxes
        return text(at, words, "roofname", turn=turn)

    def _free(self, box: Box) -> bool:
        left, top, right, bottom = box
        if left < self.left or right > self.right or top < self.top or bottom > self.bottom:
            return False
        return not any(
            left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
            for other in self.taken
        )
