"""SASRec: gradients of every parameter, who sees whom, training, scores of users never seen.

What must hold of its network is in the formula sheet; drawn ids are tried here as well. Its losses have
test_step_loss.py.
"""

import math
import re
import sys
import threading
from pathlib import Path
from typing import Any

import network_table as table
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheet import holds
from strategies import seeds

from minirec import optim, training
from minirec.data import leave_one_out, synthetic
from minirec.data.interactions import Interactions
from minirec.data.sequences import next_items, pad_histories, trimmed
from minirec.evaluation import evaluate
from minirec.functional import RowGradient
from minirec.metrics import ndcg
from minirec.models import Recommender, SASRec, sequence_recommender, step_loss
from minirec.models.next_item_recommender import RESIDUALS
from minirec.verify.formula import Built
from minirec.verify.pair import dense

B, T, I = 3, 5, 11


def sequences(users: int = 20, items: int = 17, length: int = 6, seed: int = 0) -> Interactions:
    """Random sequences without repeats: nothing but memory can predict them."""
    rng = np.random.default_rng(seed)
    rows = [(u, int(i)) for u in range(users) for i in rng.permutation(items)[:length]]
    return Interactions(*zip(*rows, strict=True))  # type: ignore[misc]


def small(**options: Any) -> SASRec:
    common = {"length": 5, "hidden": 16, "epochs": 1, "batch_size": 16, "dropout": 0.0}
    return SASRec(8, 2, 1, **common | options)


@pytest.mark.parametrize("row", table.SASRECS, ids=str)
def test_the_gradient_of_every_parameter_of_the_whole_network(row: Any) -> None:
    report = row.gradient()
    assert report.ok, str(report)
    assert report.error <= 1e-8


@given(seeds, st.sampled_from(["plain", "original"]), st.tuples(*[st.integers(1, T)] * B))
@settings(max_examples=10)
def test_the_network_holds_what_the_sheet_says(seed: int, residual: str, lengths: tuple[int, ...]) -> None:
    ids = np.random.default_rng(seed).integers(1, I + 1, (B, T))
    ids = np.where(np.arange(T) >= T - np.array(lengths)[:, None], ids, 0)
    options = {
        "n_items": I, "embedding_dim": 4, "num_heads": 2, "num_layers": 1, "hidden": 5, "length": T,
        "residual": residual, "dropout": 0.0,
    }  # fmt: skip
    holds("SASRecNetwork", Built(options, (ids,)), seed=seed)


# Data


def test_every_item_but_the_first_is_a_target_and_stands_one_step_later() -> None:
    inputs, targets = next_items([np.array([4, 0, 2]), np.array([1]), np.arange(7), np.array([], int)], 4)
    assert inputs.tolist() == [[0, 0, 5, 1], [0, 0, 0, 0], [3, 4, 5, 6], [0, 0, 0, 0]]
    assert targets.tolist() == [[0, 0, 1, 3], [0, 0, 0, 0], [4, 5, 6, 7], [0, 0, 0, 0]]


def test_columns_of_padding_are_cut_off_and_one_is_left() -> None:
    assert trimmed(np.array([[0, 0, 5, 1], [0, 3, 0, 2]])) == 1
    assert trimmed(np.array([[7, 1], [0, 3]])) == 0
    assert trimmed(np.zeros((2, 3), dtype=np.int64)) == 2


# The losses


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("loss", step_loss.LOSSES)
def test_the_loss_of_a_batch_is_the_mean_over_its_steps(loss: str, tied: bool) -> None:
    model = table.sasrec(loss, "plain", tied)
    batch = table.sasrec_batch(loss)
    inputs, targets = batch[:2]
    h, _ = model.network.forward(inputs)
    E = model.params()["item_embedding.E" if tied else "output_embedding.E"]
    beta = 0.25 + 0.75 * 3 / 6
    terms = []
    for b, t in np.argwhere(targets):
        s = E @ h[b, t]
        taken = s[targets[b, t]]
        if loss == "softmax":
            terms.append(math.log(np.exp(s[1:]).sum()) - taken)
        elif loss == "bce":
            terms.append(np.log1p(np.exp(-taken)) + np.log1p(np.exp(s[batch[2][b, t]])))
        elif loss == "gbce":
            others = s[batch[2][b]]
            terms.append((beta * np.log1p(np.exp(-taken)) + np.log1p(np.exp(others)).sum()) / 4)
        else:
            others = [s[j] for j in batch[2][b] if j != targets[b, t]]
            terms.append(np.log1p(np.exp(np.array(others) - taken).sum()))
    assert model.loss_forward(batch)[0] == pytest.approx(np.mean(terms), rel=1e-12)


