"""Transformer-XL: gradients that stop at a memory, segments against one pass, histories of any length.

What must hold of its network and its layers is in the formula sheet; drawn ids and segments are tried here.
"""

import itertools
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheet import holds
from strategies import seeds

from minirec import training
from minirec.data import leave_one_out
from minirec.data.interactions import Interactions
from minirec.data.sequences import next_items, pad_histories
from minirec.models import Recommender, TransformerXL, step_loss, transformer_xl
from minirec.models.next_item_recommender import RESIDUALS
from minirec.verify import check_model
from minirec.verify.formula import Built
from minirec.verify.pair import dense

I, WIDTH, HEADS, HIDDEN = 11, 4, 2, 5
INPUTS = np.array([[0, 0, 0, 3, 1, 9, 4], [7, 2, 5, 2, 4, 8, 10], [0, 0, 0, 0, 0, 0, 6]])
TARGETS = np.array([[0, 0, 0, 1, 9, 4, 11], [2, 5, 2, 4, 8, 10, 3], [0, 0, 0, 0, 0, 0, 2]])
NEGATIVES = {
    "bce": np.array([[1, 1, 4, 1, 1, 5, 2], [1, 11, 6, 6, 3, 1, 1], [7, 7, 7, 7, 7, 3, 5]]),
    "sampled_softmax": np.array([[4, 1, 11, 6, 2], [3, 11, 6, 7, 8], [7, 9, 1, 2, 5]]),
    "gbce": np.array([[5, 2, 11, 6, 2], [3, 11, 6, 1, 3], [7, 9, 1, 4, 5]]),
}


def batch_of(loss: str) -> training.Batch:
    """Three users with 4, 7 and 1 steps."""
    return (INPUTS, TARGETS, NEGATIVES[loss]) if loss in NEGATIVES else (INPUTS, TARGETS)


def moved(loss: str = "softmax", layers: int = 2, **options: Any) -> TransformerXL:
    """A model in float64 with a network at random parameters, as `fit` would leave it."""
    options = {"segment": 3, "memory": 2} | options
    model = TransformerXL(
        WIDTH, HEADS, layers, loss=loss, length=12, hidden=HIDDEN, dropout=0.0, dtype="float64", **options
    )
    model.user_ids, model.item_ids = list(range(3)), list(range(I))
    rng = np.random.default_rng(11)
    network = model.build(rng)
    model.network = network.with_params(
        {name: array + 0.3 * rng.standard_normal(array.shape) for name, array in network.params().items()}
    )
    model.network.item_embedding.E[0] = 0.0
    return model


def sequences(users: int = 20, items: int = 17, length: int = 9, seed: int = 0) -> Interactions:
    """Random sequences without repeats: nothing but memory can predict them."""
    rng = np.random.default_rng(seed)
    rows = [(u, int(i)) for u in range(users) for i in rng.permutation(items)[: length - u % 3]]
    return Interactions(*zip(*rows, strict=True))  # type: ignore[misc]


