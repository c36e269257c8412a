"""The command compare: train several models on one data set, and say which is better, and how sure that is.

All are fitted on the same part, stopped and tuned on the same validation part, and measured on the same test
part. Nothing is kept from one run to the next: each run trains anew. Called by cli.py.
"""

from __future__ import annotations

import argparse
import math
import re
import shlex
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirec import comparison, evaluation, tuning
from minirec.cli_data import (
    METRICS,
    add_data_options,
    add_run_options,
    kind_of,
    needs_ratings,
    open_data,
    print_terms,
    split,
)
from minirec.comparison import Comparison, Parts, Result, Settings
from minirec.data import Dataset, global_temporal, known_users, temporal_cuts
from minirec.models import Recommender
from minirec.models.presets import PRESETS, preset, search_space
from minirec.usage import UsageError, add_command, folder_of, setting, whole_number

Array = NDArray[Any]


def add(commands: Any) -> None:
    """Add the command to the parser of cli.py."""
    parser = add_command(
        commands,
        "compare",
        run_compare,
        "train several models, evaluate them alike, and say which is better and how sure that is",
        "compare --data shop --models popularity,markov,mf\n"
        "compare --data ratings.csv --models all --seeds 3 --out runs/comparison\n"
        "compare --data ml-100k --models popularity,ease --protocol temporal --test-share 0.2\n"
        "compare --data ratings.csv --models item-knn,ease --tune 5 --metrics ndcg,recall -k 5",
    )
    add_data_options(parser)
    parser.add_argument(
        "--models",
        action="append",
        required=True,
        metavar="NAME,...",
        help=f"some of {', '.join(PRESETS)}; or all",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="MODEL.NAME=VALUE",
        help="another value for a setting of one of the models, such as mf.epochs=5; can be repeated",
    )
    parser.add_argument(
        "--baseline", metavar="NAME", help="the model that the others are compared with (default: the best)"
    )
    parser.add_argument(
        "--seeds",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="trainings of each model, with as many seeds from --seed on (default: 1)",
    )
    parser.add_argument(
        "--tune",
        type=whole_number(1),
        metavar="N",
        help="random search: N choices of hyper-parameters per model, the preset first, judged on validation",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="folder for results.md, results.csv, per-user.csv and comparison.svg"
    )
    _add_protocol(parser)
    add_run_options(parser)


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("protocol")
    group.add_argument(
        "--protocol",
        choices=("leave-one-out", "temporal"),
        default="leave-one-out",
        help="hold out each user's last event, or all events from a moment on (default: leave-one-out)",
    )
    for part, before in (("valid", "validation"), ("test", "test")):
        group.add_argument(
            f"--{part}-share",
            type=_share,
            metavar="SHARE",
            help=f"temporal: the share of all events that is {before} (default: 0.1)",
        )
        group.add_argument(
            f"--{part}-from",
            metavar="DATE",
            help=f"temporal: where {before} begins, a date such as 1998-03-01 or a timestamp; then both",
        )
    group.add_argument(
        "--metrics",
        default=",".join(METRICS),
        metavar="NAME,...",
        help=f"some of {', '.join(evaluation.LABELS)} (default: {','.join(METRICS)}); ndcg decides which "
        "model is best, or else the first",
    )
    group.add_argument(
        "-k", type=whole_number(1), default=10, metavar="N", help="cut-off of the metrics (default: 10)"
    )
    group.add_argument(
        "--negatives",
        type=whole_number(1),
        metavar="N",
        help="rank the test items against N sampled others only. Such figures are labelled as sampled: they "
        "are far higher, and can reverse the order of models",
    )
    group.add_argument(
        "--sampling", choices=evaluation.SAMPLING, help="how --negatives are drawn (default: uniform)"
    )
    group.add_argument(
        "--groups", action="store_true", help="also by length of the history and popularity of the test item"
    )