@pytest.mark.parametrize("loss", step_loss.LOSSES)
@pytest.mark.parametrize("size", [1, 2])
def test_shards_add_up_to_the_batch_though_their_steps_are_not_equally_many(loss: str, size: int) -> None:
    model, batch = table.sasrec(loss, "original"), table.sasrec_batch(loss)
    whole, grads = model.loss_and_grads(batch, 1.0, None)

    assert [model.weigh(tuple(part[b : b + 1] for part in batch)) for b in range(3)] == [2, 5, 1]
    loss_sum, summed = training.batch_gradients(
        batch, lambda shard, upstream, _: model.loss_and_grads(shard, upstream, None), size,
        lambda s: np.random.default_rng(s), weigh=model.weigh,
    )  # fmt: skip
    assert loss_sum == pytest.approx(whole, rel=1e-12)
    for name, gradient in grads.items():
        np.testing.assert_allclose(
            dense(summed[name]), dense(gradient), rtol=0, atol=1e-14, equal_nan=False, err_msg=name
        )


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((8, 10, 32), 8),  # too small to share
        ((64, 50, 64), 32),  # two equal parts
        ((128, 200, 64), 16),
        ((128, 200, 128), 8),  # 16 equal parts
        ((128, 200, 64, 3500), 8),  # logits decide
        ((8, 50, 16, 100_000), 1),  # also where the states are few
        ((128, 200, 64, 256, 256), 8),  # the rows of the negatives count as well
        ((1, 10**6, 64), 1),
    ],
)
def test_the_size_of_a_shard_follows_from_shapes(shape: tuple[int, ...], size: int) -> None:
    assert sequence_recommender.shard_size(*shape) == size


@pytest.mark.parametrize(
    ("loss", "shapes", "n_logits"),
    [
        ("bce", [(20, 5)], 1),
        ("softmax", [], 20_000),
        ("sampled_softmax", [(20, 7)], 5000),
        ("gbce", [(20, 7)], 5000),
    ],
)
def test_the_settings_say_how_many_negatives_are_drawn_and_scores_are_held(
    loss: str, shapes: list[tuple[int, int]], n_logits: int
) -> None:
    model = small(loss=loss, n_negatives=7)
    model.remember(sequences())
    batch = model.examples(sequences()).draw(np.arange(20), np.random.default_rng(0))
    assert [part.shape for part in batch] == [(20, 5), (20, 5), *shapes]
    model = SASRec(64, loss=loss, length=200, n_negatives=5000)
    model.user_ids, model.item_ids = [0], list(range(20_000))
    drawn = n_logits if shapes and len(shapes[0]) == 2 and shapes[0][1] == 7 else 0  # not one for each step
    assert model.shard_size() == sequence_recommender.shard_size(128, 200, 64, n_logits, drawn)


@pytest.mark.parametrize("loss", step_loss.LOSSES)
@pytest.mark.parametrize(("residual", "tied"), [("plain", True), ("original", True), ("plain", False)])
def test_a_step_in_single_precision_meets_no_double(loss: str, residual: str, tied: bool) -> None:
    """Every array that any function of the package holds when it returns: none of them is float64."""
    model, batch = table.sasrec(loss, residual, tied), table.sasrec_batch(loss)
    model = model.with_params({name: a.astype(np.float32) for name, a in model.params().items()})
    model.network.dropout = 0.3
    for block in model.network.encoder.blocks:
        block.dropout = 0.3
    doubles, functions = set(), set()

    def look(frame: Any, event: str, arg: Any) -> Any:
        if event == "return" and "minirec" in frame.f_code.co_filename:
            functions.add(frame.f_code.co_name)
            for name, value in (frame.f_locals | {"the result": arg}).items():
                for array in value if isinstance(value, tuple) else (value,):
                    if getattr(array, "dtype", None) == np.float64:
                        doubles.add((frame.f_code.co_name, name))
        return look

    optimizer, params = optim.Adam(lazy=loss != "softmax"), model.params()
    before = sys.gettrace()
    sys.settrace(look)
    try:
        for step in range(2):
            _, grads = training.batch_gradients(
                batch, model.loss_and_grads, 2, lambda s, step=step: np.random.default_rng([step, s])
            )
            optimizer.step(params, grads)
    finally:
        sys.settrace(before)
    assert {"attention_backward", "layer_norm_backward", "sum_by_row", "adam_step"} <= functions
    assert not doubles
    assert all(array.dtype == np.float32 for array in params.values())


