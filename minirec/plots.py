"""Every figure of minirec, from plain arrays. matplotlib is imported here and nowhere else, inside functions.

Each function returns a `matplotlib.figure.Figure` that belongs to nobody else: pyplot is not used, so no
window opens, nothing has to be closed, and it works without a display. `save` writes it as SVG or PNG, the
same bytes for the same figure. Colors can be told apart by color-blind readers, and markers and line styles
repeat what the colors say, so that a gray print is enough. (The file is long because nothing else may import
matplotlib.)
"""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]

# Okabe & Ito 2008, without yellow, which is too light for thin lines and small dots on white
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
# From white to dark blue in even steps of CIE lightness, 100 to 18: equal differences look equal, and nothing
# is white as the paper is
BLUES = (
    *("#FFFFFF", "#D1EBFE", "#A0D7FF", "#74C2F8", "#4CABEC", "#2195DC"),
    *("#017FC5", "#0769A9", "#02538E", "#023F72", "#062C56"),
)
OTHER = "#8A8A8A"
_PIXELS: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest"}  # a cell is a sharp rectangle
INK = "#333333"
STYLE: dict[Any, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are the same on every machine
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "path",  # no font is needed where the figure is read
    "svg.hashsalt": "minirec",  # the same ids in every run
}


def style() -> AbstractContextManager[None]:
    """The one style, for a `with` block; what is drawn or saved inside it looks like the figures here."""
    import matplotlib

    context: AbstractContextManager[None] = matplotlib.rc_context(STYLE)
    return context


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write `figure` as SVG or PNG, by the ending of `path`; the bytes hold no date and no version."""
    ending = os.path.splitext(path)[1].lower()
    if ending not in (".svg", ".png"):
        raise ValueError(f"{os.fspath(path)!r}: a figure is saved as .svg or .png, got {ending!r}")
    metadata = {"Date": None, "Creator": None} if ending == ".svg" else {"Software": None}
    with style():
        _settle(figure)
        figure.savefig(path, metadata=metadata)


def svg(figure: Figure) -> str:
    """`figure` as the text of an SVG file."""
    import io

    buffer = io.StringIO()
    with style():
        _settle(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def interaction_matrix(
    matrix: Array | None = None,
    *,
    indptr: Array | None = None,
    indices: Array | None = None,
    n_items: int | None = None,
    values: Array | None = None,
    sort: bool = False,
    user_labels: Sequence[str] | None = None,
    item_labels: Sequence[str] | None = None,
    user_word: str = "user",
    item_word: str = "item",
    value_label: str = "rating",
    title: str | None = None,
    cells: tuple[int, int] = (150, 240),
) -> Figure:
    """The interaction matrix: rows are users, columns are items, white is no interaction.

    matrix     dense (U, I), 0 or NaN = no interaction; or, in its place, compressed sparse rows: `indptr`
               (U + 1,), `indices`, `n_items`, and `values` where interactions have one
    sort       users and items with the most interactions first
    cells      a matrix with more rows or columns than this is drawn in tiles, whose color is the share of
               their cells that are filled; a smaller one cell by cell, colored by value
    """
    rows, columns, filled, shape = _entries(matrix, indptr, indices, n_items, values)
    if sort:
        rows, user_labels = _most_first(rows, shape[0], user_labels)
        columns, item_labels = _most_first(columns, shape[1], item_labels)
    tiled = shape[0] > cells[0] or shape[1] > cells[1]
    with style():
        figure = _figure(6.6, 4.2 if tiled else float(np.clip(5.6 * shape[0] / shape[1], 2.6, 4.8)))
        axes = figure.subplots()
        if tiled:
            _draw_tiles(figure, axes, _tiles(rows, columns, shape, cells), shape)
        else:
            image = np.full(shape, np.nan)
            image[rows, columns] = filled
            _draw_cells(figure, axes, image, filled, value_label)
        order = ", most interactions first" if sort else ""
        axes.set(xlabel=f"{item_word}{order} (I = {shape[1]})", ylabel=f"{user_word}{order} (U = {shape[0]})")
        share = _percent(len(rows) / (shape[0] * shape[1]))
        axes.set_title(title or f"{len(rows)} interactions, {share} of the matrix")
        _name_ticks(axes, item_labels, user_labels)
    return figure


def loss_curves(
    losses: Mapping[str, Sequence[float] | Array],
    validation: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    metric: str = "NDCG@10",
    *,
    xlabel: str = "epoch",
    ylabel: str = "training loss",
) -> Figure:
    """Training loss by epoch, one line per name, and beside it the validation metric as (epoch, value) pairs.

    A loss curve is a list of numbers, of epochs 1, 2, ..., or (n, 2) pairs (epoch, loss). Losses of very
    different size, as different losses have, get a panel each. A ring marks the best validation value of each
    name, which is the epoch whose parameters are kept.
    """
    if not losses:
        raise ValueError("loss curves need at least one loss")
    names = list(dict.fromkeys([*losses, *(validation or {})]))
    looks = {name: _look(i) for i, name in enumerate(names)}
    with style():
        medians = [float(np.median(_pairs(curve)[:, 1])) for curve in losses.values()]
        apart = len(medians) > 1 and max(medians) > 4 * min(medians)
        figure = _figure(7.6 if validation else 4.8, 3.3 if not apart else 1.0 + 1.25 * len(losses))
        grid = figure.add_gridspec(len(losses) if apart else 1, 2 if validation else 1)
        left: list[Axes] = []
        for i, (name, curve) in enumerate(losses.items()):
            if apart or not left:
                left.append(figure.add_subplot(grid[i, 0], sharex=left[0] if left else None))
            _draw_curve(left[-1], _pairs(curve), name, looks[name])
            left[-1].set_ylabel(ylabel)
            if apart:
                left[-1].set_title(name)
                left[-1].tick_params(labelbottom=i == len(losses) - 1)
        panels = list(left)
        if validation:
            panels.append(figure.add_subplot(grid[:, 1]))
            panels[-1].set_ylabel(f"validation {metric}")
        for name, points in (validation or {}).items():
            pairs = _pairs(points)
            if len(pairs):
                _draw_curve(panels[-1], pairs, name, looks[name])
                best = pairs[np.nanargmax(pairs[:, 1])]
                panels[-1].plot(*best, "o", ms=11, mfc="none", mec=looks[name]["color"], mew=1.4)
        for axes in panels:
            axes.grid(axis="y")
            _whole_numbers(axes.xaxis)
        for axes in (left[-1], panels[-1]):
            axes.set_xlabel(xlabel)
        # the panel that has the most names explains them
        axes = max(panels, key=lambda panel: len(panel.get_legend_handles_labels()[1]))
        if len(names) > 1:
            axes.legend(loc="best")
    return figure


def attention_weights(
    weights: Array,
    query_labels: Sequence[str] | None = None,
    key_labels: Sequence[str] | None = None,
    *,
    head_titles: Sequence[str] | None = None,
    title: str | None = None,
    width: int = 26,
) -> Figure:
    """Attention weights (H, Tq, Tk) or (Tq, Tk): one panel per head on one color scale, a row per query.

    With one query and several heads there is one panel with a row per head. Labels are cut to `width`
    characters. Weights are printed in the cells where there are few of them.
    """
    weights = np.asarray(weights)
    if weights.ndim not in (2, 3) or weights.size == 0:
        raise ValueError(f"weights must have shape (H, Tq, Tk) or (Tq, Tk), got {weights.shape}")
    stack = weights[None] if weights.ndim == 2 else weights
    queries = None if query_labels is None else [_cut(label, width) for label in query_labels]
    keys = None if key_labels is None else [_cut(label, width) for label in key_labels]
    rows_are = "query (attends)"
    titles = list(head_titles or (f"head {h + 1}" for h in range(len(stack))))
    if len(stack) > 1 and stack.shape[1] == 1:
        rows_are = "head" if queries is None else f"head (query: {queries[0]})"
        queries, stack = titles, stack.swapaxes(0, 1)
    H, Tq, Tk = stack.shape
    across = min(H, 2)
    cell = float(np.clip((5.4 if H == 1 else 3.0) / max(Tq, Tk), 0.05, 0.46))
    left = 0.5 + (0.075 * max(map(len, queries)) if queries else 0.2)
    below = 0.5 + (0.055 * max(map(len, keys)) if keys else 0.1)
    with style():
        figure = _figure(
            left + 0.9 + across * max(1.5, cell * Tk + 0.1),
            below + (0.3 if title else 0) + -(-H // across) * max(0.8, cell * Tq + 0.3),
        )
        panels = figure.subplots(-(-H // across), across, sharex=True, sharey=True, squeeze=False).ravel()
        top = float(stack.max()) or 1.0
        for h, axes in enumerate(panels[:H]):
            image = axes.imshow(stack[h], cmap=_blues(), clim=(0.0, top), **_PIXELS)
            if H > 1:
                axes.set_title(titles[h])
            _name_ticks(axes, keys, queries)
            _cell_borders(axes, (Tq, Tk))
            if max(Tq, Tk) <= 12 and H == 1:
                _print_numbers(axes, stack[h], top, "{:.2f}")
            axes.tick_params(labelbottom=h + across >= H)
        for axes in panels[H:]:
            axes.set_visible(False)
        figure.colorbar(image, ax=list(panels[:H]), label="attention weight", shrink=0.9, pad=0.02)
        if H == 1:
            panels[0].set(xlabel="key (attended to)", ylabel=rows_are)
        else:
            figure.supxlabel("key (attended to)", fontsize=9.5)
            figure.supylabel(rows_are, fontsize=9.5)
        if title:
            figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    return figure


def principal_axes(E: Array, n: int = 2) -> Array:
    """(I, n) the rows of E (I, D), centered, on the n directions of largest variance (by SVD).

    A direction is only given up to its sign: here its largest component is made positive.
    """
    E = np.asarray(E, dtype=np.float64)
    if not 1 <= n <= min(E.shape):
        raise ValueError(f"n = {n}: E {E.shape} has 1 to {min(E.shape)} principal axes")
    centered = E - E.mean(axis=0)
    _, _, directions = np.linalg.svd(centered, full_matrices=False)  # rows, largest first
    largest = np.argmax(np.abs(directions), axis=1)
    directions = directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]
    projected: Array = centered @ directions[:n].T
    return projected


def explained_variance(E: Array, n: int = 2) -> Array:
    """(n,) the share of the variance of E (I, D) along each of its first n principal axes."""
    E = np.asarray(E, dtype=np.float64)
    squares = np.linalg.svd(E - E.mean(axis=0), compute_uv=False) ** 2
    shares: Array = (squares / (squares.sum() or 1.0))[:n]
    return shares


def embedding_map(
    points: Array,
    categories: Sequence[Hashable],
    labels: Mapping[int, str] | Sequence[str | None] | None = None,
    *,
    shares: Sequence[float] | Array | None = None,
    axis_names: tuple[str, str] = ("principal axis 1", "principal axis 2"),
    title: str | None = None,
) -> Figure:
    """Items as dots at `points` (I, 2), colored by category, the most frequent first.

    labels   {item index: text} or one text per item (None or "" for no label), written beside the dot; one
             that would cover another is left out
    shares   (2,) of `explained_variance`, shown at the axes
    With more categories than colors, the least frequent ones become "other".
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 2 or len(categories) != len(points):
        got = f"{points.shape} and {len(categories)} categories"
        raise ValueError(f"points must be (I, 2) with one category each, got {got}")
    counts: dict[Hashable, int] = {}
    for category in categories:
        counts[category] = counts.get(category, 0) + 1
    ranked = sorted(counts, key=lambda c: (-counts[c], str(c)))
    named = ranked if len(ranked) <= len(COLORS) else ranked[: len(COLORS) - 1]
    size = float(np.clip(7500 / max(1, len(points)), 9, 46))
    with style():
        figure = _figure(6.6, 4.4)
        axes = figure.subplots()
        groups = [(str(c), [c], COLORS[i], MARKERS[i]) for i, c in enumerate(named)]
        if len(named) < len(ranked):
            groups.append(("other", ranked[len(named) :], OTHER, MARKERS[-1]))
        for name, members, color, marker in groups:
            x, y = points[[category in members for category in categories]].T
            axes.scatter(x, y, s=size, c=color, marker=marker, lw=0.4, edgecolors="white", label=name)
        for axis, number in ((axes.xaxis, 0), (axes.yaxis, 1)):
            share = "" if shares is None else f" ({_percent(float(shares[number]))} of the variance)"
            axis.set_label_text(f"{axis_names[number]}{share}")
        axes.set_aspect("equal", adjustable="datalim")  # distances mean the same in both directions
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2, markerscale=1.3)
        if title:
            axes.set_title(title)
        if labels is not None:
            pairs = labels.items() if isinstance(labels, Mapping) else enumerate(labels)
            _write_labels(figure, axes, points, {i: text for i, text in pairs if text})
    return figure


