"""BERT4Rec: what is hidden, gradients of every parameter, who sees whom, training, scores of anybody.

What must hold of its network and its masks is in the formula sheet; drawn ids are tried here as well.
"""

import math
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheet import holds
from strategies import frozen, seeds

from minirec import training
from minirec.data.interactions import Interactions
from minirec.data.sequences import pad_histories
from minirec.data.splits import leave_one_out
from minirec.functional import Array
from minirec.models import BERT4Rec, Recommender, bert4rec, sequence_recommender
from minirec.verify import check_model
from minirec.verify.formula import Built
from minirec.verify.pair import dense

T, I = 5, 11
MASK = I + 1


def sequences(users: int = 20, items: int = 17, length: int = 6, seed: int = 0) -> Interactions:
    """Random sequences without repeats: nothing but memory can predict them."""
    rng = np.random.default_rng(seed)
    rows = [(u, int(i)) for u in range(users) for i in rng.permutation(items)[:length]]
    return Interactions(*zip(*rows, strict=True))  # type: ignore[misc]


def of_lengths(*lengths: int, items: int = I) -> Interactions:
    """A user per length, who goes through the items in order, from another one each, again and again."""
    rows = [(u, (3 * u + t) % items) for u, n in enumerate(lengths) for t in range(n)]
    rows += [(len(lengths), i) for i in range(items)]  # all items are known
    return Interactions(*zip(*rows, strict=True))  # type: ignore[misc]


def small(**options: Any) -> BERT4Rec:
    common = {"length": T, "hidden": 16, "epochs": 1, "batch_size": 16, "dropout": 0.0}
    return BERT4Rec(8, 2, 1, **common | options)


def random_model(norm: str, **options: Any) -> BERT4Rec:
    """In float64 with a network at random parameters, as `fit` would leave it."""
    model = BERT4Rec(4, 2, 1, **{"norm": norm, "length": T, "hidden": 7, "dtype": "float64"} | options)
    model.user_ids, model.item_ids = list(range(3)), list(range(I))
    rng = np.random.default_rng(11)
    network = model.build(rng)
    model.network = network.with_params(
        {name: array + 0.3 * rng.standard_normal(array.shape) for name, array in network.params().items()}
    )
    model.network.item_embedding.E[0] = 0.0
    return model


def batch_of_three() -> tuple[Array, Array]:
    """(inputs, targets) with 2, 1 and 1 hidden items, of 4, 5 and 1."""
    ids = np.array([[0, 3, 1, 3, 6], [7, 2, 5, 2, 4], [0, 0, 0, 0, 9]])
    hidden = np.array([[0, 0, 1, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]], dtype=bool)
    return np.where(hidden, MASK, ids), np.where(hidden, ids, 0)


def epoch_of(model: BERT4Rec, train: Interactions, seed: int = 0) -> tuple[Array, Array]:
    """(inputs, targets) of all examples of one epoch, in order."""
    model.remember(train)
    n, draw = model.examples(train)
    inputs, targets = draw(np.arange(n), np.random.default_rng(seed))
    return inputs, targets


@pytest.mark.parametrize("norm", bert4rec.NORMS)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_gradient_of_every_parameter_of_the_whole_network(norm: str, dropout: float) -> None:
    report = check_model(
        random_model(norm, dropout=dropout), batch_of_three(), jacobian=True, method="complex",
        zero=["*.b_k"], dropout_rng=np.random.default_rng(3) if dropout else None,
    )  # fmt: skip
    assert report.ok, str(report)
    assert report.error <= 1e-8


def test_the_gradient_of_every_parameter_at_full_width() -> None:
    model = BERT4Rec(64, 2, 2, length=23, dtype="float64")
    model.user_ids, model.item_ids = list(range(3)), list(range(I))
    rng = np.random.default_rng(5)
    model.network = model.build(rng)
    model.network.bias[...] = rng.standard_normal(I)
    ids = rng.integers(1, I + 1, (3, 23))
    ids[0, :17] = 0
    hidden = bert4rec.cloze_mask(rng, ids, 0.3)
    batch = np.where(hidden, MASK, ids), np.where(hidden, ids, 0)
    report = check_model(model, batch, zero=["*.b_k"], method="complex", directions=1)
    assert report.ok, str(report)
    assert report.error <= 1e-8