def run_compare(options: argparse.Namespace) -> int:
    """Returns the exit code: 1 where a model that --models names was left out."""
    metrics = _metrics(options.metrics)
    decisive = "ndcg" if "ndcg" in metrics else metrics[0]
    names, everything = _names(options.models)
    models = {name: _settings(name, options) for name in names}
    _check_options(options, list(models))
    dataset = open_data(options.data, options)
    parts = _parts(dataset, options)
    left_out = _without_ratings(models, parts, options, everything)
    folder = None if options.out is None else folder_of(options.out)
    print_terms(dataset)
    print(f"{dataset.interactions.describe()}.")
    print(f"Split: {parts.words}.")
    results: dict[str, Result] = {}
    for name, settings in models.items():
        if name in left_out:
            continue
        try:
            results[name] = _result(name, settings, parts, metrics, decisive, options)
        except (ValueError, FloatingPointError, MemoryError) as error:  # the others are not lost
            left_out[name] = " ".join(str(error).split()) or type(error).__name__
    for name, reason in left_out.items():
        print(f"Left out: {name}: {reason}.")
    if not results:
        raise UsageError("no model is left to compare: give others with --models")
    best = max(results, key=lambda name: results[name].evaluation.mean(decisive))
    command = f"python -m minirec {shlex.join(options.arguments)}"
    compared = Comparison(dataset, parts, results, left_out, decisive, best, options.baseline, command)
    if compared.replaced:
        print(compared.replaced)
    for title, table in comparison.tables(compared).items():
        if options.groups or not title.startswith("By"):
            print(f"\n{table.text()}")
    if folder is not None:
        comparison.write(compared, folder)
        print(f"\nWrote results.md, results.csv, per-user.csv and comparison.svg in {folder}.")
    return 1 if left_out and not everything else 0


# What was asked for.


def _names(given: list[str]) -> tuple[list[str], bool]:
    """The models, and whether all were asked for: then those that the data do not allow are left out."""
    if len(given) > 1:
        raise UsageError("--models is given more than once: put all names in one list, with commas between")
    if given[0].strip() == "all":
        return list(PRESETS), True
    names = _listed(given[0], "--models")
    for name in names:
        if name not in PRESETS:
            raise UsageError(f"--models: there is no model {name!r}: there are {', '.join(PRESETS)}; or all")
    return names, False


def _metrics(text: str) -> list[str]:
    names = _listed(text, "--metrics")
    for name in names:
        if name not in evaluation.LABELS:
            allowed = ", ".join(evaluation.LABELS)
            raise UsageError(f"--metrics: there is no metric {name!r}: there are {allowed}")
    return names


def _listed(text: str, option: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"{option} {text!r} names nothing: give names with commas between them")
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise UsageError(f"{option} names {twice[0]} more than once: once is enough")
    return names


def _settings(name: str, options: argparse.Namespace) -> Settings:
    """The preset of a model for the data, changed by --set."""
    settings = preset(name, options.data)
    known = kind_of(name)().settings()
    for pair in options.set:
        target, equals, text = pair.partition("=")
        model, _, argument = target.partition(".")
        if not (equals and argument):
            raise UsageError(f"--set takes MODEL.NAME=VALUE, such as mf.epochs=5, got {pair!r}")
        if model != name:
            continue
        if argument not in known:
            there_are = f"there are {', '.join(known)}" if known else "it has none"
            raise UsageError(f"--set {pair}: {name} has no setting {argument!r}: {there_are}")
        settings[argument] = setting(kind_of(name), argument, text, f"{name}.")
    try:
        kind_of(name)(**settings)
    except ValueError as error:
        raise UsageError(f"--set {' '.join(options.set)}: {name}: {error}") from error
    return settings


def _check_options(options: argparse.Namespace, names: list[str]) -> None:
    """Options that would be ignored are errors."""
    for pair in options.set:
        if pair.partition(".")[0] not in names:
            raise UsageError(f"--set {pair}: no such model among --models: there are {', '.join(names)}")
    if options.baseline is not None and options.baseline not in names:
        raise UsageError(f"--baseline {options.baseline} is not among --models: there are {', '.join(names)}")
    if options.sampling is not None and options.negatives is None:
        raise UsageError(f"--sampling {options.sampling} says how --negatives are drawn: give their number")
    for part in ("valid", "test"):
        share, date = (getattr(options, f"{part}_{what}") for what in ("share", "from"))
        given = f"--{part}-share" if share is not None else f"--{part}-from" if date is not None else None
        if given and options.protocol != "temporal":
            raise UsageError(f"{given} is for --protocol temporal: leave it out, or ask for that")
        if share is not None and (options.valid_from or options.test_from):
            raise UsageError(f"{given} and dates say the same thing twice: leave one of them out")
    if (options.valid_from is None) != (options.test_from is None):
        raise UsageError("a temporal split by date needs both --valid-from and --test-from")


