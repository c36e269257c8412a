"""TransformerRecommender: gradients of the whole network, training, what it tells and refuses.

What must hold of the network's scores is in the formula sheet, and tried in test_transformer_network.py.
The networks are those of network_table: random parameters in float64, 7 items, width 4, two heads.
"""

import itertools
import math
from pathlib import Path
from typing import Any

import network_table as table
import numpy as np
import pytest

from minirec import training
from minirec.data import leave_one_out, sampling
from minirec.data.interactions import Interactions
from minirec.data.sequences import Prefixes, pad_histories
from minirec.models import TransformerRecommender, transformer
from minirec.models.candidate_loss import candidate_loss_forward

LOSSES = ("softmax", "bce", "bpr", "squared")
SOURCES = ("history", "user")
CANDIDATES = ("pointwise", "listwise")
KINDS = list(itertools.product(SOURCES, CANDIDATES))


def network(source: str) -> Any:
    return table.recommender("softmax", source, "pointwise").network


def sequences(users: int = 20, items: int = 17, length: int = 6, seed: int = 0) -> Interactions:
    """Random sequences without repeats, with ratings: nothing but memory can predict them."""
    rng = np.random.default_rng(seed)
    rows = [(u, int(i)) for u in range(users) for i in rng.permutation(items)[:length]]
    return Interactions(*zip(*rows, strict=True), ratings=rng.integers(1, 6, len(rows)))  # type: ignore[misc]


def small(**settings: Any) -> TransformerRecommender:
    common = {"length": 5, "negatives": 4, "hidden": 16, "epochs": 1, "batch_size": 16, "dropout": 0.0}
    return TransformerRecommender(8, 2, 1, **common | settings)


# Gradients


@pytest.mark.parametrize("row", table.TRANSFORMERS, ids=str)
def test_the_gradient_of_every_parameter_of_the_whole_network(row: Any) -> None:
    report = row.gradient()
    assert report.ok, str(report)
    assert report.error <= 1e-8


# The network


def test_the_order_of_a_history_matters() -> None:
    net = network("history")
    history = np.array([[7, 2, 5, 3, 4]])
    scores = [net.forward(h, table.CANDIDATES[:1])[0] for h in (history, history[:, [0, 1, 2, 4, 3]])]
    assert np.abs(scores[0] - scores[1]).max() > 1e-6


def test_users_and_items_have_tables_of_their_own_and_dropout_needs_a_generator() -> None:
    net = network("user")
    assert net.params()["user_embedding.E"].shape == (table.USERS, table.WIDTH)
    assert net.params()["item_embedding.E"].shape == (table.ITEMS + 1, table.WIDTH)
    assert "user_embedding.E" not in network("history").params()
    model = TransformerRecommender(table.WIDTH, table.HEADS, 1, hidden=5, dropout=0.5)
    model.user_ids, model.item_ids = list(range(3)), list(range(table.ITEMS))
    net = model.build(np.random.default_rng(0))
    plain, _ = net.forward(table.HISTORIES, table.CANDIDATES)
    again, _ = net.forward(table.HISTORIES, table.CANDIDATES)
    dropped, cache = net.forward(table.HISTORIES, table.CANDIDATES, rng=np.random.default_rng(0))
    assert np.array_equal(plain, again)
    assert not np.array_equal(plain, dropped)
    assert cache.source_dropout.factor is not None
    assert cache.candidate_dropout.factor is not None


def test_encoder_and_decoder_have_the_layers_asked_for() -> None:
    model = TransformerRecommender(8, 2, 3, hidden=5)
    model.user_ids, model.item_ids = list(range(3)), list(range(7))
    net = model.build(np.random.default_rng(0))
    assert len(net.transformer.encoder.blocks) == len(net.transformer.decoder.blocks) == 3


# Training


@pytest.mark.parametrize(("source", "candidates"), KINDS)
def test_the_loss_of_an_untrained_network_is_about_log_c(source: str, candidates: str) -> None:
    C = 64
    model = TransformerRecommender(32, 2, 1, source=source, candidates=candidates, length=11, hidden=32)
    model.user_ids, model.item_ids = list(range(50)), list(range(500))
    net, rng = model.build(np.random.default_rng(0)), np.random.default_rng(1)
    ids = rng.integers(1, 501, (50, 11)) if source == "history" else np.arange(50)[:, None]
    scores, _ = net.forward(ids, rng.integers(1, 501, (50, C)))
    loss, _ = candidate_loss_forward("softmax", scores)
    # Scores of variance s² cost s²/2 more than log C; the last weights are drawn so that s² is about 2.
    assert math.log(C) - 0.3 < loss < math.log(C) + 1.5