@given(seeds, st.sampled_from(bert4rec.NORMS), st.tuples(*[st.integers(1, T)] * 3))
@settings(max_examples=10)
def test_the_network_holds_what_the_sheet_says(seed: int, norm: str, lengths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, I + 1, (3, T))
    ids = np.where(np.arange(T) >= T - np.array(lengths)[:, None], ids, 0)
    ids = np.where(bert4rec.cloze_mask(rng, ids, 0.4), MASK, ids)
    options = {
        "n_items": I, "embedding_dim": 4, "num_heads": 2, "num_layers": 1, "hidden": 5, "length": T,
        "norm": norm, "dropout": 0.0,
    }  # fmt: skip
    holds("BERT4RecNetwork", Built(options, (ids,)), seed=seed)


# What is hidden


@given(seeds, st.lists(st.integers(0, 13), min_size=1, max_size=5).filter(any), st.floats(0.01, 1.0))
def test_masks_hold_what_the_sheet_says(seed: int, lengths: list[int], rho: float) -> None:
    rng = np.random.default_rng(seed)
    ids = pad_histories([rng.integers(0, I, n) for n in lengths], 13)
    holds("cloze_mask", np.random.default_rng(seed), frozen(ids), rho, seed=seed)


@pytest.mark.parametrize(
    ("rho", "n", "count"),
    [(0.2, 1, 1), (0.2, 7, 1), (0.2, 8, 2), (0.2, 13, 3), (0.6, 3, 2), (1.0, 3, 3), (0.01, 5, 1)],
)
def test_max_of_1_and_the_rounded_share_of_the_items_is_hidden(rho: float, n: int, count: int) -> None:
    ids = pad_histories([np.arange(n)], 13)
    assert bert4rec.cloze_mask(np.random.default_rng(0), ids, rho).sum() == count
    assert bert4rec.masked_count(rho, n) == count


def test_each_step_hides_other_items_and_the_same_for_the_same_generator() -> None:
    model, train = small(length=13), of_lengths(9, 13)
    epochs = [epoch_of(model, train, seed) for seed in (1, 1, 2)]
    assert np.array_equal(epochs[0], epochs[1])
    windows = epochs[0][0][:3], epochs[2][0][:3]
    assert (windows[0] != windows[1]).any(axis=1).all()
    assert np.array_equal(epochs[0][0][3:], epochs[2][0][3:])  # the last item alone, always


def test_other_items_are_hidden_in_every_epoch_of_a_fit_and_the_same_for_the_same_seed() -> None:
    train = of_lengths(9, 13)
    model = small(length=13, epochs=2)
    drawn: list[bytes] = []
    forward = model.loss_and_grads

    def spy(batch: training.Batch, *rest: Any) -> Any:
        # The order of an epoch is random as well: sorted, a batch that holds all examples has none.
        drawn.append(batch[0][np.lexsort(batch[1].T)].tobytes())
        return forward(batch, *rest)

    model.loss_and_grads = spy  # type: ignore[method-assign]
    model.shard_size = lambda: 16  # type: ignore[method-assign]
    for _ in range(2):
        model.fit(train, rng=0, progress=False)
    first, second = drawn[:2]
    assert drawn == [first, second] * 2
    assert first != second


def test_windows_cover_a_long_history_and_all_are_full() -> None:
    length = 4
    for n in range(1, 23):
        ends = bert4rec.window_ends(n, length)
        assert len(ends) == math.ceil(n / length)
        starts = [max(0, end - length) for end in ends]
        assert sorted({t for s, e in zip(starts, ends, strict=True) for t in range(s, e)}) == list(range(n))
        assert all(end - start == min(n, length) for start, end in zip(starts, ends, strict=True))
        assert ends[0] == n


def test_an_epoch_holds_each_window_once_and_each_newest_window_with_its_last_item_hidden_alone() -> None:
    train = of_lengths(3, 5, 12, 1)
    inputs, targets = epoch_of(small(length=5, rho=0.4), train)
    whole = np.where(inputs == MASK, targets, inputs)
    histories = [history + 1 for history in train.histories()]
    windows = [
        window
        for h in histories
        for window in ([h] if len(h) <= 5 else [h[-5:], h[-10:-5], h[:5]][: math.ceil(len(h) / 5)])
    ]
    expected = [np.pad(window, (5 - len(window), 0)) for window in windows]
    newest = [np.pad(h[-5:], (5 - len(h[-5:]), 0)) for h in histories]
    assert whole.tolist() == np.array(expected + newest).tolist()
    hidden = (targets != 0).sum(axis=1)
    n = (whole != 0).sum(axis=1)
    assert hidden.tolist() == [
        *np.maximum(1, np.rint(0.4 * n[: len(windows)])).astype(int), *[1] * len(histories)
    ]  # fmt: skip
    assert (targets[len(windows) :, -1] != 0).all()
    assert not targets[len(windows) :, :-1].any()