def comparison(
    results: Mapping[str, tuple[float, float, float]],
    metric: str = "NDCG@10",
    *,
    note: str | None = "bars: 95 % bootstrap intervals over users",
    reference: Mapping[str, float] | None = None,
) -> Figure:
    """{name: (mean, low, high)}, one row per model, the first on top: a dot with a bar from low to high.

    reference   {name: value}, drawn as dashed vertical lines, as for chance or the best possible score
    """
    if not results:
        raise ValueError("a comparison needs at least one result")
    reference = reference or {}
    with style():
        figure = _figure(6.2, 0.8 + 0.42 * len(results) + (0.2 if note else 0) + (0.2 if reference else 0))
        axes = figure.subplots()
        place: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 8.5}
        above_axes: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "color": "#666666", **place}
        decimals = _decimals([mean for mean, _, _ in results.values()])
        for row, (mean, low, high) in enumerate(results.values()):
            bar = [[mean - low], [high - mean]]
            axes.errorbar(mean, row, xerr=bar, fmt="o", color=COLORS[0], ms=6, capsize=3, lw=1.6)
            axes.annotate(f"{mean:.{decimals}f}", (mean, row), (0, 6), **place)
        for i, (name, value) in enumerate(reference.items()):
            axes.axvline(value, color=OTHER, ls=DASHES[1 + i % 3], lw=1.4, zorder=1)
            axes.annotate(name, (value, 1), (0, 3), **above_axes)
        axes.set(yticks=range(len(results)), yticklabels=list(results), ylim=(len(results) - 0.5, -0.7))
        everything = [*(v for triple in results.values() for v in triple), *reference.values()]
        if min(everything) >= 0:
            axes.set_xlim(0, 1.08 * max(everything) or 1.0)  # from 0, so that lengths can be compared
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_xlabel(metric + (f"\n{note}" if note else ""))
    return figure