def small(**options: Any) -> TransformerXL:
    common = {"length": 9, "segment": 4, "memory": 3, "hidden": 16, "epochs": 1, "batch_size": 16}
    return TransformerXL(8, 2, 2, **common | {"dropout": 0.0} | options)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"segment": 10}, "segment must be at most length 9, got 10"),
        ({"segment": 9}, "memory 3 would be read in scoring and never learned: with length = segment = 9"),
    ],
)
def test_a_memory_that_training_never_meets_is_refused(settings: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        small(**settings)
    assert small(segment=9, memory=0).segment == 9
    assert TransformerXL().length > TransformerXL().segment


# The stop-gradient


def hold_memories(
    monkeypatch: pytest.MonkeyPatch, model: TransformerXL, batch: training.Batch
) -> list[np.ndarray]:
    """From now on the memories of this batch are what they are now, whatever the parameters become."""
    plain, kept = transformer_xl.updated_memory, list[Any]()

    def keep(*args: Any) -> Any:
        kept.append(plain(*args))
        return kept[-1]

    monkeypatch.setattr(transformer_xl, "updated_memory", keep)
    model.loss_forward(batch)
    again = itertools.cycle(list(kept))
    monkeypatch.setattr(transformer_xl, "updated_memory", lambda *_: next(again))
    return kept


@pytest.mark.parametrize("residual", RESIDUALS)
@pytest.mark.parametrize("loss", step_loss.LOSSES)
def test_gradients_are_the_derivatives_with_the_memories_held_constant(
    loss: str, residual: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch = moved(loss, residual=residual, gbce_t=0.6), batch_of(loss)
    hold_memories(monkeypatch, model, batch)
    report = check_model(model, batch, jacobian=True, method="complex")
    assert report.ok, str(report)
    assert report.error <= 1e-8


@pytest.mark.parametrize(
    ("options", "stops"),
    [({}, True), ({"memory": 0}, False), ({"segment": 7}, False), ({"layers": 1}, True)],
)
def test_they_are_not_the_derivatives_where_memories_move_along(options: Any, stops: bool) -> None:
    """Along one direction of all parameters, by complex step: only a memory makes the difference."""
    model, batch, rng = moved(**options), batch_of("softmax"), np.random.default_rng(5)
    params, grads = model.params(), model.loss_and_grads(batch, 1.0, None)[1]
    along = {name: rng.standard_normal(array.shape) for name, array in params.items()}
    along["item_embedding.E"][0] = 0.0
    aside = model.with_params({name: array + 1e-30j * along[name] for name, array in params.items()})
    slope = aside.loss_forward(batch)[0].imag / 1e-30
    gap = abs(slope - sum((dense(g) * along[name]).sum() for name, g in grads.items())) / abs(slope)
    assert (gap > 1e-3) if stops else (gap < 1e-12)


def test_the_loss_depends_on_each_memory_and_no_gradient_comes_back_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, batch = moved(), batch_of("softmax")
    kept = hold_memories(monkeypatch, model, batch)
    assert len(kept) == 3 * 2  # segments of 1, 3 and 3 steps, two blocks
    grads = model.loss_and_grads(batch, 1.0, None)[1]
    assert list(grads) == list(model.params())  # and nothing for a memory
    for which, memory in enumerate(kept):
        slopes = []
        for sign in (1, -1):
            other = list(kept)
            other[which] = memory + 1e-5 * sign * np.cos(np.arange(memory.size)).reshape(memory.shape)
            turn = itertools.cycle(other)
            monkeypatch.setattr(transformer_xl, "updated_memory", lambda *_, turn=turn: next(turn))
            slopes.append(model.loss_forward(batch)[0])
        slope = (slopes[0] - slopes[1]) / 2e-5
        last = which >= 4  # what the last segment leaves is read by nobody
        assert (slope == 0) if last else (abs(slope) > 1e-5), which


def test_the_last_segment_sends_nothing_to_items_that_only_its_memory_has_read() -> None:
    model = moved()
    h, cache = model.network.forward(INPUTS)
    dh = np.zeros(h.shape)
    dh[1, -3:] = np.random.default_rng(0).standard_normal((3, WIDTH))
    dE = dense(model.network.backward(dh, cache)[1]["item_embedding.E"])
    assert sorted(np.flatnonzero(dE.any(axis=1))) == [4, 8, 10]  # ids 7, 2, 5, 2 stand before
    other = model.network.item_embedding.E.copy()
    other[5] = other[5, ::-1]
    changed = model.network.with_params(model.params() | {"item_embedding.E": other})
    assert np.abs(changed.forward(INPUTS)[0][1, -3:] - h[1, -3:]).max() > 1e-3


# Segments


@given(
    seeds, st.integers(1, 9), st.integers(1, 5), st.integers(0, 7), st.integers(1, 3),
    st.sampled_from(sorted(RESIDUALS)),
)  # fmt: skip
@settings(max_examples=20)
def test_the_network_holds_what_the_sheet_says(
    seed: int, T: int, segment: int, memory: int, layers: int, residual: str
) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, I + 1, (3, T))
    ids = np.where(np.arange(T) >= T - rng.integers(1, T + 1, (3, 1)), ids, 0)
    options = {
        "n_items": I, "embedding_dim": 4, "num_heads": 2, "num_layers": layers, "hidden": 5,
        "segment": segment, "memory": memory, "residual": residual, "dropout": 0.0,
    }  # fmt: skip
    holds("TransformerXLNetwork", Built(options, (ids,)), seed=seed)


def test_dropout_is_that_of_the_sheet() -> None:
    """One segment: the sheet goes layer by layer, and draws in another order where there are more."""
    options = {
        "n_items": I, "embedding_dim": 4, "num_heads": 2, "num_layers": 2, "hidden": 5,
        "segment": 7, "memory": 2, "residual": "plain", "dropout": 0.3,
    }  # fmt: skip
    holds("TransformerXLNetwork", Built(options, (INPUTS,), {"rng": np.random.default_rng(3)}))


def random_ids(T: int) -> np.ndarray:
    ids = np.random.default_rng(T).integers(1, I + 1, (3, T))
    ids[0, : T // 2] = 0
    return ids


@pytest.mark.parametrize("layers", [1, 2])
def test_segment_by_segment_is_one_pass_where_the_memory_holds_all(layers: int) -> None:
    ids = random_ids(11)
    by_segment, at_once = (moved(layers=layers, segment=s, memory=m).network for s, m in ((3, 11), (11, 0)))
    dh = np.random.default_rng(1).standard_normal((3, 11, WIDTH))
    (h, cache), (expected, whole) = by_segment.forward(ids), at_once.forward(ids)
    np.testing.assert_allclose(h, expected, rtol=0, atol=1e-13, equal_nan=False)
    if layers == 1:  # whose memory is the embedding: that stop is the only difference
        found, right = by_segment.backward(dh, cache)[1], at_once.backward(dh, whole)[1]
        for name, gradient in right.items():
            size = np.abs(dense(gradient)).max()
            gap = np.abs(dense(found[name]) - dense(gradient)).max() / size
            assert (gap > 1e-2) if name == "item_embedding.E" else (gap <= 1e-13), name


def test_segment_by_segment_is_one_pass_over_windows() -> None:
    """One layer, a memory that is short: a block over all places, each of which sees its segment up to itself
    and the M places before the segment."""
    ids, L, M = random_ids(11), 3, 4
    network = moved(layers=1, segment=L, memory=M).network
    start = np.array(
        [now.start for now in transformer_xl.segments(11, L) for _ in range(now.start, now.stop)]
    )
    window = np.arange(11) >= (start - M)[:, None]  # (T, T)
    x = network.scale * network.item_embedding.E[ids]
    y, _ = network.blocks[0].forward(x, network.u, network.w, window & (ids != 0)[:, None, None, :])
    expected, _ = network.norm.forward(y)
    found, _ = network.forward(ids)
    visible = ids != 0
    np.testing.assert_allclose(found[visible], expected[visible], rtol=0, atol=1e-13, equal_nan=False)
    assert not window.all()


@pytest.mark.parametrize(
    ("T", "L", "lengths"), [(7, 3, [1, 3, 3]), (6, 3, [3, 3]), (2, 3, [2]), (3, 3, [3]), (4, 1, [1, 1, 1, 1])]
)
def test_segments_are_counted_from_the_end(T: int, L: int, lengths: list[int]) -> None:
    found = transformer_xl.segments(T, L)
    assert [now.stop - now.start for now in found] == lengths
    assert [i for now in found for i in range(now.start, now.stop)] == list(range(T))


def test_the_memory_is_the_last_places_of_what_was_there_and_what_came() -> None:
    first, second = np.arange(6.0).reshape(1, 3, 2), 10 + np.arange(4.0).reshape(1, 2, 2)
    memory = transformer_xl.updated_memory(None, first, 4)
    assert memory is not None
    assert np.array_equal(memory, first)
    memory = transformer_xl.updated_memory(memory, second, 4)
    assert memory is not None
    assert memory[0, :, 0].tolist() == [2.0, 4.0, 10.0, 12.0]
    assert transformer_xl.updated_memory(first, second, 0) is None


@pytest.mark.parametrize(
    ("segment", "memory", "layers", "places"),
    [(3, 2, 1, 5), (3, 2, 2, 8), (3, 2, 3, 11), (3, 3, 2, 9), (2, 5, 2, 13), (4, 0, 3, 4), (1, 1, 3, 4)],
)
def test_scores_depend_on_as_many_items_as_reach_says(
    segment: int, memory: int, layers: int, places: int
) -> None:
    assert transformer_xl.reach(segment, memory, layers) == places
    model = moved(layers=layers, segment=segment, memory=memory)
    history = np.random.default_rng(places).integers(0, I, 20)
    scores = model.score_histories([history])
    older, oldest = history.copy(), history.copy()
    older[:-places] = (older[:-places] + 1) % I
    oldest[-places] = (oldest[-places] + 1) % I
    np.testing.assert_allclose(model.score_histories([older]), scores, rtol=0, atol=1e-13, equal_nan=False)
    h, _ = model.network.forward(history[None] + 1)  # and as many as there are make no difference
    expected = h[:, -1] @ model.output_table().T
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12, equal_nan=False)
    assert np.abs(model.score_histories([oldest]) - scores).max() > 1e-9


# Training


def test_shards_add_up_to_the_batch_though_their_steps_are_not_equally_many() -> None:
    model = moved()
    for loss, size in itertools.product(step_loss.LOSSES, (1, 2)):
        model.loss = loss
        batch = batch_of(loss)
        whole, grads = model.loss_and_grads(batch, 1.0, None)
        loss_sum, summed = training.batch_gradients(
            batch, lambda shard, upstream, _: model.loss_and_grads(shard, upstream, None), size,
            lambda s: np.random.default_rng(s), weigh=model.weigh,
        )  # fmt: skip
        assert loss_sum == pytest.approx(whole, rel=1e-12)
        for name, gradient in grads.items():
            found, expected = dense(summed[name]), dense(gradient)
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13, equal_nan=False, err_msg=name)