def test_the_row_with_the_last_item_hidden_is_what_recommending_after_the_others_reads() -> None:
    train = of_lengths(3, 5, 12)
    model = small(length=5)
    inputs, _ = epoch_of(model, train)
    read: list[Array] = []
    model.network = model.build(np.random.default_rng(0))
    states = model.network.states
    model.network.states = lambda ids: (read.append(ids), states(ids))[1]  # type: ignore[method-assign]
    model.last_states([history[:-1] for history in train.histories()])
    assert np.array_equal(read[0], inputs[-4:])


def test_inputs_and_targets_are_a_partition_of_the_items() -> None:
    inputs, targets = epoch_of(small(length=7), of_lengths(3, 16, 8))
    assert ((targets != 0) == (inputs == MASK)).all()
    assert set(np.unique(targets)) <= set(range(I + 1))


def test_the_true_item_under_a_mask_changes_no_bit_of_a_score() -> None:
    """The whole way from histories to scores: other items where something is hidden."""
    model = random_model("pre", rho=0.4)
    histories = [np.array([3, 1, 7]), np.array([2, 9, 4, 0, 5]), np.array([6, 8, 10, 1])]

    def drawn(histories: list[Array]) -> tuple[Array, Array]:
        model.histories = histories
        n, draw = model.examples(sequences())
        inputs, targets = draw(np.arange(n), np.random.default_rng(7))
        return inputs, targets

    inputs, targets = drawn(histories)
    for row in range(6):  # a window of each, then each with its last item hidden
        whose, own = row % 3, histories[row % 3]
        hidden = targets[row] != 0
        changed = np.where(hidden[-len(own) :], (own + 1) % I, own)
        others, names = drawn([changed if u == whose else h for u, h in enumerate(histories)])
        assert (names[row] != targets[row])[hidden].all()
        assert np.array_equal(others[row], inputs[row])
        scores = [model.network.forward(ids[row : row + 1])[0] for ids in (inputs, others)]
        assert np.array_equal(scores[0], scores[1])


# The loss


@pytest.mark.parametrize("norm", bert4rec.NORMS)
def test_the_loss_of_a_batch_is_the_mean_over_what_is_hidden(norm: str) -> None:
    model, (inputs, targets) = random_model(norm), batch_of_three()
    E, bias = model.params()["item_embedding.E"], model.params()["bias"]
    terms = []
    for row, names in zip(inputs, targets, strict=True):
        z, _ = model.network.states(row[None])
        for state, target in zip(z, names[names != 0], strict=True):
            s = E[1:-1] @ state + bias
            terms.append(math.log(np.exp(s).sum()) - s[target - 1])
    assert len(terms) == 4
    assert model.loss_forward((inputs, targets))[0] == pytest.approx(np.mean(terms), rel=1e-12)


@pytest.mark.parametrize("size", [1, 2])
def test_shards_add_up_to_the_batch_though_not_equally_much_is_hidden_in_them(size: int) -> None:
    model, batch = random_model("pre"), batch_of_three()
    whole, grads = model.loss_and_grads(batch, 1.0, None)
    loss, summed = training.batch_gradients(
        batch, lambda shard, upstream, _: model.loss_and_grads(shard, upstream, None), size,
        lambda s: np.random.default_rng(s), weigh=model.weigh,
    )  # fmt: skip
    assert [model.weigh(tuple(part[b : b + 1] for part in batch)) for b in range(3)] == [2, 1, 1]
    assert loss == pytest.approx(whole, rel=1e-12)
    for name, gradient in grads.items():
        np.testing.assert_allclose(
            dense(summed[name]), dense(gradient), rtol=0, atol=1e-14, equal_nan=False, err_msg=name
        )


def test_the_size_of_a_shard_follows_from_what_is_hidden_not_from_all_places() -> None:
    def size(items: int, **options: Any) -> int:
        model = BERT4Rec(64, length=200, batch_size=128, **options)
        model.item_ids = list(range(items))
        return model.shard_size()

    states, all_places = (
        sequence_recommender.shard_size(128, 200, 64),
        sequence_recommender.shard_size(128, 200, 64, 3500),
    )
    assert size(1000) == size(3500) == states > all_places
    assert size(3500, rho=1.0) == all_places
    assert states > size(3500, rho=0.9) >= all_places
    assert size(10**6) == 1