def _decimals(values: Sequence[float]) -> int:
    """Three digits of the largest number, and of the smallest too where four decimals show them."""
    sizes = [2 - math.floor(math.log10(abs(value))) for value in values if value]
    return max(0, min(sizes), min(max(sizes), 4)) if sizes else 1


def by_size(
    curves: Mapping[str, Sequence[tuple[float, tuple[float, float, float]]]], size: str, metric: str
) -> Figure:
    """{name: [(size, (mean, low, high)), ...]}: how a metric follows a size, with the interval as a band."""
    with style():
        figure = _figure(6.8, 3.9)
        axes = figure.subplots()
        for i, (name, curve) in enumerate(curves.items()):
            x = [at for at, _ in curve]
            middle, low, high = zip(*(values for _, values in curve), strict=True)
            axes.plot(x, middle, label=name, ms=5, **_look(i))
            axes.fill_between(x, low, high, color=COLORS[i % len(COLORS)], alpha=0.12, lw=0)
        ticks = sorted({round(at) for curve in curves.values() for at, _ in curve})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.set(xlabel=size, ylabel=metric, ylim=(0, None))
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8.5)
        axes.grid(True)
        axes.annotate("bands: 95 % bootstrap intervals over users", (0, 1), (0, 4), xycoords="axes fraction",
                      textcoords="offset points", fontsize=8, color="#666666")  # fmt: skip
    return figure


