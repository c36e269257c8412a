"""minirec.plots: each figure shows the numbers that it was given, and is saved as the same bytes again."""

import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from minirec import plots

ROOT = Path(plots.__file__).parents[1]


def image_of(axes):
    return np.ma.filled(axes.images[0].get_array().astype(float), np.nan)


def ticks(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def examples():
    """One small figure of each kind, by name, as functions that draw it."""
    rng = np.random.default_rng(0)
    ratings, weights = rng.integers(0, 6, (5, 7)), rng.normal(size=(3, 5, 7))
    points = rng.normal(size=(13, 2))
    many = rng.random((211, 307)) < 0.1
    labels = {0: "zero", 3: "three"}
    return {
        "matrix": lambda: plots.interaction_matrix(ratings, sort=True),
        "tiles": lambda: plots.interaction_matrix(many),
        "losses": lambda: plots.loss_curves({"a": [3, 2], "b": [0.3, 0.2]}, {"a": [(1, 0.1), (3, 0.2)]}),
        "attention": lambda: plots.attention_weights(softmax(weights)),
        "map": lambda: plots.embedding_map(points, "aabbbccccabab", labels),
        "comparison": lambda: plots.comparison({"a": (0.2, 0.1, 0.4)}, reference={"chance": 0.01}),
        "verification": lambda: verification(1e-15),
        "lines": lambda: plots.lines({"a": ([1, 2], [3, 1]), "b": ([1, 2], [2, 2])}, "x", "y"),
        "surface": lambda: plots.surface([0, 1], [0, 1, 2], np.arange(6.0).reshape(3, 2), [0, 2, 4]),
        "heatmap": lambda: plots.heatmap({"a": weights[0], "b": weights[1]}),
    }


H = np.logspace(0, -20, 41)
METHODS = {"forward difference": 1, "central difference": 2, "Richardson": 4}


def verification(floor, fault=None, order=2.0):
    """V-curves of textbook shape that end at `floor`, and a remainder of second order."""
    errors = {name: np.maximum(0.1 * H**p + 1e-16 / H, floor).clip(max=1) for name, p in METHODS.items()}
    if fault is None:
        errors["complex step"] = np.maximum(0.01 * H**2, floor)
    h = H[:17]
    return plots.verification(H, errors, h, 0.1 * h**2, h, order, fault=fault, title="gradient of f")


def words(axes):
    return " ".join(text.get_text().replace("\n", " ") for text in axes.texts)


def test_verification_shows_every_method_by_name_and_the_slope():
    left, right = verification(1e-15).axes
    lines = [line.get_ydata() for line in left.lines if line.get_color() != "#CCCCCC"]
    assert len(lines) == 4
    assert np.allclose(lines[1], np.maximum(0.1 * H**2 + 1e-16 / H, 1e-15).clip(max=1), rtol=1e-12, atol=0)
    for name in ("forward difference, h", "central difference, h²", "Richardson, h⁴", "complex step"):
        assert name in words(left)
    assert "no formula comes closer" not in words(left)
    assert "slope 2.00" in words(right)
    assert "|f(x + hv) − f(x)|" in words(right)
    assert left.get_xscale() == left.get_yscale() == right.get_xscale() == right.get_yscale() == "log"


def test_verification_says_where_the_curves_of_a_wrong_gradient_end():
    left, _ = verification(1e-3).axes
    assert "no formula comes closer than 1e-03: that is the error of the gradient itself" in words(left)


def test_verification_says_why_complex_step_is_missing_and_that_nothing_is_left():
    left, right = verification(1e-15, "forward drops the imaginary part", None).axes
    assert "no complex step: forward drops the imaginary part" in words(left)
    assert "nothing left above rounding" in words(right)
    assert "slope" not in words(right)


@pytest.mark.parametrize("floor", [1e-15, 1e-3])
def test_verification_labels_do_not_overlap(floor):
    figure = verification(floor)
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line that leads there
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_interaction_matrix_shows_values_and_gaps():
    matrix = np.array([[5, 0, 3], [0, 0, 1.0]])
    figure = plots.interaction_matrix(matrix, user_labels=["ann", "bob"], item_labels=["x", "y", "z"])
    axes = figure.axes[0]
    assert np.array_equal(image_of(axes), [[5, np.nan, 3], [np.nan, np.nan, 1]], equal_nan=True)
    assert ticks(axes.yaxis) == ["ann", "bob"]
    assert ticks(axes.xaxis) == ["x", "y", "z"]
    assert sorted(text.get_text() for text in axes.texts) == ["1", "3", "5"]
    assert axes.get_title(loc="left") == "3 interactions, 50 % of the matrix"
    assert axes.get_xlabel() == "item (I = 3)"
    assert axes.get_ylabel() == "user (U = 2)"
    assert figure.axes[1].get_ylabel() == "rating"


def test_interaction_matrix_of_ones_has_one_color_and_no_scale():
    words = {"user_word": "woman", "item_word": "event", "title": "who was where"}
    figure = plots.interaction_matrix(np.eye(3, 5), **words)
    assert len(figure.axes) == 1
    assert figure.axes[0].get_xlabel() == "event (I = 5)"
    assert figure.axes[0].get_title(loc="left") == "who was where"


def test_interaction_matrix_from_sparse_rows_is_the_dense_one():
    dense = np.array([[0, 2.0, 0, 1.0], [0, 0, 0, 0], [4.0, 0, 0, 0]])
    rows = {"indptr": np.array([0, 2, 2, 3]), "indices": np.array([1, 3, 0]), "n_items": 4}
    sparse = plots.interaction_matrix(**rows, values=np.array([2.0, 1.0, 4.0]))
    want = image_of(plots.interaction_matrix(dense).axes[0])
    assert np.array_equal(image_of(sparse.axes[0]), want, equal_nan=True)


def test_interaction_matrix_sorted_by_count():
    matrix = np.array([[0, 1, 0, 0], [1, 1, 0, 1], [0, 1, 0, 1]])
    axes = plots.interaction_matrix(matrix, sort=True, user_labels="abc", item_labels="wxyz").axes[0]
    assert np.array_equal(np.nan_to_num(image_of(axes)), [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]])
    assert ticks(axes.yaxis) == ["b", "c", "a"]
    assert ticks(axes.xaxis) == ["x", "z", "w", "y"]
    assert "most interactions first" in axes.get_xlabel()