def test_the_loss_is_that_of_all_segments() -> None:
    """Softmax over all items at the 12 steps of three users, from the states of the whole pass."""
    model = moved()
    h, _ = model.network.forward(INPUTS)
    terms = []
    for b, t in np.argwhere(TARGETS):
        s = model.output_table() @ h[b, t]
        terms.append(np.log(np.exp(s).sum()) - s[TARGETS[b, t] - 1])
    assert len(terms) == model.weigh(batch_of("softmax")) == 12
    assert model.loss_forward(batch_of("softmax"))[0] == pytest.approx(np.mean(terms), rel=1e-12)


def test_gbce_t_reaches_the_loss() -> None:
    losses = [moved("gbce", gbce_t=t).loss_forward(batch_of("gbce"))[0] for t in (0.0, 0.75, 1.0)]
    h = moved("gbce").network.forward(INPUTS)[0]
    E = moved("gbce").network.item_embedding.E
    expected = [step_loss.step_gbce_forward(h, E, TARGETS, NEGATIVES["gbce"], t)[0] for t in (0.0, 0.75, 1.0)]
    assert losses == pytest.approx(expected, rel=1e-12)
    assert len(set(losses)) == 3


@pytest.mark.parametrize(("loss", "residual"), [("softmax", "plain"), ("gbce", "original")])
def test_twenty_sequences_can_be_overfitted(loss: str, residual: str) -> None:
    model = TransformerXL(
        16, 2, 1, length=8, segment=4, memory=4, loss=loss, residual=residual, n_negatives=8,
        hidden=32, dropout=0.0, epochs=150, lr=1e-2,
    ).fit(sequences(length=6), rng=0, progress=False)  # fmt: skip
    histories = [h[:-1] for h in model.histories]
    scores = model.score_histories(histories)
    for row, history in zip(scores, histories, strict=True):
        row[history] = -np.inf
    assert np.mean(scores.argmax(axis=1) == [h[-1] for h in model.histories]) > 0.8
    assert model.log.losses[-1] < 0.5 * model.log.losses[0]