@pytest.mark.parametrize(("source", "candidates"), [("history", "pointwise"), ("user", "listwise")])
def test_twenty_sequences_can_be_overfitted(source: str, candidates: str) -> None:
    train = sequences()
    settings = {"hidden": 32, "epochs": 60, "negatives": 7, "lr": 5e-3}
    model = TransformerRecommender(
        16, 2, 1, source=source, candidates=candidates, length=5, dropout=0.0, batch_size=20, **settings
    ).fit(train, rng=0, progress=False)
    # Of six events of a user the first has nothing before it: there a history can do no better than chance.
    chance = math.log(8) / 6 if source == "history" else 0.0
    assert model.log.losses[-1] < chance + 0.15
    assert model.log.losses[0] > 1.5
    if source == "history":
        histories = [h[:-1] for h in model.histories]
        best = model.score_histories(histories)
        for row, history in zip(best, histories, strict=True):
            row[history] = -np.inf
        assert np.mean(best.argmax(axis=1) == [h[-1] for h in model.histories]) > 0.9


def test_ratings_can_be_overfitted() -> None:
    train = sequences()
    model = small(loss="squared", source="user", epochs=100, lr=1e-2, hidden=32)
    model.fit(train, rng=0, progress=False)
    assert model.mu == train.ratings.mean()
    assert model.log.losses[-1] < 0.2 * train.ratings.var()
    # Scores are on the scale of the ratings.
    scores = model.score(np.arange(20))[train.users, train.items]
    assert np.mean((scores - train.ratings) ** 2) < 0.3 * train.ratings.var()


@pytest.mark.parametrize(("loss", "source"), list(itertools.product(LOSSES, SOURCES)))
def test_every_loss_falls(loss: str, source: str) -> None:
    model = small(loss=loss, source=source, candidates="listwise", epochs=6, lr=1e-2)
    model.fit(sequences(), rng=0, progress=False)
    assert model.log.losses[-1] < 0.9 * model.log.losses[0]