def lines(
    curves: Mapping[str, tuple[Sequence[float] | Array, Sequence[float] | Array]],
    xlabel: str,
    ylabel: str,
    *,
    log: str = "",
    bands: Mapping[str, tuple[Sequence[float] | Array, Sequence[float] | Array]] | None = None,
    title: str | None = None,
) -> Figure:
    """{name: (x, y)} as lines; `log` names the logarithmic axes: "", "x", "y" or "xy".

    bands   {name: (low, high)} at the x of the line of that name, drawn as a band behind it
    """
    with style():
        figure = _figure(5.6, 3.6)
        axes = figure.subplots()
        for i, (name, (x, y)) in enumerate(curves.items()):
            look = _look(i)
            _draw_curve(axes, np.stack([np.asarray(x, float), np.asarray(y, float)], axis=1), name, look)
            if bands and name in bands:
                axes.fill_between(np.asarray(x, float), *bands[name], color=look["color"], alpha=0.15, lw=0)
        if "x" in log:
            axes.set_xscale("log")
        if "y" in log:
            axes.set_yscale("log")
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.grid(True)
        axes.set_title(title or "")
        if len(curves) > 1:
            axes.legend(loc="best")
    return figure


def dots(points: Mapping[str, tuple[float, float]], xlabel: str, ylabel: str, *, log: str = "") -> Figure:
    """{name: (x, y)} as dots with their names beside them; `log` as in `lines`. The y axis begins at 0."""
    if not points:
        raise ValueError("dots need at least one point")
    with style():
        figure = _figure(6.2, 3.6)
        axes = figure.subplots()
        x, y = np.array(list(points.values()), dtype=np.float64).T
        axes.plot(x, y, "o", color=COLORS[0], ms=6)
        if "x" in log:
            axes.set_xscale("log")
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.margins(x=0.12)
        if "y" in log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(min(0.0, float(y.min())), 1.12 * float(y.max()) or 1.0)
        axes.grid(True)
        _write_labels(figure, axes, np.stack([x, y], axis=1), dict(enumerate(points)))
    return figure


def heatmap(
    values: Array | Mapping[str, Array],
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    label: str = "",
    form: str | None = "{:.2f}",
    title: str | None = None,
) -> Figure:
    """A matrix as colored cells, or several side by side on one color scale: {title: matrix}.

    Signed numbers go from orange through white (0) to blue, others from white to blue. NaN stays empty.
    `form` is how numbers are printed in the cells of matrices up to 12 x 12; None: not at all.
    """
    from matplotlib.colors import LinearSegmentedColormap

    panels = values if isinstance(values, Mapping) else {title or "": values}
    arrays = {name: np.asarray(array, dtype=np.float64) for name, array in panels.items()}
    shapes = {array.shape for array in arrays.values()}
    if any(len(shape) != 2 or 0 in shape for shape in shapes) or not arrays:
        raise ValueError(f"a heatmap shows matrices, got shapes {sorted(shapes)}")
    stacked = np.concatenate([array.ravel() for array in arrays.values()])
    top = float(np.nanmax(np.abs(stacked))) or 1.0
    signed = bool(np.nanmin(stacked) < 0)
    both = [COLORS[3], "#FFFFFF", COLORS[0]]
    colors = LinearSegmentedColormap.from_list("signed", both) if signed else _blues()
    tall, wide = (max(shape[i] for shape in shapes) for i in (0, 1))
    cell = float(np.clip(4.6 / max(tall, wide * len(arrays)), 0.06, 0.52))
    side = 0.6 + 0.075 * max(map(len, rows or [""]))
    with style():
        figure = _figure(
            side + 1.1 + len(arrays) * max(1.2, cell * wide + 0.25), 0.95 + max(0.9, cell * tall + 0.4)
        )
        for i, (axes, (name, array)) in enumerate(
            zip(figure.subplots(1, len(arrays), squeeze=False)[0], arrays.items(), strict=True)
        ):
            image = axes.imshow(array, cmap=colors, clim=(-top if signed else 0.0, top), **_PIXELS)
            _name_ticks(axes, columns, rows)
            axes.tick_params(labelleft=i == 0)
            _cell_borders(axes, array.shape)
            if form is not None and max(array.shape) <= 12:
                _print_numbers(axes, array, top, form)
            axes.set(xlabel=xlabel, ylabel=ylabel if i == 0 else "", title=name)
        figure.colorbar(image, ax=figure.axes, label=label, shrink=0.9, pad=0.02)
    return figure


