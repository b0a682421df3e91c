"""HTML and SVG put together so that what is not markup is always escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta", "br"})  # elements without an end tag


class Html(str):
    """Text that is markup already; every other text is escaped when it is put inside some."""

    __slots__ = ()


def _text(child: object) -> str:
    return child if isinstance(child, Html) else escape(str(child))


def joined(parts: Iterable[object], between: str = "") -> Html:
    """Return the parts one after the other; those that are no markup are escaped."""
    return Html(escape(between).join(_text(part) for part in parts))


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def element(tag: str, *children: object, **attributes: object) -> Html:
    """Return an element.

    Parameters
    ----------
    tag : its name
    children : markup, or text that is escaped
    attributes : by name, ``class_`` for ``class`` and ``data_v`` for ``data-v``; without the
        attribute for None and False, without a value for True
    """
    shown = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Html(f"<{tag}{shown}>")
    return Html(f"<{tag}{shown}>{joined(children)}</{tag}>")


def paragraph(*children: object, **attributes: object) -> Html:
    """Return a paragraph."""
    return element("p", *children, **attributes)


def scrolling(child: Html) -> Html:
    """Return something wide in a box of its own, so that the page itself never scrolls sideways."""
    return element("div", child, class_="wide", tabindex="0")


def listed(items: Iterable[object]) -> Html:
    """Return a list with a point for each item."""
    return element("ul", *(element("li", item) for item in items))


def defined(pairs: Iterable[tuple[object, object]]) -> Html:
    """Return a list of words with what each means."""
    rows = (element("div", element("dt", word), element("dd", text)) for word, text in pairs)
    return element("dl", *rows)
