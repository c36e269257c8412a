"""Random search: what is drawn, in which order it is tried, and that every search space fits its model."""

import math

import numpy as np
import pytest

from minirec import tuning
from minirec.cli_data import kind_of
from minirec.models import MODELS
from minirec.models.presets import PRESETS, SPACES, preset, search_space
from minirec.tuning import Trial, best_trial, draw_settings, random_search


def test_ranges_are_log_uniform_with_two_digits_and_choices_uniform():
    rng = np.random.default_rng(0)
    space = {"lr": (0.001, 10.0), "dim": [8, 16, None]}
    drawn = [draw_settings(space, rng) for _ in range(3000)]
    numbers = np.array([settings["lr"] for settings in drawn])
    assert all(number == float(f"{number:.1e}") for number in numbers)
    assert 0.001 <= numbers.min() < 0.0013
    assert 8 < numbers.max() <= 10.0
    for power in range(-3, 1):  # each factor of ten is as likely: a quarter, within 4 standard errors
        share = np.mean((numbers >= 10.0**power) & (numbers < 10.0 ** (power + 1)))
        assert abs(share - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 3000) + 0.01
    for choice in (8, 16, None):
        share = np.mean([settings["dim"] == choice for settings in drawn])
        assert abs(share - 1 / 3) < 4 * math.sqrt(2 / 9 / 3000)
    assert draw_settings({"lr": (0.3, 0.3)}, 0) == {"lr": 0.3}
    assert all(0.123 <= draw_settings({"lr": (0.123, 0.1234)}, s)["lr"] <= 0.1234 for s in range(5))


def test_the_first_trial_is_the_preset_and_the_others_change_what_the_space_names():
    seen = []

    def measure(settings):
        seen.append(dict(settings))
        return -abs(settings["x"] - 5)

    first = {"x": 1, "kept": "as it is"}
    trials = random_search(measure, first, {"x": list(range(8)), "new": [0.5]}, 6, 3)
    assert [trial.settings for trial in trials] == seen
    assert seen[0] == first
    assert first == {"x": 1, "kept": "as it is"}  # it is not written
    assert all(settings["kept"] == "as it is" and settings["new"] == 0.5 for settings in seen[1:])
    assert len(trials) == 6
    assert len({settings["x"] for settings in seen[1:]}) == 5  # none is tried twice
    assert best_trial(trials).value == max(-abs(settings["x"] - 5) for settings in seen)
    again = random_search(measure, first, {"x": list(range(8)), "new": [0.5]}, 6, 3)
    assert [t.settings for t in again] == [t.settings for t in trials]
    other = random_search(measure, first, {"x": list(range(8)), "new": [0.5]}, 6, 4)
    assert [t.settings for t in other] != [t.settings for t in trials]


def test_a_space_that_is_used_up_ends_the_search():
    trials = random_search(lambda settings: settings["x"], {"x": 1}, {"x": [1, 2, 3]}, 50, 0)
    assert sorted(trial.settings["x"] for trial in trials) == [1, 2, 3]
    assert len(random_search(lambda settings: 0.0, {"x": 1}, {}, 50, 0)) == 1


def test_a_training_that_is_not_finite_loses():
    def measure(settings):
        if settings["lr"] > 1:
            raise FloatingPointError("step 1: the loss is nan")
        return settings["lr"]

    trials = random_search(measure, {"lr": 2}, {"lr": [0.5, 0.25, 3]}, 4, 0)
    assert [trial.value for trial in trials if trial.settings["lr"] > 1] == [-math.inf, -math.inf]
    assert best_trial(trials).settings == {"lr": 0.5}


def test_the_earliest_of_equal_trials_is_best():
    assert best_trial([Trial({"x": 1}, 0.5, 0.0), Trial({"x": 2}, 0.5, 0.0)]).settings == {"x": 1}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: draw_settings({"lr": (0.0, 1.0)}, 0),
            r"lr: .* 0 < low <= high, got \(0.0, 1.0\)",
        ),
        (lambda: draw_settings({"lr": (2.0, 1.0)}, 0), "lr: a range"),
        (lambda: draw_settings({"dim": []}, 0), "dim: there is nothing to choose"),
        (lambda: random_search(lambda settings: 0.0, {}, {}, 0, 0), "trials = 0"),
    ],
)
def test_faults(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_model_takes_what_its_space_draws(name):
    kind = kind_of(name)
    for settings in ({}, *(draw_settings(search_space(name), seed) for seed in range(20))):
        for data in PRESETS[name]:
            chosen = kind(**preset(name, data) | settings).settings()
            assert settings.items() <= chosen.items()


def test_every_space_is_of_a_model_and_variants_share_it():
    assert SPACES.keys() <= MODELS.keys() | PRESETS.keys()
    assert search_space("sasrec-bce") == search_space("sasrec") == SPACES["sasrec"]
    assert search_space("mf-squared") == SPACES["mf-squared"] != SPACES["mf"]
    assert search_space("popularity") == {}


def test_tries_are_enough_to_find_what_is_left():
    space = {"x": list(range(8))}
    assert len(random_search(lambda s: 0.0, {"x": 0}, space, 8, 1)) == 8
    assert tuning.TRIES >= 50
