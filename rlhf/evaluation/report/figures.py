"""Small SVG figures by matplotlib, coloured by the page's own style so that they follow light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlhf.evaluation.report.curves import Panel, Series
from rlhf.evaluation.report.markup import Html, tag

__all__ = ["calibration_figure", "histogram_figure", "panel_figure"]

# matplotlib draws in these colours, which nothing else has; the page's variables take their place.
VARIABLES = {
    "ink": "#010101",
    "muted": "#020202",
    "line": "#030303",
    "base": "#040404",
    "sft": "#050505",
    "ppo": "#060606",
    "reward": "#070707",
    "alt": "#080808",
}
SIZE = (4.1, 2.35)  # inches of 72 points, which browsers show as pixels: readable on a phone without scaling
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small, and in the page's font
    "font.size": 10.5,
    "axes.edgecolor": VARIABLES["line"],
    "axes.labelcolor": VARIABLES["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": VARIABLES["line"],
    "grid.linewidth": 0.6,
    "xtick.color": VARIABLES["line"],
    "ytick.color": VARIABLES["line"],
    "xtick.labelcolor": VARIABLES["muted"],
    "ytick.labelcolor": VARIABLES["muted"],
    "text.color": VARIABLES["ink"],
    "legend.frameon": False,
    "legend.fontsize": 10,
    "path.simplify_threshold": 0.3,
    "axes.formatter.useoffset": False,
}
MANY_POINTS = 40


def panel_figure(panel: Panel) -> Html:
    """Draw curves over steps; many points are drawn thin under their moving mean."""
    with _canvas(panel.title) as (axes, finish):
        for series in panel.series:
            _draw_series(axes, series)
        for value, name in panel.lines:
            axes.axhline(value, color=VARIABLES["muted"], linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(
                name,
                (1, value),
                xycoords=("axes fraction", "data"),
                xytext=(-2, 3),
                textcoords="offset points",
                ha="right",
                fontsize=9.5,
                color=VARIABLES["muted"],
            )
        if panel.share:
            axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel(panel.x_label)
        axes.margins(x=0.02)
        if len(panel.series) > 1:
            _legend(axes, len(panel.series))
        return _figure(finish(), panel.title, panel.caption, _say_series(panel))


def calibration_figure(bins: Sequence[Mapping[str, float]]) -> Html:
    """Draw how often people agree against the model's confidence; dots grow with the number of pairs."""
    most = max(one["num_pairs"] for one in bins)
    with _canvas("calibration") as (axes, finish):
        axes.plot([0.5, 1], [0.5, 1], color=VARIABLES["muted"], linewidth=1, linestyle=(0, (4, 3)))
        x, y = [one["predicted"] for one in bins], [one["observed"] for one in bins]
        axes.plot(x, y, color=VARIABLES["reward"], linewidth=1.6)
        axes.scatter(
            x, y, [10 + 90 * one["num_pairs"] / most for one in bins], color=VARIABLES["reward"], zorder=3
        )
        axes.set_xlim(0.485, 1.015)
        axes.set_ylim(min(0.45, *y) - 0.03, 1.03)
        axes.set_xlabel("confidence of the reward model")
        axes.set_ylabel("people agree")
        words = "; ".join(
            f"at {one['predicted']:.2f} people agree on {one['observed']:.2f} of {one['num_pairs']} pairs"
            for one in bins
        )
        caption = "On the dashed line the reward model knows how sure it can be; below it, it is too sure."
        return _figure(finish(), "Calibration", caption, f"Calibration: {words}.")