def surface(
    x: Array,
    y: Array,
    z: Array,
    levels: Sequence[float],
    *,
    paths: Mapping[str, Array] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    label: str = "",
    title: str | None = None,
) -> Figure:
    """z (Y, X) over x (X,) and y (Y,) as a map: bands between the rising `levels`, the lowest is white.

    paths   {name: (n, 2) points (x, y)}, the steps of a descent, say: a ring at the start, a dot at the end
    """
    z = np.asarray(z, dtype=np.float64)
    if z.shape != (len(y), len(x)):
        raise ValueError(f"z must be (Y, X) = ({len(y)}, {len(x)}), got shape {z.shape}")
    with style():
        figure = _figure(5.6, 5.2)
        axes = figure.subplots()
        colors = _blues()(np.linspace(0.0, 0.8, len(levels)))  # not so dark that paths could not be seen
        bands = axes.contourf(x, y, z, levels=list(levels), colors=colors, extend="max")
        axes.contour(x, y, z, levels=list(levels)[1:], colors="white", linewidths=0.6)
        for i, (name, points) in enumerate((paths or {}).items()):
            look = _look(i + 1) | {"ls": "-"}  # the first color is that of the map; lines may be short
            _draw_curve(axes, points, name, look)
            start, end = points[0], points[-1]
            axes.plot(*start, "o", ms=8, mfc="white", mec=look["color"], mew=1.6, label="_start")
            axes.plot(*end, "o", ms=8, color=look["color"], mec="white", label="_end")
        axes.set(xlabel=xlabel, ylabel=ylabel, aspect="equal", xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
        axes.set_title(title or "")
        figure.colorbar(bands, ax=axes, label=label, shrink=0.9, pad=0.02, ticks=list(levels), format="{x:g}")
        if paths:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12))
    return figure


def verification(
    steps: Array,
    errors: Mapping[str, Array],
    taylor_steps: Array,
    remainder: Array,
    bare: Array,
    order: float | None,
    *,
    fault: str | None = None,
    title: str | None = None,
) -> Figure:
    """Left, the error of a derivative against the step size; right, what is left of Taylor's expansion.

    errors     by method, (S,) each, at `steps` (S,)
    remainder  |f(x + hv) − f(x) − h⟨∇f, v⟩| at `taylor_steps` (T,); `bare` is the same without the gradient
    order      the slope of the remainder, written beside it; None: nothing is left above rounding
    fault      why complex step is missing among the methods
    """
    with style():
        figure = _figure(10.5, 4.4)
        left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
        _draw_errors(left, steps, errors, fault)
        _draw_remainder(right, taylor_steps, remainder, bare, order)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def roofline(
    operations: Mapping[str, tuple[float, float, float]], peak: float, memory: float, cache: float
) -> Figure:
    """How fast each operation runs, beside what the machine allows: its arithmetic, and its memory.

    operations   {name: (intensity, whole, shard)}: arithmetic operations per byte moved, and 10⁹ operations
                 per second on a whole batch and on a shard of it
    peak         10⁹ operations per second of a large matrix product
    memory       10⁹ bytes per second from main memory, `cache` the same within a cache
    """
    with style():
        figure = _figure(7.4, 4.6)
        axes = figure.subplots()
        intensities = np.array([row[0] for row in operations.values()])
        x = np.array([0.6 * intensities.min(), 2.5 * max(intensities.max(), peak / memory)])
        axes.set(xscale="log", yscale="log", xlim=x)
        corner = np.unique(np.concatenate([x, [peak / memory, peak / cache]]).clip(*x))
        for speed, words, i, side in ((cache, "cache", 2, "right"), (memory, "main memory", 0, "left")):
            axes.plot(corner, np.minimum(peak, speed * corner), color=COLORS[i], ls=DASHES[i], zorder=1)
            at = (peak / speed / 3, peak / 3)  # below the roof, on the side where no other line is
            shift = (-10, 4) if side == "right" else (10, -10)
            _label(axes, f"{words}: {speed:.0f} GB/s", at, shift, COLORS[i], side)
        _label(axes, f"matrix product: {peak:.0f} GFLOP/s", (x[1], peak), (-4, 6), INK, "right")
        points = []
        for i, (_, (intensity, whole, shard)) in enumerate(operations.items()):
            axes.plot([intensity] * 2, [whole, shard], color="#BBBBBB", lw=1, zorder=2)
            look: dict[str, Any] = {"marker": "o", "ls": "", "ms": 6, "color": COLORS[3]}
            axes.plot(intensity, whole, mfc="white", label=None if i else "the whole batch at once", **look)
            axes.plot(intensity, shard, label=None if i else "in shards", **look)
            points.append((intensity, shard))
        axes.set_xlabel("operations per byte of the arrays read and written")
        axes.set_ylabel("10⁹ operations per second")
        axes.legend(loc="lower right")
        axes.grid(True)
        _write_labels(figure, axes, np.array(points), dict(enumerate(operations)))
    return figure