def test_the_loss_of_an_untrained_network_is_about_log_i() -> None:
    model = SASRec(64, length=11)
    model.user_ids, model.item_ids = list(range(50)), list(range(500))
    model.network = model.build(np.random.default_rng(0))
    ids = np.random.default_rng(1).integers(1, 501, (50, 12))
    # States have length √D and rows of the table length 1: scores have variance 1, which costs 1/2.
    assert abs(model.loss_forward((ids[:, :-1], ids[:, 1:]))[0] - math.log(500) - 0.5) < 0.3


# Training


@pytest.mark.parametrize("loss", step_loss.LOSSES)
@pytest.mark.parametrize("residual", RESIDUALS)
def test_twenty_sequences_can_be_overfitted(loss: str, residual: str) -> None:
    model = SASRec(
        16, 2, 1, loss=loss, n_negatives=8, residual=residual, length=5, hidden=32, dropout=0.0, lr=1e-2,
        epochs=300 if loss == "gbce" else 150,  # whose negatives may be the item itself
    )  # fmt: skip
    model.fit(sequences(), rng=0, progress=False)
    histories = [h[:-1] for h in model.histories]
    best = model.score_histories(histories)
    for row, history in zip(best, histories, strict=True):
        row[history] = -np.inf
    assert np.mean(best.argmax(axis=1) == [h[-1] for h in model.histories]) > 0.8
    assert model.log.losses[-1] < 0.5 * model.log.losses[0]


def test_the_same_seed_gives_the_same_model_and_dropout_and_negatives_are_drawn_from_it() -> None:
    states = [
        small(loss="bce", dropout=0.3, epochs=2).fit(sequences(), rng=seed, progress=False).state()
        for seed in (3, 3, 4)
    ]
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])
    assert not np.array_equal(states[0]["item_embedding.E"], states[2]["item_embedding.E"])


def test_the_padding_row_stays_zero() -> None:
    for loss in step_loss.LOSSES:
        model = small(loss=loss, epochs=3).fit(sequences(), rng=0, progress=False)
        assert not model.params()["item_embedding.E"][0].any()


def test_training_is_in_single_precision() -> None:
    model = small().fit(sequences(), rng=0, progress=False)
    batch = next_items(model.histories, 5)
    loss, grads = model.loss_and_grads(batch, 1.0, None)
    assert loss.dtype == np.float32
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}
    assert model.score(np.array([0, 1])).dtype == np.float32


def test_who_has_met_every_item_is_left_out_where_unseen_items_are_drawn() -> None:
    loss = "bce"
    full = [(0, i) for i in range(4)] + [(1, 0), (1, 2)]
    train = Interactions(*zip(*full, strict=True))  # type: ignore[misc]
    assert small(loss=loss).fit(train, rng=0, progress=False).log.steps == 1
    lonely = Interactions([0, 0, 1], ["a", "b", "a"])
    with pytest.raises(ValueError, match="every user has met every item, which leaves no negatives"):
        small(loss=loss).fit(lonely, rng=0, progress=False)
    for other in ("softmax", "sampled_softmax", "gbce"):
        small(loss=other).fit(lonely, rng=0, progress=False)
    with pytest.raises(
        ValueError,
        match="no user has two events in the training part, so there is no next item to learn from",
    ):
        small(loss=loss).fit(Interactions(list("abc"), list("xyz")), rng=0, progress=False)


# A second table


@pytest.mark.parametrize("loss", step_loss.LOSSES)
def test_a_second_table_is_learned_and_read_by_the_scores(loss: str) -> None:
    model = SASRec(
        16, 2, 1, loss=loss, n_negatives=8, tied=False, length=5, hidden=32, dropout=0.0, epochs=150, lr=1e-2
    ).fit(sequences(), rng=0, progress=False)
    assert model.log.losses[-1] < 0.5 * model.log.losses[0]
    output, first = model.params()["output_embedding.E"], model.params()["item_embedding.E"]
    assert output.shape == first.shape
    assert not np.array_equal(output, first)
    assert not output[0].any()
    assert not first[0].any()
    assert np.array_equal(model.output_table(), output[1:])
    h, _ = model.network.forward(pad_histories([model.histories[2]], 5))
    np.testing.assert_allclose(
        model.score(np.array([2]))[0], h[0, -1] @ output[1:].T, rtol=0, atol=1e-5, equal_nan=False
    )