def histogram_figure(title: str, x_label: str, values: Mapping[str, Sequence[float]], caption: str) -> Html:
    """Draw the distributions of some policies' numbers over each other."""
    every = [value for of_policy in values.values() for value in of_policy]
    edges = np.histogram_bin_edges(every, bins=min(32, max(4, len(set(every)))))
    with _canvas(title) as (axes, finish):
        for name, of_policy in values.items():
            counts, _ = np.histogram(of_policy, edges)
            shares = counts / max(1, len(of_policy))
            axes.stairs(
                shares,
                edges,
                color=VARIABLES[name],
                linewidth=1.8,
                label={"base": "base"}.get(name, name.upper()),
            )
            axes.stairs(shares, edges, color=VARIABLES[name], fill=True, alpha=0.12)
        axes.set_xlabel(x_label)
        axes.set_ylabel("share of answers")
        axes.set_ylim(bottom=0)
        if len(values) > 1:
            _legend(axes, len(values))
        words = ", ".join(
            f"{name} mean {np.mean(some):.1f}, median {np.median(some):.1f}" for name, some in values.items()
        )
        return _figure(finish(), title, caption, f"{title}: {words}.")


class _canvas:
    """One axes in the page's style; ``finish`` gives the SVG."""

    def __init__(self, salt: str) -> None:
        self.salt = salt

    def __enter__(self) -> Any:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        # No pyplot: nothing global but the style, which is put back, and no screen is looked for.
        style: Any = {**STYLE, "svg.hashsalt": self.salt}
        self._style = matplotlib.rc_context(style)
        self._style.__enter__()
        figure = Figure(figsize=SIZE)
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)

        def finish() -> str:
            _fit(figure, axes)
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
            return _clean(buffer.getvalue())

        return axes, finish

    def __exit__(self, *error: Any) -> None:
        self._style.__exit__(*error)


def _legend(axes: Any, count: int) -> None:
    """Name the curves above the axes, where none of them runs."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 0.99),
        ncols=min(4, count),
        handlelength=1.0,
        handletextpad=0.4,
        columnspacing=0.9,
        borderaxespad=0,
    )


def _fit(figure: Any, axes: Any) -> None:
    """Leave as much room at the left as the numbers there need: far quicker than matplotlib's own layouts."""
    width, height = (72 * inches for inches in SIZE)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.4g}")
    longest = max((len(label.get_text()) for label in axes.get_yticklabels()), default=1)
    left = 8 + 6.2 * longest + (17 if axes.get_ylabel() else 0)
    top = 20 if axes.get_legend() is not None else 8
    figure.subplots_adjust(left=left / width, right=1 - 8 / width, bottom=38 / height, top=1 - top / height)


def _clean(svg: str) -> str:
    """Keep the drawing only, without ids that several figures would share, in the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    # a hundredth of a pixel is enough for lines; numbers that people read stay as they are
    svg = re.sub(r'(?<= d=")[^"]*', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), svg)
    for name, colour in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{name})")
    # matplotlib would set its own font on every piece of text
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def _draw_series(axes: Any, series: Series) -> None:
    colour = VARIABLES[series.colour]
    x, y = np.asarray(series.steps, float), np.asarray(series.values, float)
    if len(x) > MANY_POINTS and not series.sparse:
        window = max(3, len(x) // 20)
        axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.35)
        axes.plot(x, moving_mean(y, window), color=colour, linewidth=1.8, label=series.name)
    else:
        marker = "o" if len(x) <= MANY_POINTS else None
        axes.plot(x, y, color=colour, linewidth=1.8, marker=marker, markersize=2.8, label=series.name)


def moving_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Average over a window around each point, narrower at the ends; not-a-numbers are left out.

    >>> moving_mean(np.array([0.0, 3.0, 6.0]), 3).tolist()
    [1.5, 3.0, 4.5]
    """
    half = window // 2
    return np.array([np.nanmean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])


def _say_series(panel: Panel) -> str:
    parts = [
        f"{series.name} goes from {series.values[0]:.4g} to {series.values[-1]:.4g}"
        for series in panel.series
        if series.values
    ]
    return f"{panel.title}: {'; '.join(parts)}."


def _figure(svg: str, title: str, caption: str, alternative: str) -> Html:
    drawing = tag("div", Html(svg), role="img", aria_label=alternative, class_="drawing")
    return tag(
        "figure", tag("figcaption", tag("b", title), " ", tag("span", caption)), drawing, class_="panel"
    )