def test_the_loss_of_an_untrained_network_is_about_log_i() -> None:
    model = BERT4Rec(64, length=11)
    model.user_ids, model.item_ids = list(range(50)), list(range(500))
    model.network = model.build(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    ids = rng.integers(1, 501, (50, 11))
    hidden = bert4rec.cloze_mask(rng, ids, 0.2)
    loss = model.loss_forward((np.where(hidden, 501, ids), np.where(hidden, ids, 0)))[0]
    # States have length √D = 8 and rows of the table length 0.02 √D: scores have variance 0.16².
    assert abs(loss - math.log(500)) < 0.05


# Training


@pytest.mark.parametrize("norm", bert4rec.NORMS)
def test_twenty_sequences_can_be_overfitted(norm: str) -> None:
    model = BERT4Rec(16, 2, 1, norm=norm, length=6, hidden=32, dropout=0.0, epochs=300, lr=1e-2)
    model.fit(sequences(), rng=0, progress=False)
    histories = [h[:-1] for h in model.histories]
    best = model.score_histories(histories)
    for row, history in zip(best, histories, strict=True):
        row[history] = -np.inf
    assert np.mean(best.argmax(axis=1) == [h[-1] for h in model.histories]) > 0.8
    assert model.log.losses[-1] < 0.5 * model.log.losses[0]


def test_the_same_seed_gives_the_same_model_and_dropout_and_masks_are_drawn_from_it() -> None:
    states = [
        small(dropout=0.3, epochs=2).fit(sequences(), rng=seed, progress=False).state() for seed in (3, 3, 4)
    ]
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])
    assert not np.array_equal(states[0]["item_embedding.E"], states[2]["item_embedding.E"])


def test_the_padding_row_stays_zero_and_the_row_of_the_mask_learns() -> None:
    model = small(epochs=3, lr=0.01)
    model.remember(sequences())
    fitted = model.fit(sequences(), rng=0, progress=False).params()["item_embedding.E"]
    start = model.build(training.stream(training.as_seed(0), training.INITIALIZATION)).item_embedding.E
    assert not fitted[0].any()
    assert (np.abs(fitted[1:] - start[1:]).max(axis=1) > 1e-3).all()


def test_training_is_in_single_precision() -> None:
    model = small(dropout=0.3).fit(sequences(), rng=0, progress=False)
    loss, grads = model.loss_and_grads(epoch_of(model, sequences()), 1.0, np.random.default_rng(0))
    assert loss.dtype == np.float32
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}
    assert model.score(np.array([0, 1])).dtype == np.float32


# Scores


def fitted(**options: Any) -> BERT4Rec:
    return small(epochs=3, lr=0.01, **options).fit(sequences(), rng=0, progress=False)


def test_a_history_of_any_length_is_scored_by_its_last_items() -> None:
    model, history = fitted(), np.array([3, 1, 4, 15, 9, 2, 6, 5])
    scores = model.score_histories([history, history[-4:], history[-2:], np.array([], dtype=np.int64)])
    assert np.array_equal(scores[0], scores[1])  # one place is the [MASK]'s
    assert not np.array_equal(scores[0], scores[2])
    assert np.isfinite(scores).all()


def test_an_empty_history_is_scored_at_a_mask_behind_nothing_but_padding() -> None:
    model = fitted()
    ids = np.array([[0, 0, 0, 0, 18]])
    for cut in (0, 4):
        expected = model.network.forward(ids[:, cut:])[0]
        got = model.score_histories([np.array([], dtype=np.int64)])
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6, equal_nan=False)


def test_a_score_is_the_state_at_the_mask_times_the_row_of_the_item_and_its_bias() -> None:
    model = fitted()
    model.network.bias[...] = np.random.default_rng(0).standard_normal(17)
    z, _ = model.network.states(np.array([[*(model.histories[2][-4:] + 1), 18]]))
    expected = z[0] @ model.params()["item_embedding.E"][1:-1].T + model.params()["bias"]
    np.testing.assert_allclose(model.score(np.array([2]))[0], expected, rtol=0, atol=1e-6, equal_nan=False)
    few, own = np.array([2, 16, 5]), np.array([[1, 7]])
    for items in (few, own):
        found = model.score(np.array([2]), items)[0]
        np.testing.assert_allclose(found, expected[items.ravel()], rtol=0, atol=1e-6, equal_nan=False)


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    model = fitted()
    many = [np.random.default_rng(s).permutation(17)[: s % 6] for s in range(40)]
    together = model.score_histories(many)
    alone = np.concatenate([model.score_histories([history]) for history in many])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5, equal_nan=False)