def shard_times(sizes: Sequence[int], times: Mapping[str, Sequence[float]], chosen: int) -> Figure:
    """{name: milliseconds per step} at each number of sequences per shard; `chosen` is the one in use."""
    with style():
        figure = _figure(6.2, 3.6)
        axes = figure.subplots()
        for i, (name, milliseconds) in enumerate(times.items()):
            axes.plot(sizes, milliseconds, label=name, ms=5, **_look(i))
        axes.axvline(chosen, color=OTHER, ls=":", lw=1.4, zorder=1)
        axes.annotate("in use", (chosen, 1), (0, 3), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha="center", fontsize=8.5, color="#666666")  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set(xticks=sizes, xticklabels=[str(n) for n in sizes], ylim=(0, None))
        axes.minorticks_off()
        axes.set(xlabel="sequences per shard", ylabel="milliseconds per step")
        axes.legend(loc="lower left")
        axes.grid(axis="y")
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # A margin of a tenth of an inch: labels of another font than the one that was measured still fit.
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))


def _settle(figure: Figure) -> None:
    """Lay the figure out and keep that: a second pass moves everything a little, and the bytes differ."""
    if figure.get_layout_engine() is not None:
        for _ in range(2):  # the first pass can change the ticks, and so the space that their labels need
            figure.draw_without_rendering()
        figure.set_layout_engine("none")


def _entries(
    matrix: Array | None,
    indptr: Array | None,
    indices: Array | None,
    n_items: int | None,
    values: Array | None,
) -> tuple[Array, Array, Array, tuple[int, int]]:
    """Rows, columns and values of the interactions, and (U, I)."""
    if matrix is not None:
        dense = np.asarray(matrix, dtype=np.float64)
        if dense.ndim != 2 or 0 in dense.shape:
            raise ValueError(f"matrix must be (U, I), got shape {dense.shape}")
        rows, columns = np.nonzero(np.nan_to_num(dense))
        return rows, columns, dense[rows, columns], (dense.shape[0], dense.shape[1])
    if indptr is None or indices is None or n_items is None:
        raise ValueError("give a dense matrix, or indptr, indices and n_items of compressed sparse rows")
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    filled = np.ones(len(rows)) if values is None else np.asarray(values, dtype=np.float64)
    return rows, np.asarray(indices), filled, (len(indptr) - 1, n_items)


def _most_first(index: Array, count: int, labels: Sequence[str] | None) -> tuple[Array, list[str] | None]:
    """The new place of each index when the most frequent come first, and the labels in that order."""
    order = np.argsort(-np.bincount(index, minlength=count), kind="stable")
    place = np.argsort(order)
    return place[index], None if labels is None else [labels[i] for i in order]