def _share(text: str) -> float:
    if not re.fullmatch(r"[0-9]{0,20}\.?[0-9]{1,20}(e-?[0-9]{1,3})?", text) or not 0 < float(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number between 0 and 1, such as 0.1, got {text!r}")
    return float(text)


def _moment(text: str, option: str, times: Array) -> float:
    """A timestamp: a number as it stands, or a date (and time) in seconds since 1970.

    Four digits are more often a year: they are a timestamp only where the timestamps of the data reach them.
    """
    if re.fullmatch(r"-?[0-9]{1,19}", text):
        if not re.fullmatch(r"[0-9]{4}", text) or times.min() <= float(text) <= times.max():
            return float(text)
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?", text):
        try:
            return float(np.datetime64(text.replace(" ", "T"), "s").astype(np.int64))
        except ValueError:
            pass
    raise UsageError(
        f"{option} {text!r} is no date such as 1998-03-01 and no timestamp such as {times.min():.0f}"
    )


# The parts of the data.


def _parts(dataset: Dataset, options: argparse.Namespace) -> Parts:
    data = dataset.interactions
    if options.protocol == "leave-one-out":
        order = "events at the same time in the order of the file"
        if data.timestamps is None:
            order = "the order of the rows taken as time, since there are no timestamps"
        words = (
            "leave-one-out: each user's last event is for testing, the one before it for validation, "
            f"{order}; users with fewer than 3 events are training only"
        )
        return Parts(*split(dataset, options.data), words)
    if data.timestamps is None:
        raise UsageError(
            f"--protocol temporal needs timestamps, and {options.data} has none: name their column with "
            "--timestamp-column, or take --protocol leave-one-out"
        )
    if options.test_from is None:
        shares = (0.1 if share is None else share for share in (options.valid_share, options.test_share))
        try:
            valid_from, test_from = temporal_cuts(data, *shares)
        except ValueError as error:
            raise UsageError(f"--valid-share and --test-share: {error}") from error
        if valid_from == test_from:
            raise UsageError(
                f"--valid-share is too small for these data: validation would begin with the test, at "
                f"{_said(test_from)}, since events at the same time stay together: give a larger share"
            )
    else:
        valid_from = _moment(options.valid_from, "--valid-from", data.timestamps)
        test_from = _moment(options.test_from, "--test-from", data.timestamps)
        if valid_from > test_from:
            raise UsageError(
                f"--valid-from {options.valid_from} lies after --test-from {options.test_from}: swap them"
            )
    train, valid, test = global_temporal(data, valid_from, test_from)
    everybody, valid, test = test, known_users(train, valid), known_users(train, test)
    for part, name, event in (
        (train, "training", "event"),
        (valid, "validation", "event of a user with events in training"),
        (test, "test", "event of a user with events in training"),
    ):
        if len(part) == 0:
            first, last = (_said(moment) for moment in (data.timestamps.min(), data.timestamps.max()))
            raise UsageError(
                f"{options.data}: no {event} is left for {name}: training ends at {_said(valid_from)}, test "
                f"begins at {_said(test_from)}, the events are from {first} to {last}: give other "
                "--valid-share and --test-share, or other dates"
            )
    tested, known = (len(np.unique(part.users)) for part in (everybody, test))
    unknown = int(np.count_nonzero(~np.isin(test.items, train.items)))
    words = (
        f"global temporal: training before {_said(valid_from)}, validation before {_said(test_from)}, test "
        f"from then on: {len(train):,}, {len(valid):,} and {len(test):,} events; of {data.n_users:,} users "
        f"{known:,} are evaluated, {data.n_users - tested:,} are not since they have no event in test, and "
        f"{tested - known:,} since they have some there and none in training; {unknown:,} test events are of "
        "items that nobody has in training, and cannot be found but by luck"
    )
    return Parts(train, valid, test, words)


def _said(timestamp: float) -> str:
    """A date with its time where the number can be one (seconds, the years 1973 to 2286), else the number.

    Files have whole numbers, so `_moment` reads the same number back.
    """
    return str(np.datetime64(int(timestamp), "s")) if 1e8 <= timestamp < 1e10 else f"{timestamp:.0f}"


def _without_ratings(
    models: Mapping[str, Settings], parts: Parts, options: argparse.Namespace, everything: bool
) -> dict[str, str]:
    """The models that need ratings which are not there: left out of all, an error where they are named."""
    if parts.train.ratings is not None:
        return {}
    reason = f"it learns from ratings, and {options.data} has none"
    lacking = [name for name, settings in models.items() if needs_ratings(kind_of(name)(**settings))]
    if lacking and not everything:
        raise UsageError(
            f"--models {lacking[0]}: {reason}: name their column with --rating-column, or leave it out"
        )
    if options.baseline in lacking:
        raise UsageError(f"--baseline {options.baseline}: {reason}: name another, or leave --baseline out")
    return dict.fromkeys(lacking, reason)


# Train and measure.


def _result(
    name: str,
    settings: Settings,
    parts: Parts,
    metrics: list[str],
    decisive: str,
    options: argparse.Namespace,
) -> Result:
    search = _search(name, settings, parts, decisive, options) if options.tune is not None else []
    if search:
        settings = tuning.best_trial(search).settings
    # A temporal test part is without the users that training lacks: the words on the split count them apart.
    users = np.unique(parts.test.users) if options.protocol == "temporal" else None
    evaluations, seconds = {}, 0.0
    for seed in range(options.seed, options.seed + options.seeds):
        began = time.perf_counter()
        model = _fitted(name, settings, parts, seed, options)
        took = time.perf_counter() - began
        seconds += took / options.seeds
        result = evaluation.evaluate(
            model,
            parts.train,
            parts.test,
            also_seen=parts.valid,
            k=options.k,
            metrics=metrics,
            users=users,
            negatives=options.negatives,
            sampling=options.sampling or "uniform",
            rng=options.seed,
        )
        reached = f"{result.label(decisive)} {result.mean(decisive):.4f}"
        print(f"{name}, seed {seed}: {reached}, trained in {took:.1f} s", flush=True)
        evaluations[seed] = result
    return Result(settings, evaluation.average(list(evaluations.values())), evaluations, seconds, search)


def _fitted(
    name: str, settings: Settings, parts: Parts, seed: int, options: argparse.Namespace
) -> Recommender:
    model = kind_of(name)(**settings)
    return model.fit(parts.train, valid=parts.valid, rng=seed, progress=not options.quiet)


def _search(
    name: str, settings: Settings, parts: Parts, decisive: str, options: argparse.Namespace
) -> list[tuning.Trial]:
    """Random search by the decisive metric on validation, full ranking; what --set names stays as it is."""

    def measure(choice: Settings) -> float:
        model = _fitted(name, choice, parts, options.seed, options)
        found = evaluation.evaluate(model, parts.train, parts.valid, k=options.k, metrics=(decisive,))
        return found.mean(decisive)

    fixed = [pair.partition("=")[0] for pair in options.set]
    space = {key: values for key, values in search_space(name).items() if f"{name}.{key}" not in fixed}
    if not space:
        print(f"{name}: nothing to tune")
        return []
    trials = tuning.random_search(measure, settings, space, options.tune, options.seed)
    best, label = tuning.best_trial(trials), evaluation.LABELS[decisive].format(k=options.k)
    if not math.isfinite(best.value):
        raise FloatingPointError(f"none of its {len(trials)} trainings stayed finite")
    print(
        f"{name}: {len(trials)} of {options.tune} choices in {sum(t.seconds for t in trials):.1f} s, "
        f"validation {label} {best.value:.4f}, of the preset {trials[0].value:.4f}: "
        f"{comparison.call(name, best.settings)}",
        flush=True,
    )
    return trials