def test_known_users_are_scored_by_their_history() -> None:
    model = fitted()
    assert np.array_equal(model.score(np.array([4])), model.score_histories([model.histories[4]]))


def test_evaluation_has_no_dropout() -> None:
    model = fitted(dropout=0.5)
    assert np.array_equal(model.score(np.arange(5)), model.score(np.arange(5)))


def test_users_never_seen_get_recommendations() -> None:
    train = sequences()
    model = fitted()
    known = [[train.item_ids[i] for i in (3, 5, 2)], []]
    found = model.recommend_histories(known, k=4)
    assert not set(found.items[0]) & set(known[0])
    assert all(len(set(row)) == 4 for row in found.items)


@pytest.mark.parametrize("norm", bert4rec.NORMS)
def test_a_saved_model_gives_the_same_bits(norm: str, tmp_path: Path) -> None:
    model = small(norm=norm, rho=0.5).fit(sequences(), rng=0, progress=False)
    model.save(tmp_path / "model.npz")
    again = Recommender.load(tmp_path / "model.npz")
    assert isinstance(again, BERT4Rec)
    assert again.settings() == model.settings()
    assert np.array_equal(again.score(np.arange(20)), model.score(np.arange(20)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"norm": "first"}, "norm must be one of 'pre', 'post', got 'first'"),
        ({"rho": 0.0}, "rho must be above 0 and at most 1, got 0.0"),
        ({"rho": 1.5}, "rho must be above 0 and at most 1, got 1.5"),
        ({"rho": math.nan}, "rho must be above 0 and at most 1, got nan"),
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"hidden": 0}, "hidden must be at least 1, or None for 4 embedding_dim, got 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        BERT4Rec(8, 2, **options)


def test_the_standard_deviations_at_the_start() -> None:
    train = Interactions(np.arange(997) % 7, np.arange(997))
    model = BERT4Rec(64, 2, 1, length=499, epochs=1, lr=0.0).fit(train, rng=0, progress=False)
    params = model.params()
    for name, std in (("item_embedding.E", 0.02), ("position_embedding.E", 0.006)):
        assert abs(params[name][1:-1].std() / std - 1) < 0.02  # of 31,000 numbers or more, 5 standard errors


def test_hidden_is_four_widths_unless_given() -> None:
    assert random_model("pre", hidden=None).network.encoder.blocks[0].feed_forward.expand.W.shape == (4, 16)
    assert random_model("pre", hidden=3).network.encoder.blocks[0].feed_forward.expand.W.shape == (4, 3)


# Checkpoints and threads


def bits(model: BERT4Rec) -> tuple[Any, ...]:
    arrays = {name: array.tobytes() for name, array in model.params().items()}
    log = model.log
    return arrays, log.losses, log.validation, log.best_epoch, log.steps, log.ended


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_fit_gives_the_same_bits(stop: int, tmp_path: Path) -> None:
    train, valid, _ = leave_one_out(sequences())
    options = {"dropout": 0.3, "lr": 0.01, "patience": 6}
    straight = small(epochs=5, **options).fit(train, valid=valid, rng=1, progress=False)
    assert len(straight.log.losses) == 5
    path = tmp_path / "c.npz"
    small(epochs=stop, **options).fit(train, valid=valid, rng=1, progress=False, checkpoint=path)
    resumed = small(epochs=5, **options).fit(train, valid=valid, progress=False, checkpoint=path)  # its seed
    assert bits(resumed) == bits(straight)


def test_threads_and_repetition_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BERT4Rec, "shard_size", lambda _: 3)
    found = []
    for threads in (1, 2, 2):
        used: set[threading.Thread] = set()
        monkeypatch.setattr(training.os, "cpu_count", lambda threads=threads: threads)
        model = small(epochs=3, dropout=0.3, lr=0.01)
        plain = model.loss_and_grads

        def spy(*args: Any, plain: Any = plain, used: set[threading.Thread] = used) -> Any:
            used.add(threading.current_thread())
            return plain(*args)

        monkeypatch.setattr(model, "loss_and_grads", spy)
        model.fit(sequences(), rng=1, progress=False)
        assert (threading.main_thread() in used) == (threads == 1)
        found.append(bits(model))
    assert found[0] == found[1] == found[2]