def _tiles(rows: Array, columns: Array, shape: tuple[int, int], cells: tuple[int, int]) -> Array:
    """The share of filled cells in each tile; tiles differ in size by at most one row and one column."""
    down, across = min(shape[0], cells[0]), min(shape[1], cells[1])
    tile_row, tile_column = rows * down // shape[0], columns * across // shape[1]
    hits = np.bincount(tile_row * across + tile_column, minlength=down * across).reshape(down, across)
    tall = np.bincount(np.arange(shape[0]) * down // shape[0])
    wide = np.bincount(np.arange(shape[1]) * across // shape[1])
    return hits / np.outer(tall, wide)


def _draw_tiles(figure: Figure, axes: Axes, image: Array, shape: tuple[int, int]) -> None:
    from matplotlib.colors import PowerNorm

    drawn = axes.imshow(
        image,
        cmap=_blues(),
        norm=PowerNorm(0.5, vmin=0.0, vmax=float(image.max()) or 1.0),  # sparse regions stay visible
        extent=(-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5),
        **_PIXELS,
    )
    figure.colorbar(drawn, ax=axes, label="share of cells filled", shrink=0.8, pad=0.02)


def _draw_cells(figure: Figure, axes: Axes, image: Array, filled: Array, label: str) -> None:
    from matplotlib.colors import ListedColormap

    low, high = (float(filled.min()), float(filled.max())) if len(filled) else (0.0, 1.0)
    drawn = axes.imshow(image, **_PIXELS)
    if low == high:
        drawn.set(cmap=ListedColormap([COLORS[0]]))
    else:
        drawn.set(cmap=_blues(0.18), clim=(low, high))  # the lowest value must differ from a missing one
        levels = np.unique(filled)
        ticks = levels if len(levels) <= 10 else None
        figure.colorbar(drawn, ax=axes, label=label, shrink=0.8, pad=0.02, ticks=ticks)
        if max(image.shape) <= 12:
            _print_numbers(axes, image, high, "{:g}")
    _cell_borders(axes, image.shape)


def _blues(start: float = 0.0) -> Any:
    """The sequential color map, from the share `start` of its range on."""
    from matplotlib.colors import LinearSegmentedColormap

    whole = LinearSegmentedColormap.from_list("blues", BLUES)
    return LinearSegmentedColormap.from_list("blues", whole(np.linspace(start, 1.0, 256)))


def _name_ticks(axes: Axes, column_labels: Sequence[str] | None, row_labels: Sequence[str] | None) -> None:
    if column_labels is None:
        _whole_numbers(axes.xaxis)
    elif len(column_labels) * max(map(len, column_labels)) <= 60:  # they fit beside each other
        axes.set_xticks(range(len(column_labels)), column_labels, fontsize=8.5)
    else:
        slanted: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(len(column_labels)), column_labels, fontsize=8.5, **slanted)
    if row_labels is None:
        _whole_numbers(axes.yaxis)
    else:
        axes.set_yticks(range(len(row_labels)), row_labels, fontsize=8.5)


def _whole_numbers(axis: Any) -> None:
    axis.get_major_locator().set_params(integer=True)


def _cell_borders(axes: Axes, shape: tuple[int, int]) -> None:
    """Thin white lines between cells, where cells are large enough to be seen."""
    for spine in axes.spines.values():
        spine.set_color("#BBBBBB")
        spine.set_visible(True)
    if max(shape) > 40:
        return
    axes.set_xticks(np.arange(1, shape[1]) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, shape[0]) - 0.5, minor=True)
    axes.grid(which="minor", color="#E3E3E3", lw=0.8)
    axes.set_axisbelow(False)
    axes.tick_params(which="minor", length=0)


def _print_numbers(axes: Axes, values: Array, top: float, form: str) -> None:
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            color = "white" if value > 0.55 * top else INK
            axes.text(column, row, form.format(value), ha="center", va="center", fontsize=8, color=color)


def _look(i: int) -> dict[str, Any]:
    color, dash, marker = (looks[i % len(looks)] for looks in (COLORS, DASHES, MARKERS))
    return {"color": color, "ls": dash, "marker": marker}


def _pairs(curve: Any) -> Array:
    array = np.asarray(curve, dtype=np.float64)
    if array.ndim == 1:
        array = np.stack([np.arange(1, len(array) + 1), array], axis=1)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"a curve is a list of numbers or of (epoch, value) pairs, got shape {array.shape}")
    return array


