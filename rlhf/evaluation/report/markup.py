"""HTML that is safe by construction: text is escaped unless it is already `Html`."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["Html", "breakable", "intervals", "join", "number", "percent", "signed", "table", "tag"]

VOID = ("br", "meta", "input", "hr")


class Html(str):
    """Text that is HTML already; everything else is escaped when it is put into a tag."""


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
    """Make an element; an attribute of None or False is left out, True has no value, ``class_`` is class.

    >>> tag("p", "1 < 2", tag("b", "yes"), class_="note")
    '<p class="note">1 &lt; 2<b>yes</b></p>'
    """
    shown = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{shown}>")
    return Html(f"<{name}{shown}>{join(children)}</{name}>")


def _attribute(key: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    key = key.rstrip("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{html.escape(str(value))}"'


def join(children: Iterable[Any]) -> Html:
    """Put pieces one after the other, escaping those that are plain text; None is nothing.

    >>> join(["<", None, 3])
    '&lt;3'
    """
    return Html(
        "".join(
            child if isinstance(child, Html) else html.escape(str(child))
            for child in children
            if child is not None
        )
    )


def table(headers: Sequence[Any], rows: Iterable[Sequence[Any]], *, caption: str | None = None) -> Html:
    """Make a table whose first column names the row; it scrolls sideways where the screen is narrow."""
    head = tag("tr", *(tag("th", header, scope="col") for header in headers))
    body = [
        tag("tr", tag("th", first, scope="row"), *(tag("td", "-" if cell is None else cell) for cell in rest))
        for first, *rest in rows
    ]
    inside = tag("table", tag("thead", head), tag("tbody", *body), aria_label=caption)
    # A caption of the table itself would scroll away with it.
    title = tag("p", caption, class_="caption") if caption else None
    return join([title, tag("div", inside, class_="scroll", tabindex="0", role="region", aria_label=caption)])


def number(value: Any) -> str:
    """Write a number as people read it: four digits, thousands apart; None as a dash.

    >>> number(0.123456), number(12000), number(None), number(0.0001)
    ('0.1235', '12,000', '-', '0.0001')
    """
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def breakable(text: str) -> Html:
    """Let a path break after its slashes, where the line is too short for it.

    >>> breakable("a/<b>")
    'a/<wbr>&lt;b&gt;'
    """
    return Html(html.escape(text).replace("/", "/<wbr>"))


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share as a percentage.

    >>> percent(0.8125)
    '81.2 %'
    """
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def signed(value: float) -> str:
    """Write a number with its sign, two digits, a real minus.

    >>> signed(-0.5)
    '\N{MINUS SIGN}0.50'
    """
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def intervals(
    rows: Sequence[tuple[str, float, float | None, float | None, str]],
    *,
    label: str,
    mark: float | None = None,
    show: Callable[[float], str] = percent,
) -> Html:
    """Draw shares as dots with their intervals on one scale, each with its numbers in words.

    Args:
        rows: title, value, bounds (None: unknown), and the class that colours the dot.
        label: what is drawn, for screen readers.
        mark: where a vertical line stands (a coin's one half, say).
        show: writes a share in words.
    """

    def at(value: float) -> float:
        return round(100 * min(1.0, max(0.0, value)), 2)

    def row(title: str, value: float, bottom: float | None, top: float | None, colour: str) -> Html:
        pieces = [tag("i", class_="mark", style=f"left:{at(mark)}%") if mark is not None else None]
        text = show(value)
        if bottom is not None and top is not None:
            pieces.append(
                tag("i", class_="span", style=f"left:{at(bottom)}%;width:{round(at(top) - at(bottom), 2)}%")
            )
            text += f" [{show(bottom)}, {show(top)}]".replace(" %", "")
        pieces.append(tag("i", class_="dot", style=f"left:{at(value)}%"))
        return tag(
            "li",
            tag("span", title, class_="what"),
            tag("span", *pieces, class_=f"track {colour}", aria_hidden="true"),
            tag("span", text, class_="value"),
        )

    return tag("ul", *(row(*one) for one in rows), class_="intervals", aria_label=label)