def test_what_only_the_memory_holds_can_be_learned() -> None:
    """The item after three fillers is the first one. Segments of two items: without memory it is chance."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 4, 60)
    rows = [(u, i) for u in range(60) for i in (first[u], 4, 5, 6, first[u] + 7)]
    found = []
    for memory in (3, 0):
        model = TransformerXL(
            16, 1, 1, length=8, segment=2, memory=memory, dropout=0.0, epochs=60, lr=1e-2, batch_size=32
        ).fit(Interactions(*zip(*rows, strict=True)), rng=0, progress=False)  # type: ignore[misc]
        scores = model.score_histories([np.array([i, 4, 5, 6]) for i in range(4)])
        found.append(np.mean(scores.argmax(axis=1) == np.arange(7, 11)))
    assert found == [1.0, 0.25]


def test_training_is_in_single_precision_and_the_padding_row_stays_zero() -> None:
    for loss in step_loss.LOSSES:
        model = small(loss=loss, n_negatives=3, epochs=2).fit(sequences(), rng=0, progress=False)
        examples = model.examples(sequences())
        batch = examples.draw(np.arange(5), np.random.default_rng(0))
        value, grads = model.loss_and_grads(batch, 1.0, np.random.default_rng(1))
        assert value.dtype == np.float32
        assert {dense(g).dtype for g in grads.values()} == {np.dtype(np.float32)}
        assert not model.params()["item_embedding.E"][0].any()
        assert model.score(np.array([0, 1])).dtype == np.float32


def bits(model: TransformerXL) -> tuple[Any, ...]:
    arrays = {name: array.tobytes() for name, array in model.params().items()}
    return arrays, model.log.losses, model.log.validation, model.log.best_epoch, model.log.steps


@pytest.mark.parametrize("loss", ["softmax", "gbce"])
def test_threads_and_repetition_do_not_change_a_bit(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TransformerXL, "shard_size", lambda _: 3)
    found = []
    for threads in (1, 2, 2):
        used: set[threading.Thread] = set()
        monkeypatch.setattr(training.os, "cpu_count", lambda threads=threads: threads)
        model = small(loss=loss, n_negatives=3, epochs=3, dropout=0.3, lr=0.01)
        plain = model.loss_and_grads

        def spy(*args: Any, plain: Any = plain, used: set[threading.Thread] = used) -> Any:
            used.add(threading.current_thread())
            return plain(*args)

        monkeypatch.setattr(model, "loss_and_grads", spy)
        model.fit(sequences(), rng=1, progress=False)
        assert (threading.main_thread() in used) == (threads == 1)
        found.append(bits(model))
    assert found[0] == found[1] == found[2]


def test_a_resumed_fit_gives_the_same_bits(tmp_path: Path) -> None:
    train, valid, _ = leave_one_out(sequences())
    options = {"dropout": 0.3, "lr": 0.01, "patience": 6}
    straight = small(epochs=4, **options).fit(train, valid=valid, rng=1, progress=False)
    path = tmp_path / "c.npz"
    small(epochs=2, **options).fit(train, valid=valid, rng=1, progress=False, checkpoint=path)
    resumed = small(epochs=4, **options).fit(train, valid=valid, progress=False, checkpoint=path)
    assert bits(resumed) == bits(straight)


# Scores


def fitted() -> TransformerXL:
    return small(epochs=3).fit(sequences(), rng=0, progress=False)


def test_a_row_does_not_depend_on_the_rows_beside_it_nor_on_its_padding() -> None:
    model = fitted()
    many = [np.random.default_rng(s).permutation(17)[: s % 17] for s in range(40)]
    together = model.score_histories(many)
    alone = np.concatenate([model.score_histories([history]) for history in many])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5, equal_nan=False)
    assert np.isfinite(together).all()


def test_a_history_longer_than_all_of_training_is_read() -> None:
    model, history = fitted(), np.random.default_rng(0).integers(0, 17, 1000)
    scores = model.score_histories([history, history[-transformer_xl.reach(4, 3, 2) :]])
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-6, equal_nan=False)
    assert not np.allclose(scores[0], model.score_histories([history[-4:]])[0], rtol=0, atol=1e-4)


def test_a_score_is_the_state_after_the_last_item_times_the_row_of_the_item() -> None:
    model = fitted()
    h, _ = model.network.forward(pad_histories([model.histories[2]], 9))
    expected = h[0, -1] @ model.params()["item_embedding.E"][1:].T
    np.testing.assert_allclose(model.score(np.array([2]))[0], expected, rtol=0, atol=1e-5, equal_nan=False)
    assert np.array_equal(model.score(np.array([2])), model.score_histories([model.histories[2]]))


def test_a_saved_model_gives_the_same_bits(tmp_path: Path) -> None:
    model = small(residual="original", loss="gbce", n_negatives=3).fit(sequences(), rng=0, progress=False)
    model.save(tmp_path / "model.npz")
    again = Recommender.load(tmp_path / "model.npz")
    assert isinstance(again, TransformerXL)
    assert again.settings() == model.settings()
    assert np.array_equal(again.score(np.arange(20)), model.score(np.arange(20)))


def test_examples_are_the_newest_items_and_their_followers() -> None:
    model = small(length=5).fit(sequences(), rng=0, progress=False)
    batch = model.examples(sequences()).draw(np.arange(20), np.random.default_rng(0))
    for found, expected in zip(batch, next_items(model.histories, 5), strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"segment": 0}, "segment must be at least 1, got 0"),
        ({"memory": -1}, "memory must be at least 0, got -1"),
        ({"n_negatives": 0}, "n_negatives must be at least 1, got 0"),
        ({"gbce_t": 1.5}, "gbce_t must be in [0, 1], got 1.5"),
        ({"loss": "bpr"}, "loss must be one of 'bce', 'softmax', 'sampled_softmax', 'gbce', got 'bpr'"),
        ({"residual": "post"}, "residual must be one of 'plain', 'original', got 'post'"),
        ({"beta2": 1.0}, "beta2 must be at least 0 and below 1, got 1.0"),
        ({"length": 0}, "length must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        TransformerXL(8, 2, **options)