def test_one_batch_is_what_the_paper_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources are strictly before their target, column 0 is the target, the rest is unseen by the user."""
    train = sequences()
    model, batches = small(), []
    true_loss = TransformerRecommender.loss_and_grads

    def spy(self: TransformerRecommender, batch: Any, *rest: Any) -> Any:
        batches.append(batch)
        return true_loss(self, batch, *rest)

    monkeypatch.setattr(TransformerRecommender, "loss_and_grads", spy)
    model.fit(train, rng=0, progress=False)
    sources = np.concatenate([source for source, _ in batches])
    candidates = np.concatenate([c for _, c in batches])
    assert sources.shape == (len(train), 5)  # nothing repeats, so each event is an example
    assert candidates.shape == (len(train), 1 + 4)
    seen = {}
    for user, history in enumerate(model.histories):
        for place, target in enumerate(history):
            key = (tuple(pad_histories([history[:place]], 5)[0].tolist()), int(target) + 1)
            seen.setdefault(key, []).append(user)
    for source, row in zip(sources, candidates, strict=True):
        users = seen[tuple(source.tolist()), int(row[0])]
        assert row[0] not in source
        assert any(not np.isin(row[1:] - 1, model.histories[user]).any() for user in users)


def test_switching_dropout_off_changes_neither_order_nor_negatives(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[np.ndarray]] = []
    true_sampler = sampling.sample_negatives

    def spy(rng: Any, users: np.ndarray, *rest: Any) -> np.ndarray:
        negatives = true_sampler(rng, users, *rest)
        drawn[-1] += [users, negatives]
        return negatives

    monkeypatch.setattr(sampling, "sample_negatives", spy)
    states = []
    for dropout in (0.0, 0.4):
        drawn.append([])
        states.append(small(dropout=dropout, epochs=2).fit(sequences(), rng=3, progress=False).state())
    assert len(drawn[0]) == len(drawn[1]) > 4
    assert all(map(np.array_equal, *drawn))
    assert any(not np.array_equal(states[0][name], states[1][name]) for name in states[0])


def test_dropout_is_not_active_in_scores() -> None:
    train = sequences()
    model = small(dropout=0.5).fit(train, rng=3, progress=False)
    assert np.array_equal(model.score(np.arange(20)), model.score(np.arange(20)))
    plain = small(dropout=0.0)
    plain.remember(train)
    plain.load_state(model.state())
    assert np.array_equal(plain.score(np.arange(20)), model.score(np.arange(20)))
    recommended = [model.recommend_histories([[3, 1]], 5) for _ in range(2)]
    assert np.array_equal(recommended[0].scores, recommended[1].scores)


def test_the_order_of_rows_does_not_matter_where_time_says_it() -> None:
    x = sequences()
    timed = Interactions(x.users, x.items, x.ratings, np.arange(len(x)))
    shuffled = timed.select(np.random.default_rng(0).permutation(len(x)))
    first, second = (small().fit(data, rng=3, progress=False).state() for data in (timed, shuffled))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_size_of_shards_does_not_depend_on_threads_and_changes_rounding_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from minirec.models import transformer

    states = []
    for size in (3, 16):
        monkeypatch.setattr(transformer, "shard_size", lambda *_, size=size: size)
        states.append(small(dtype="float64").fit(sequences(), rng=3, progress=False).state())
    for name in states[0]:
        # Eight steps of Adam, which divides by small numbers: rounding of 1e-16 may grow to 1e-9.
        np.testing.assert_allclose(states[0][name], states[1][name], rtol=0, atol=1e-7)


def test_early_stopping_keeps_the_best_epoch() -> None:
    x = sequences(length=7)
    last = np.arange(len(x)) % 7 == 6
    model = small(epochs=30, patience=2, lr=2e-2)
    model.fit(x.select(~last), valid=x.select(last), rng=0, progress=False)
    values = dict(model.log.validation)
    assert len(values) < 30
    assert values[model.log.best_epoch] == max(values.values())
    assert f"kept the parameters of epoch {model.log.best_epoch}" in model.log.ended


def test_somebody_who_has_met_every_item_gives_no_examples() -> None:
    x = Interactions([0] * 5 + [1, 1, 1], [0, 1, 2, 3, 4, 0, 1, 2])
    model = small(negatives=2).fit(x, rng=0, progress=False)
    assert model.log.steps == 1
    assert np.isfinite(model.score(np.arange(2))).all()
    assert (
        small(loss="squared")
        .fit(Interactions(x.users, x.items, np.ones(8)), rng=0, progress=False)
        .log.losses
    )  # no negatives, so nobody is left out


# What it tells


def test_attention_weights_of_a_history() -> None:
    model = small(length=3).fit(sequences(), rng=0, progress=False)
    weights = model.attention_weights(np.array([9, 4, 6, 2]), np.array([0, 5]))
    assert weights.shape == (1, 2, 2, 3)  # layers, heads, candidates, the last three items
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=0, atol=1e-6)
    assert weights.min() > 0
    with pytest.raises(ValueError, match="has no history to attend to"):
        small(source="user").attention_weights(np.array([1]), np.array([0]))


def test_an_unseen_user_gets_the_mean_of_all_users_where_the_source_is_the_user() -> None:
    model = small(source="user").fit(sequences(), rng=0, progress=False)
    scores = model.score_histories([np.array([1, 2]), np.array([], dtype=int)])
    expected = model.score(np.arange(20)).mean(axis=0)
    assert all(np.array_equal(row, expected) for row in scores)


def test_users_without_an_event_are_not_in_that_mean() -> None:
    x = sequences()
    train = x.select(x.users % 3 > 0)  # the vectors of the others are as they were drawn
    model = small(source="user").fit(train, rng=0, progress=False)
    expected = model.score(np.flatnonzero(np.arange(20) % 3)).mean(axis=0)
    assert np.array_equal(model.score_histories([np.array([1, 2])])[0], expected)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"source": "basket"}, "source must be one of 'history', 'user', got 'basket'"),
        ({"candidates": "pairwise"}, "candidates must be one of 'pointwise', 'listwise', got 'pairwise'"),
        ({"loss": "hinge"}, "loss must be one of 'softmax', 'bce', 'bpr', 'squared', got 'hinge'"),
        ({"dtype": "float16"}, "dtype must be one of 'float32', 'float64', got 'float16'"),
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"epochs": -1}, "epochs must be at least 1, got -1"),
        ({"negatives": 0}, "negatives must be at least 1, got 0"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TransformerRecommender(**settings)


def test_squared_loss_needs_ratings() -> None:
    x = sequences()
    with pytest.raises(ValueError, match='loss="squared" needs ratings, and these interactions have none'):
        small(loss="squared").fit(Interactions(x.users, x.items), progress=False)
    with pytest.raises(ValueError, match='loss="squared" needs ratings'):
        candidate_loss_forward("squared", np.zeros((2, 3)))


def test_the_defaults_are_those_of_the_document() -> None:
    settings = TransformerRecommender().settings()
    assert (settings["embedding_dim"], settings["num_heads"], settings["num_layers"]) == (64, 8, 2)
    found = settings["source"], settings["candidates"], settings["loss"]
    assert found == ("history", "pointwise", "softmax")
    assert TransformerRecommender(**settings).settings() == settings


@pytest.mark.parametrize("loss", ["softmax", "squared"])
def test_what_fit_draws_and_how_it_cuts_a_batch(monkeypatch, loss: str) -> None:
    """Negatives are items that the user has not met; shards follow the shapes; gradients are clipped at 1."""
    users, items = [f"u{n % 5}" for n in range(40)], [f"i{n * 7 % 17}" for n in range(40)]
    train = Interactions(users, items, [1.0 + n % 5 for n in range(40)])
    seen = train.matrix()
    called: dict[str, Any] = {}

    def stand_in(params, draw, loss_and_grads, n_examples, optimizer, **options):
        called.update(options, draw=draw, n=n_examples)
        return training.TrainingLog()

    monkeypatch.setattr(training, "train", stand_in)
    TransformerRecommender(8, 2, 1, loss=loss, length=6, negatives=4, hidden=64).fit(train, rng=0)
    source, candidates, *ratings = called["draw"](np.arange(called["n"]), np.random.default_rng(0))
    examples = Prefixes(train, 6)
    assert np.array_equal(source, examples.sources(np.arange(len(examples))))
    assert np.array_equal(candidates[:, 0], examples.targets + 1)
    C = 5 if loss == "softmax" else 1
    assert candidates.shape[1] == C
    for column in range(1, C):
        assert not seen.contains(examples.users, candidates[:, column] - 1).any()
    if loss == "squared":
        assert np.allclose(ratings[0], examples.ratings - train.ratings.mean(), atol=1e-6)
    assert called["clip"] == 1.0
    assert called["shard_size"] == 2**16 // ((6 + C) * 64)


def test_shards_do_not_change_what_is_learned(monkeypatch) -> None:
    users, items = [f"u{n % 5}" for n in range(40)], [f"i{n * 7 % 17}" for n in range(40)]
    train = Interactions(users, items)
    settings = {"length": 6, "negatives": 4, "hidden": 8, "dropout": 0.0, "epochs": 1, "dtype": "float64"}
    scores = []
    for size in (1, 3, 128):
        monkeypatch.setattr(transformer, "shard_size", lambda *shapes, size=size: size)
        model = TransformerRecommender(8, 2, 1, **settings).fit(train, rng=0, progress=False)
        scores.append(model.score(np.arange(5)))
    assert np.abs(scores[0] - scores[1]).max() < 1e-10
    assert np.abs(scores[0] - scores[2]).max() < 1e-10


def test_an_empty_history_has_nothing_to_attend_to() -> None:
    train = Interactions(["a", "a", "b"], ["x", "y", "z"])
    model = TransformerRecommender(4, 2, 1, negatives=1, epochs=1).fit(train, rng=0, progress=False)
    with pytest.raises(ValueError, match="empty history"):
        model.attention_weights(np.array([], dtype=int), np.array([0]))


def test_a_list_is_scored_as_one_list_however_long_it_is() -> None:
    """Listwise: 150 items, more than a block of pointwise candidates."""
    train = Interactions([f"u{n % 3}" for n in range(150)], [f"i{n:03}" for n in range(150)])
    model = TransformerRecommender(4, 2, 1, candidates="listwise", length=4, negatives=2, epochs=1)
    model.fit(train, rng=0, progress=False)
    history = model.histories[1]
    whole, _ = model.network.forward(pad_histories([history], 4), np.arange(1, 151)[None])
    assert np.allclose(model.score(np.array([1])), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stop", [1, 3, 5])
@pytest.mark.parametrize("loss", ["softmax", "squared"])
def test_a_resumed_fit_gives_the_same_bits(loss: str, stop: int, tmp_path: Path) -> None:
    train, valid, _ = leave_one_out(sequences())
    path = tmp_path / "c.npz"

    def fit(epochs: int, rng: int | None, **options: Any) -> TransformerRecommender:
        model = small(loss=loss, epochs=epochs, dropout=0.3, lr=0.01, patience=6, batch_size=64)
        return model.fit(train, valid=valid, rng=rng, progress=False, **options)

    straight = fit(6, 1)
    assert len(straight.log.losses) == 6
    fit(stop, 1, checkpoint=path)
    resumed = fit(6, None, checkpoint=path)
    for name, array in straight.state().items():
        assert np.array_equal(resumed.state()[name], array), name
    assert resumed.log.losses == straight.log.losses
    assert resumed.log.validation == straight.log.validation
    assert resumed.log.best_epoch == straight.log.best_epoch
    words = r"identity\.settings\.dropout is 0\.3 there and 0\.0 here"
    with pytest.raises(ValueError, match=words):
        small(loss=loss, lr=0.01, batch_size=64, epochs=6, patience=6).fit(
            train, valid=valid, progress=False, checkpoint=path
        )