def test_large_matrix_is_drawn_as_the_share_filled_in_each_tile():
    rng = np.random.default_rng(1)
    matrix = rng.random((11, 17)) < 0.3
    axes = plots.interaction_matrix(matrix, cells=(3, 5)).axes[0]
    tile_row, tile_column = np.arange(11) * 3 // 11, np.arange(17) * 5 // 17
    want = [[matrix[tile_row == a][:, tile_column == b].mean() for b in range(5)] for a in range(3)]
    assert np.allclose(image_of(axes), want, rtol=1e-14, atol=0)
    assert axes.get_xlim() == (-0.5, 16.5)  # the axes still count items
    assert axes.get_ylim() == (10.5, -0.5)  # and users, the first on top


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plots.interaction_matrix(np.zeros(3)), r"\(U, I\), got shape \(3,\)"),
        (lambda: plots.interaction_matrix(indptr=np.array([0, 1])), "indptr, indices and n_items"),
        (lambda: plots.attention_weights(np.zeros(3)), r"got \(3,\)"),
        (lambda: plots.loss_curves({"a": np.zeros((2, 3))}), r"got shape \(2, 3\)"),
        (lambda: plots.loss_curves({}), "at least one loss"),
        (lambda: plots.embedding_map(np.zeros((3, 2)), ["a"]), r"\(3, 2\) and 1 categories"),
        (lambda: plots.embedding_map(np.zeros((3, 5)), "abc"), r"\(3, 5\)"),
        (lambda: plots.comparison({}), "at least one result"),
        (lambda: plots.principal_axes(np.zeros((5, 3)), 4), "n = 4.*1 to 3"),
    ],
)
def test_faults(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_loss_curves_show_losses_and_the_best_validation():
    figure = plots.loss_curves(
        {"a": [3.0, 2.5, 2.0], "b": [(2, 2.0), (4, 1.5)]},
        {"a": [(1, 0.1), (2, 0.3), (3, 0.2)], "c": [(1, 0.05)]},
        metric="HR@5",
    )
    left, right = figure.axes
    assert left.lines[0].get_xydata().tolist() == [[1, 3], [2, 2.5], [3, 2]]
    assert left.lines[1].get_xydata().tolist() == [[2, 2], [4, 1.5]]
    curve, ring, _, _ = right.lines
    assert curve.get_xydata().tolist() == [[1, 0.1], [2, 0.3], [3, 0.2]]
    assert ring.get_xydata().tolist() == [[2, 0.3]]
    assert curve.get_color() == left.lines[0].get_color()  # one look per name
    assert right.get_ylabel() == "validation HR@5"
    assert left.get_xlabel() == right.get_xlabel() == "epoch"
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["a", "b"]


def test_losses_of_very_different_size_get_their_own_panels():
    figure = plots.loss_curves({"softmax": [5.0, 4.0], "bpr": [0.7, 0.5]})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["softmax", "bpr"]
    assert [axes.lines[0].get_ydata().tolist() for axes in figure.axes] == [[5.0, 4.0], [0.7, 0.5]]


def test_attention_weights_one_panel_per_head_on_one_scale():
    weights = softmax(np.random.default_rng(2).normal(size=(3, 2, 5)))
    figure = plots.attention_weights(weights, ["q1", "q2"], ["key of twenty-nine characters"] * 5, width=9)
    panels = figure.axes[:3]
    for h, axes in enumerate(panels):
        assert np.array_equal(image_of(axes), weights[h])
        assert axes.get_title(loc="left") == f"head {h + 1}"
        assert axes.images[0].get_clim() == (0.0, weights.max())
    assert ticks(panels[0].yaxis) == ["q1", "q2"]
    assert ticks(panels[2].xaxis) == ["key of t…"] * 5


def test_attention_of_one_query_is_one_panel_with_a_row_per_head():
    weights = softmax(np.random.default_rng(3).normal(size=(3, 1, 5)))
    axes = plots.attention_weights(weights, ["next item"]).axes[0]
    assert np.array_equal(image_of(axes), weights[:, 0])
    assert ticks(axes.yaxis) == ["head 1", "head 2", "head 3"]
    assert axes.get_ylabel() == "head (query: next item)"
    assert axes.texts[0].get_text() == f"{weights[0, 0, 0]:.2f}"


def test_attention_of_a_single_head():
    weights = softmax(np.random.default_rng(4).normal(size=(2, 3)))
    axes = plots.attention_weights(weights).axes[0]
    assert np.array_equal(image_of(axes), weights)
    assert axes.get_title(loc="left") == ""


def test_principal_axes_are_the_eigenvectors_of_the_covariance():
    rng = np.random.default_rng(5)
    E = rng.normal(size=(29, 5)) * [1, 5, 2, 0.1, 3] @ rng.normal(size=(5, 5)) + 7
    values, vectors = np.linalg.eigh(np.cov(E.T))
    points, shares = plots.principal_axes(E, 3), plots.explained_variance(E, 3)
    assert points.shape == (29, 3)
    for i in range(3):
        direction = vectors[:, -1 - i]
        direction = direction * np.sign(direction[np.argmax(np.abs(direction))])
        # condition number of this E is below 1e3: 1e-10 leaves room for it
        assert np.allclose(points[:, i], (E - E.mean(axis=0)) @ direction, rtol=0, atol=1e-10)
        assert abs(shares[i] - values[-1 - i] / values.sum()) < 1e-12
    assert abs(plots.explained_variance(E, 5).sum() - 1) < 1e-12
    order = rng.permutation(29)
    assert np.allclose(plots.principal_axes(E[order], 3), points[order], rtol=0, atol=1e-10)
    assert plots.explained_variance(np.ones((7, 3)), 2).tolist() == [0, 0]


def test_embedding_map_shows_every_point_in_its_category():
    rng = np.random.default_rng(6)
    points = rng.normal(size=(11, 2))
    categories = ["b", "a", "b", "c", "b", "a", "b", "a", "c", "b", "b"]
    axes = plots.embedding_map(points, categories, shares=[0.5, 0.125]).axes[0]
    assert [c.get_label() for c in axes.collections] == ["b", "a", "c"]  # the most frequent first
    for dots in axes.collections:
        want = points[[category == dots.get_label() for category in categories]]
        assert np.array_equal(dots.get_offsets(), want)
    assert len({tuple(dots.get_facecolor()[0]) for dots in axes.collections}) == 3
    assert axes.get_xlabel() == "principal axis 1 (50 % of the variance)"
    assert axes.get_ylabel() == "principal axis 2 (12.5 % of the variance)"


def test_embedding_map_with_many_categories_has_a_rest():
    n = len(plots.COLORS) + 2
    categories = [i for i in range(n) for _ in range(n - i)]
    axes = plots.embedding_map(np.random.default_rng(7).normal(size=(len(categories), 2)), categories).axes[0]
    names = [dots.get_label() for dots in axes.collections]
    assert names == [*(str(i) for i in range(len(plots.COLORS) - 1)), "other"]
    assert sum(len(dots.get_offsets()) for dots in axes.collections) == len(categories)
    assert len(axes.collections[-1].get_offsets()) == 3 + 2 + 1


def test_embedding_map_leaves_out_labels_that_would_cover_others():
    apart = np.array([[0.0, 0.0], [5.0, 5.0], [9.0, 0.0]])
    axes = plots.embedding_map(apart, "abc", ["one", None, "three"]).axes[0]
    assert [(t.get_text(), tuple(t.xy)) for t in axes.texts] == [("one", (0, 0)), ("three", (9, 0))]
    figure = plots.embedding_map(np.zeros((31, 2)), "a" * 31, {i: f"label {i}" for i in range(31)})
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert 1 < len(boxes) < 31
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_comparison_shows_means_and_intervals():
    results = {"Popularity": (0.0441, 0.03, 0.06), "Transformer": (0.071, 0.06, 0.09)}
    axes = plots.comparison(results, "HR@10", reference={"chance": 0.01}).axes[0]
    for row, ((mean, low, high), drawn) in enumerate(zip(results.values(), axes.containers, strict=True)):
        dot, _, (bar,) = drawn.lines
        assert dot.get_xydata().tolist() == [[mean, row]]
        assert np.allclose(bar.get_segments()[0], [[low, row], [high, row]], rtol=1e-14, atol=0)
    assert ticks(axes.yaxis) == ["Popularity", "Transformer"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first is on top
    assert [text.get_text() for text in axes.texts] == ["0.0441", "0.0710", "chance"]
    assert axes.get_xlabel().startswith("HR@10")
    assert axes.get_xlim()[0] == 0


def lightness(color):
    """CIE L* of an sRGB color."""
    c = np.array(to_rgb(color))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    Y = float(linear @ [0.2126, 0.7152, 0.0722])
    return 116 * np.cbrt(Y) - 16 if Y > 216 / 24389 else Y * 24389 / 27


def test_lines_show_each_curve_with_its_band_on_the_axes_that_are_asked_for():
    x, y = np.array([1.0, 10.0, 100.0]), np.array([3.0, 2.0, 0.5])
    curves = {"a": (x, y), "b": (x[:2], y[1:])}
    figure = plots.lines(curves, "size", "error", log="xy", bands={"a": (y - 0.25, y + 0.5)})
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("size", "error")
    for line, (at, value) in zip(axes.lines, curves.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), at)
        np.testing.assert_array_equal(line.get_ydata(), value)
    corners = axes.collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (0.25, 3.5)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_a_heatmap_of_signed_numbers_has_zero_in_the_middle():
    values = np.array([[-1.0, 0.0, 0.5], [4.0, np.nan, 2.0]])
    figure = plots.heatmap(values, rows=["r", "s"], columns=["x", "y", "z"], xlabel="column", label="size")
    axes, scale = figure.axes
    np.testing.assert_array_equal(image_of(axes), values)
    assert axes.images[0].get_clim() == (-4.0, 4.0)
    assert to_rgb(axes.images[0].cmap(0.5)) == pytest.approx((1.0, 1.0, 1.0), abs=0.01)
    assert (ticks(axes.xaxis), ticks(axes.yaxis)) == (["x", "y", "z"], ["r", "s"])
    assert [text.get_text() for text in axes.texts] == ["-1.00", "0.00", "0.50", "4.00", "2.00"]
    assert scale.get_ylabel() == "size"


def test_a_surface_shows_bands_and_the_paths_over_them():
    x, y = np.linspace(-1, 1, 5), np.linspace(-2, 2, 9)
    z = x**2 + (y**2)[:, None]
    path = np.array([[1.0, 2.0], [0.5, 1.0], [0.0, 0.0]])
    figure = plots.surface(
        x, y, z, [0, 1, 2, 4], paths={"descent": path}, xlabel="p", ylabel="q", label="loss"
    )
    axes, scale = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), path)
    assert [line.get_xydata().ravel().tolist() for line in axes.lines[1:]] == [[1.0, 2.0], [0.0, 0.0]]
    assert (axes.get_xlabel(), axes.get_ylabel(), scale.get_ylabel()) == ("p", "q", "loss")
    assert (axes.get_xlim(), axes.get_ylim()) == ((-1.0, 1.0), (-2.0, 2.0))
    bands = axes.collections[0]
    assert bands.levels.tolist() == [0, 1, 2, 4]
    inside = [path.contains_point((0.0, 0.0)) for path in bands.get_paths()]
    assert inside == [True, False, False, False]  # the lowest band holds the minimum
    with pytest.raises(ValueError, match=r"z must be \(Y, X\) = \(9, 5\), got shape \(5, 9\)"):
        plots.surface(x, y, z.T, [0, 1])