def test_the_second_table_is_drawn_last_and_saved_with_the_others(tmp_path: Path) -> None:
    one, two = (small(tied=tied, lr=0.0).fit(sequences(), rng=0, progress=False) for tied in (True, False))
    assert two.params().keys() - one.params().keys() == {"output_embedding.E"}
    assert all(np.array_equal(array, two.params()[name]) for name, array in one.params().items())
    two.save(tmp_path / "model.npz")
    again = Recommender.load(tmp_path / "model.npz")
    assert isinstance(again, SASRec)
    assert not again.tied
    assert np.array_equal(again.score(np.arange(20)), two.score(np.arange(20)))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("loss", ["bce", "sampled_softmax", "gbce"])
def test_the_gradients_of_the_tables_are_the_rows_that_a_batch_reads(loss: str, tied: bool) -> None:
    """Which is what a lazy step of the optimizer moves."""
    model, batch = table.sasrec(loss, "plain", tied, items=101), table.sasrec_batch(loss)
    inputs, targets, negatives = batch
    _, grads = model.loss_and_grads(batch, 1.0, None)
    output = set(targets[targets != 0]) | set((negatives[targets != 0] if loss == "bce" else negatives).flat)
    read = {"item_embedding.E": set(inputs[inputs != 0]), "output_embedding.E": output}
    if tied:
        read = {"item_embedding.E": read["item_embedding.E"] | output}
    for name, rows in read.items():
        assert isinstance(grads[name], RowGradient)
        assert set(grads[name].rows) == rows


# Scores


def fitted() -> SASRec:
    return small(epochs=3).fit(sequences(), rng=0, progress=False)


def test_a_history_of_any_length_is_scored_by_its_last_items() -> None:
    model, history = fitted(), np.array([3, 1, 4, 15, 9, 2, 6, 5])
    scores = model.score_histories([history, history[-5:], history[-2:], np.array([], dtype=np.int64)])
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
    assert np.isfinite(scores[3]).all()


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    model = fitted()
    many = [np.random.default_rng(s).permutation(17)[: s % 6 + 1] for s in range(40)]
    together = model.score_histories(many)
    alone = np.concatenate([model.score_histories([history]) for history in many])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5, equal_nan=False)


def test_items_asked_for_get_the_scores_that_they_have_among_all() -> None:
    model = fitted()
    whole = model.score(np.array([0, 3]))
    few, own = np.array([2, 16, 5]), np.array([[1, 2], [7, 0]])
    np.testing.assert_allclose(
        model.score(np.array([0, 3]), few), whole[:, few], rtol=0, atol=1e-6, equal_nan=False
    )
    expected = np.take_along_axis(whole, own, axis=1)
    np.testing.assert_allclose(
        model.score(np.array([0, 3]), own), expected, rtol=0, atol=1e-6, equal_nan=False
    )


def test_known_users_are_scored_by_their_history() -> None:
    model = fitted()
    assert np.array_equal(model.score(np.array([4])), model.score_histories([model.histories[4]]))


def test_at_the_test_item_the_validation_item_is_part_of_the_history() -> None:
    train, valid, test = leave_one_out(synthetic(seed=0).interactions)
    model = SASRec(8, num_layers=1, length=9, epochs=1, batch_size=64).fit(train, rng=0, progress=False)
    found = evaluate(model, train, test, also_seen=valid, metrics=("ndcg",)).mean("ndcg")
    values = []
    for user, item in zip(test.users, test.items, strict=True):
        seen = np.append(model.histories[user], valid.items[valid.users == user])
        scores = model.score_histories([seen])[0].astype(np.float64)
        scores[seen] = -np.inf
        values.append(ndcg(scores, [item], 10))
    assert found == pytest.approx(np.mean(values), abs=1e-6)


def test_a_saved_model_gives_the_same_bits(tmp_path: Path) -> None:
    model = small(residual="original", loss="bce").fit(sequences(), rng=0, progress=False)
    model.save(tmp_path / "model.npz")
    again = Recommender.load(tmp_path / "model.npz")
    assert isinstance(again, SASRec)
    assert again.settings() == model.settings()
    assert np.array_equal(again.score(np.arange(20)), model.score(np.arange(20)))