def _draw_curve(axes: Axes, pairs: Array, name: str, look: dict[str, Any]) -> None:
    every = max(1, len(pairs) // 12)  # a few markers are enough to know the line again
    axes.plot(*pairs.T, label=name, ms=4.5, markevery=every, **look)


def _write_labels(figure: Figure, axes: Axes, points: Array, labels: dict[int, str]) -> None:
    """Write each label to the right, left, above or below its dot, wherever it covers no other label."""
    from matplotlib.patheffects import withStroke

    sides = ((6, 0, "left", "center"), (-6, 0, "right", "center"), (0, 6, "center", "bottom"))
    _settle(figure)  # so that sizes on the page are known
    taken: list[Any] = []
    for i, text in labels.items():
        for dx, dy, ha, va in (*sides, (0, -6, "center", "top")):
            place: dict[str, Any] = {"textcoords": "offset points", "ha": ha, "va": va}
            note = axes.annotate(text, tuple(points[i]), (dx, dy), fontsize=8, **place)
            note.set_path_effects([withStroke(linewidth=2.2, foreground="white")])  # readable over dots
            box = note.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            note.remove()


_ORDERS = {"forward difference": 1, "central difference": 2, "Richardson": 4}  # the error falls as h to this
_POWERS = {1: "h", 2: "h²", 4: "h⁴"}


def _draw_errors(axes: Axes, steps: Array, errors: Mapping[str, Array], fault: str | None) -> None:
    floor = 1.1e-16  # an error of exactly 0 is drawn as one of half a unit in the last place
    axes.set(xscale="log", yscale="log", xlim=(steps.min(), steps.max()), ylim=(1e-17, 2e1))
    axes.set(xlabel="step size h", ylabel="relative error")
    axes.set_title("Difference formulas against the gradient of backward")
    axes.minorticks_off()
    ends: list[tuple[float, str, str]] = []
    for i, (name, error) in enumerate(errors.items()):
        color, dash = COLORS[i % len(COLORS)], DASHES[i % len(DASHES)]
        shown = np.where(error == 0, floor, error)
        axes.plot(steps, shown, color=color, ls=dash)
        finite = np.flatnonzero(np.isfinite(shown))
        if name not in _ORDERS:  # the complex step: nothing else is as low at small steps
            k = finite[-1] if len(finite) else -1
            low = bool(shown[k] < 1e-8)
            _label(axes, name, (1e-17, float(shown[k])), (0, 7 if low else -14), color, "center")
        elif len(finite):
            end = float(shown[finite[0]])
            order = _ORDERS[name]
            ends.append((end, f"{name}, {_POWERS[order]}", color))
            nearby = float(np.interp(-1.0, np.log10(steps / steps[finite[0]])[::-1], shown[::-1]))
            if end > 1e-10 and nearby > 1e-13:  # not where one large step met a kink
                guide = 0.2 * end * (steps / steps[finite[0]]) ** order
                axes.plot(steps, np.where(guide > 1e-12, guide, np.nan), color="#CCCCCC", lw=1, zorder=0)
    _label_ends(axes, ends)
    middle = (steps > 1e-6) & (steps < 1e-3)  # where every formula is good, if the gradient is right
    level = min((float(np.median(error[middle])) for error in errors.values()), default=0.0)
    if level > 1e-5:
        text = f"no formula comes closer than {level:.0e}:\nthat is the error of the gradient itself"
        _label(axes, text, (1e-9, level), (0, -46), INK, "center")
    if fault is not None:
        note = "\n".join(textwrap.wrap(f"no complex step: {fault}", 36))
        axes.text(0.03, 0.05, note, transform=axes.transAxes, color="#555555")


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Beside the right end of each line its name, moved apart where two lines end together."""
    low, high = np.log10(axes.get_ylim())
    heights = [(np.log10(max(end, 1e-17)) - low) / (high - low) for end, _, _ in ends]
    place = np.inf
    for rank, k in enumerate(sorted(range(len(ends)), key=lambda k: -heights[k])):
        place = min(max(heights[k], 0.06 * (len(ends) - 1 - rank)), place - 0.06)
        axes.annotate(
            ends[k][1], (1, heights[k]), (1.04, place), xycoords="axes fraction", textcoords="axes fraction",
            color=ends[k][2], va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": ends[k][2], "lw": 0.7, "shrinkA": 2, "relpos": (0, 0.5)},
        )  # fmt: skip


def _draw_remainder(axes: Axes, h: Array, remainder: Array, bare: Array, order: float | None) -> None:
    shown, plain = (np.where(values > 0, values, np.nan) for values in (remainder, bare))
    axes.set(xscale="log", yscale="log", xlabel="step size h", ylabel="absolute value")
    axes.set_title("Taylor's remainder")
    axes.plot(h, plain, color=OTHER, ls="--")
    axes.plot(h, shown, color=COLORS[0], marker="o", ms=3)
    bottom = min(float(np.nanmin(values)) if np.isfinite(values).any() else 1.0 for values in (shown, plain))
    top = max(float(np.nanmax(values)) if np.isfinite(values).any() else 1.0 for values in (shown, plain))
    axes.set_ylim(max(1e-17, 0.1 * bottom), 20 * top)
    axes.minorticks_off()
    if order is not None and np.isfinite(shown[0]):  # parallel to a remainder of second order
        guide = 0.03 * shown[0] * (h / h[0]) ** 2
        seen = np.flatnonzero(guide > 3 * axes.get_ylim()[0])
        axes.plot(h[seen], guide[seen], color="#CCCCCC", lw=1, zorder=0)
        _label(axes, "h²", (float(h[seen[-1]]), float(guide[seen[-1]])), (8, -2), OTHER, "left")
    k, middle = len(h) // 2, float(h[len(h) // 2])
    if np.isfinite(plain[k]):
        _label(axes, "|f(x + hv) − f(x)|", (middle, float(plain[k])), (-6, 7), "#666666", "right")
    what = "nothing left\nabove rounding" if order is None else f"less h⟨∇f, v⟩:\nslope {order:.2f}"
    where = float(shown[k]) if np.isfinite(shown[k]) else bottom
    _label(axes, what, (middle, where), (10, -24) if order else (0, 10), COLORS[0], "left")


def _label(
    axes: Axes, text: str, point: tuple[float, float], offset: tuple[int, int], color: str, ha: str
) -> None:
    from matplotlib.patheffects import withStroke

    note = axes.annotate(text, point, offset, textcoords="offset points", color=color, ha=ha)
    note.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _cut(label: str, width: int) -> str:
    return label if len(label) <= width else label[: width - 1].rstrip() + "…"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