def test_dots_stand_at_their_places_with_their_names_and_the_y_axis_begins_at_zero():
    axes = plots.dots({"a": (1.0, 0.2), "b": (100.0, 0.5)}, "seconds", "NDCG@10", log="x").axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1.0, 0.2], [100.0, 0.5]])
    assert [(text.get_text(), text.xy) for text in axes.texts] == [("a", (1.0, 0.2)), ("b", (100.0, 0.5))]
    assert (axes.get_xscale(), axes.get_yscale(), axes.get_ylim()[0]) == ("log", "linear", 0.0)
    with pytest.raises(ValueError, match="at least one point"):
        plots.dots({}, "x", "y")


def test_the_axes_of_a_map_can_be_named():
    points = np.array([[1.0, 2.0], [3.0, 1.0], [0.0, 0.5]])
    axes = plots.embedding_map(points, "aab", axis_names=("first", "second")).axes[0]
    assert axes.get_xlabel().startswith("first")
    assert axes.get_ylabel().startswith("second")


def test_heatmaps_side_by_side_share_a_scale_that_begins_at_zero():
    figure = plots.heatmap({"a": np.full((2, 3), 0.5), "b": np.full((2, 3), 2.0)})
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["a", "b"]
    assert [axes.images[0].get_clim() for axes in figure.axes[:2]] == [(0.0, 2.0)] * 2
    with pytest.raises(ValueError, match="a heatmap shows matrices"):
        plots.heatmap(np.zeros(3))


