"""A figure as SVG that holds the data which it shows, so that a check can compare data and not bytes.

The file ends with <metadata id="minirec">: the data (JSON), and a digest of the drawing. A drawing that was
changed by hand no longer fits its digest; one of another version of matplotlib does, and its data are equal.
"""

import hashlib
import json
import re
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from minirec import plots

METADATA = re.compile(r'<metadata id="minirec">(.*?)</metadata>\n', re.DOTALL)
DIGITS = 5  # significant ones: what a reader cannot see is not compared


def data_of(figure: Figure) -> dict[str, Any]:
    """{axes: {title, labels, texts, and the numbers of its lines, images, points and bars}}."""
    return {f"axes {i}": _axes(axes) for i, axes in enumerate(figure.axes)}


def _axes(axes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "words": [
            *(axes.get_title(loc=loc) for loc in ("left", "center", "right")),
            axes.get_xlabel(),
            axes.get_ylabel(),
            *(text.get_text() for text in axes.texts),
            *(text.get_text() for text in (axes.get_legend().get_texts() if axes.get_legend() else ())),
        ],
        "ticks": [
            label.get_text()
            for axis in (axes.xaxis, axes.yaxis)
            if isinstance(axis.get_major_locator(), FixedLocator)  # named, not chosen by matplotlib
            for label in axis.get_ticklabels()
        ],
    }
    for i, line in enumerate(axes.lines):
        for name, values, scale in (
            ("x", line.get_xdata(), axes.get_xscale()),
            ("y", line.get_ydata(), axes.get_yscale()),
        ):
            found[f"line {i}, {name}{' (log)' if scale == 'log' else ''}"] = _numbers(values)
    for i, image in enumerate(axes.images):
        found[f"image {i}"] = _numbers(image.get_array())
    for i, patch in enumerate(axes.patches):
        found[f"patch {i}"] = _numbers(patch.get_path().transformed(patch.get_patch_transform()).vertices)
    for i, group in enumerate(axes.collections):
        vertices = [path.vertices for path in group.get_paths()]
        parts = [group.get_offsets(), *vertices]
        if group.get_array() is not None:
            parts.append(group.get_array())
        found[f"points {i}"] = _numbers(np.concatenate([np.ravel(np.ma.filled(p, np.nan)) for p in parts]))
    return found


def _numbers(values: Any) -> list[float | None]:
    """Rounded to DIGITS significant digits; None where nothing is drawn."""
    array = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan).ravel()
    return [float(f"{x:.{DIGITS}g}") if np.isfinite(x) else None for x in array.tolist()]


def svg_with_data(figure: Figure) -> str:
    """The SVG text of a figure, with its data and the digest of its drawing."""
    drawing = plots.svg(figure)
    held = json.dumps({"digest": _digest(drawing), "data": data_of(figure)}, ensure_ascii=False)
    held = held.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    head, end = drawing.rsplit("</svg>", 1)
    return f'{head}<metadata id="minirec">{held}</metadata>\n</svg>{end}'


def _digest(drawing: str) -> str:
    return hashlib.sha256(drawing.encode()).hexdigest()[:16]


def difference(committed: str, fresh: str) -> str | None:
    """What differs between two figures of svg_with_data, in words; None if nothing does."""
    found = METADATA.search(committed)
    if found is None:
        return "it holds no data: it was not made by build.py"
    held = json.loads(found[1])
    if held["digest"] != _digest(METADATA.sub("", committed, count=1)):
        return "its drawing was changed by hand"
    now = json.loads(METADATA.search(fresh)[1])["data"]  # type: ignore[index]
    for axes in held["data"] | now:
        old, new = held["data"].get(axes), now.get(axes)
        if old is None or new is None:
            return f"{axes} stand in one of the two only"
        for name in old | new:
            if not _close(old.get(name), new.get(name), log="(log)" in name):
                return f"{axes}, {name}: {_short(old.get(name))} on the page, {_short(new.get(name))} now"
    return None


def _close(a: Any, b: Any, log: bool) -> bool:
    """Equal words; numbers to what can be seen: on a log axis each by its own size, rounding errors aside."""
    if a is None or b is None or len(a) != len(b):
        return False
    if any(isinstance(x, str) for x in (*a, *b)):
        return bool(a == b)
    x, y = (np.array([np.nan if v is None else v for v in values], dtype=np.float64) for values in (a, b))
    if log:
        return bool(np.allclose(x, y, rtol=0.02, atol=1e-10, equal_nan=True))
    size = np.nanmax(np.abs(x), initial=0.0) if np.isfinite(x).any() else 0.0
    return bool(np.allclose(x, y, rtol=1e-3, atol=1e-4 * size, equal_nan=True))


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) < 80 else text[:77] + "..."