def test_a_score_is_the_state_after_the_last_item_times_the_row_of_the_item() -> None:
    model = fitted()
    h, _ = model.network.forward(pad_histories([model.histories[2]], 5))
    expected = h[0, -1] @ model.params()["item_embedding.E"][1:].T
    np.testing.assert_allclose(model.score(np.array([2]))[0], expected, rtol=0, atol=1e-6, equal_nan=False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "bpr"}, "loss must be one of 'bce', 'softmax', 'sampled_softmax', 'gbce', got 'bpr'"),
        ({"lazy": True}, 'lazy=True needs loss="bce", "sampled_softmax" or "gbce": softmax reads every row'),
        ({"n_negatives": 0}, "n_negatives must be at least 1, got 0"),
        ({"gbce_t": 1.5}, "gbce_t must be in [0, 1], got 1.5"),
        ({"gbce_t": math.nan}, "gbce_t must be in [0, 1], got nan"),
        ({"residual": "post"}, "residual must be one of 'plain', 'original', got 'post'"),
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"hidden": 0}, "hidden must be at least 1, or None for embedding_dim, got 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"lr": math.nan}, "lr must be at least 0 and finite, got nan"),
        ({"lr": math.inf}, "lr must be at least 0 and finite, got inf"),
        ({"beta2": 1.0}, "beta2 must be at least 0 and below 1, got 1.0"),
        ({"dtype": "float16"}, "dtype must be one of"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        SASRec(8, 2, **options)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="embedding_dim 8 is not divisible by num_heads 3"):
        SASRec(8, 3)


# Checkpoints and threads


def bits(model: SASRec) -> tuple[Any, ...]:
    arrays = {name: array.tobytes() for name, array in model.params().items()}
    return (
        arrays,
        model.log.losses,
        model.log.validation,
        model.log.best_epoch,
        model.log.steps,
        model.log.ended,
    )


@pytest.mark.parametrize("stop", [1, 3, 5])
@pytest.mark.parametrize("loss", step_loss.LOSSES)
def test_a_resumed_fit_gives_the_same_bits(loss: str, stop: int, tmp_path: Path) -> None:
    train, valid, _ = leave_one_out(sequences())
    options = {"loss": loss, "dropout": 0.3, "lr": 0.01, "patience": 6}
    straight = small(epochs=6, **options).fit(train, valid=valid, rng=1, progress=False)
    assert len(straight.log.losses) == 6
    path = tmp_path / "c.npz"
    small(epochs=stop, **options).fit(train, valid=valid, rng=1, progress=False, checkpoint=path)
    resumed = small(epochs=6, **options).fit(train, valid=valid, progress=False, checkpoint=path)  # its seed
    assert bits(resumed) == bits(straight)


def test_a_fit_goes_on_from_its_own_checkpoint_only(tmp_path: Path) -> None:
    train, valid, test = leave_one_out(sequences())
    path = tmp_path / "c.npz"
    model = small().fit(train, valid=valid, rng=1, progress=False, checkpoint=path)
    before = bits(model)
    cases: list[tuple[SASRec, dict[str, Any], str]] = [
        (small(lr=0.5), {}, r"identity\.settings\.lr is 0\.001 there and 0\.5 here"),
        (small(), {"valid": test}, r"identity\.valid is '\w+' there and '\w+' here"),
        (small(), {"train": sequences(seed=1)}, r"identity\.train is '\w+' there and '\w+' here"),
        (model, {"rng": 2}, r"it began with another seed"),
    ]
    for other, options, words in cases:
        given = {"train": train, "valid": valid, "rng": 1, **options}
        with pytest.raises(ValueError, match=words):
            other.fit(**given, progress=False, checkpoint=path)
    assert bits(model) == before


@pytest.mark.parametrize("loss", step_loss.LOSSES)
def test_threads_and_repetition_do_not_change_a_bit(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SASRec, "shard_size", lambda _: 3)
    found = []
    for threads in (1, 2, 2):
        used: set[threading.Thread] = set()
        monkeypatch.setattr(training.os, "cpu_count", lambda threads=threads: threads)
        model = small(loss=loss, epochs=3, dropout=0.3, lr=0.01)
        plain = model.loss_and_grads

        def spy(*args: Any, plain: Any = plain, used: set[threading.Thread] = used) -> Any:
            used.add(threading.current_thread())
            return plain(*args)

        monkeypatch.setattr(model, "loss_and_grads", spy)
        model.fit(sequences(), rng=1, progress=False)
        assert (threading.main_thread() in used) == (threads == 1)
        found.append(bits(model))
    assert found[0] == found[1] == found[2]