def test_the_sequential_colors_get_darker_in_even_steps():
    steps = np.diff([lightness(color) for color in plots.BLUES])
    assert np.abs(steps + 8.2).max() < 0.6  # 82 units in ten steps; colors are rounded to 8 bits


def test_the_categorical_colors_differ_in_lightness_or_look():
    looks = list(zip(plots.COLORS, plots.MARKERS, map(str, plots.DASHES), strict=True))
    for column in zip(*looks, strict=True):
        assert len(set(column)) == len(looks)
    assert all(lightness(color) < 75 for color in plots.COLORS)  # visible on white


@pytest.mark.parametrize(
    ("name", "ending"),
    [*((name, ".svg") for name in ("matrix", "tiles", "losses", "attention", "map")), ("comparison", ".png")],
)
def test_files_are_the_same_bytes_every_time(tmp_path, name, ending):
    figure = examples()[name]()
    for i, drawn in enumerate((figure, figure, examples()[name]())):
        plots.save(drawn, tmp_path / f"{i}{ending}")
    first, again, redrawn = ((tmp_path / f"{i}{ending}").read_bytes() for i in range(3))
    assert first == again
    assert first == redrawn
    for word in (b"dc:date", b"matplotlib.org", b"Matplotlib"):
        assert word not in first


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"as \.svg or \.png, got '\.jpg'"):
        plots.save(examples()["comparison"](), tmp_path / "figure.jpg")
    assert list(tmp_path.iterdir()) == []


ALONE = """
import sys
from minirec import plots
assert "matplotlib" not in sys.modules, "importing minirec.plots must not import matplotlib"
plots.save(plots.comparison({"a": (0.2, 0.1, 0.4)}, reference={"chance": 0.01}), sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
"""


def test_another_process_writes_the_same_bytes_without_pyplot(tmp_path):
    subprocess.run([sys.executable, "-c", ALONE, str(tmp_path / "a.svg")], cwd=ROOT, check=True, timeout=60)
    plots.save(examples()["comparison"](), tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    plots.save(examples()["losses"](), tmp_path / "a.svg")
    assert dict(matplotlib.rcParams) == before
    with plots.style():
        assert matplotlib.rcParams["svg.hashsalt"] == "minirec"


def test_arguments_are_not_written():
    matrix = np.array([[1.0, np.nan, 3.0]])
    matrix.flags.writeable = False
    plots.interaction_matrix(matrix)
    plots.attention_weights(np.broadcast_to(0.5, (2, 2)))
