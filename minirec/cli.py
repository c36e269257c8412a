"""The command line: python -m minirec <demo|train|recommend|evaluate|compare|data|verify|trace|exercise>.

Each command is a thin layer over the package. A wrong input ends with one line that says what to do, and
exit code 2; only a fault of minirec itself shows a traceback.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minirec
from minirec import cli_compare, cli_exercise, cli_verify, demo, evaluation, plots
from minirec.cli_data import (
    DATA,
    METRICS,
    add_data_options,
    add_run_options,
    add_source_options,
    kind_of,
    needs_ratings,
    open_data,
    print_terms,
    reading,
    split,
)
from minirec.data.named import NAMES
from minirec.models import Recommender
from minirec.models.base import UnknownIdError
from minirec.models.presets import PRESETS, preset
from minirec.storage import ModelFileError
from minirec.usage import (
    Parser,
    UsageError,
    add_command,
    add_seed,
    folder_of,
    id_like,
    ids,
    message,
    setting,
    whole_number,
)

WRITTEN = "a model.npz that train or demo has written"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 where a formula does not hold or `compare` leaves out a
    model that was named, 2 for a wrong input, 130 after Ctrl-C.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a title that the terminal has no letters for
    try:
        code = _run(arguments)
        sys.stdout.flush()  # here, where a closed pipe can still be caught
    except KeyboardInterrupt:
        print("minirec: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _run(arguments: Sequence[str] | None) -> int:
    parser = build_parser()
    try:
        options, unknown = parser.parse_known_args(arguments)
        if unknown:  # the parser of the command, whose help has the right ones
            getattr(options, "parser", parser).error(f"unrecognized arguments: {' '.join(unknown)}")
        options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    except SystemExit as end:  # after --help, --version or an error of argparse
        return int(end.code or 0)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        with warnings.catch_warnings():
            # NumPy warns of an overflow; what it leads to is an error that names the step and the parameter.
            warnings.simplefilter("ignore", RuntimeWarning)
            code: int | None = options.run(options)
    except BrokenPipeError:
        raise
    except (ValueError, KeyError, OSError, FloatingPointError, MemoryError) as error:
        print(f"minirec {options.command}: {message(error)}", file=sys.stderr)
        return 2
    return code or 0


def build_parser() -> argparse.ArgumentParser:
    """All commands with their options, help and examples."""
    parser = Parser(
        prog="python -m minirec",
        description="A Transformer recommender in pure NumPy that can be read, checked and changed.",
        epilog="Begin with: python -m minirec demo. Examples of a command: python -m minirec train --help",
    )
    parser.add_argument("--version", action="version", version=f"minirec {minirec.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_demo(commands)
    _add_train(commands)
    _add_recommend(commands)
    _add_evaluate(commands)
    cli_compare.add(commands)
    _add_data(commands)
    cli_verify.add(commands)
    cli_exercise.add(commands)
    return parser


def _load(name: str) -> Recommender:
    """The model in the file of --model."""
    if Path(name).is_dir():
        raise UsageError(
            f"--model {name} is a folder: name the file in it, such as {Path(name, 'model.npz')}"
        )
    try:
        model: Recommender = Recommender.load(name)
    except FileNotFoundError as error:
        raise UsageError(f"--model {name}: there is no such file: give {WRITTEN}") from error
    except ModelFileError as error:
        raise UsageError(f"--model {error}; give {WRITTEN}, with this version of minirec") from error
    except OSError as error:
        raise UsageError(f"--model {name} cannot be read ({error.strerror}): give {WRITTEN}") from error
    return model


# demo


def _add_demo(commands: Any) -> None:
    parser = add_command(
        commands,
        "demo",
        run_demo,
        "the whole path in a minute: train, compare, recommend, explain, and write a report",
        "demo\ndemo --data ml-100k --out minirec-demo-ml",
    )
    add_data_options(parser, "shop")
    parser.add_argument("--out", default="minirec-demo", metavar="DIR", help="folder (default: minirec-demo)")
    add_run_options(parser)


def run_demo(options: argparse.Namespace) -> None:
    dataset = None
    if options.data == "shop":
        reading("shop", options)  # only the check: the demo makes the shop itself, with its truth
    else:
        dataset = open_data(options.data, options)
        split(dataset, options.data)
        print_terms(dataset)
    folder_of(options.out)
    demo.run(
        options.data if options.data in NAMES else "",
        options.out,
        dataset=dataset,
        seed=options.seed,
        progress=not options.quiet,
    )


# train


def _add_train(commands: Any) -> None:
    names = ", ".join(PRESETS)
    parser = add_command(
        commands,
        "train",
        run_train,
        "fit one model, evaluate it on held-out events, and write model, loss curve and metrics",
        "train --data shop --model transformer --out runs/shop\n"
        "train --data ratings.csv --model popularity --out runs/popular\n"
        "train --data ratings.csv --model mf --out runs/mf --set dim=32 --set epochs=20\n"
        "train --data shop --model mf --out runs/mf --checkpoint mf.checkpoint.npz",
    )
    add_data_options(parser)
    parser.add_argument(
        "--model", required=True, choices=tuple(PRESETS), metavar="NAME", help=f"one of {names}"
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder for model.npz, metrics.json and losses.svg"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value for a setting of the model, such as epochs=5; can be repeated; a wrong name "
        "lists the settings there are",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="written after each epoch; if it is there already, training goes on from it, to the same bits "
        "as if it had never ended",
    )
    add_run_options(parser)


def run_train(options: argparse.Namespace) -> None:
    model = _make(options)
    dataset = open_data(options.data, options)
    train, valid, test = split(dataset, options.data)
    if needs_ratings(model) and train.ratings is None:
        raise UsageError(
            f"squared loss needs ratings, and {options.data} has none: name their column with "
            "--rating-column, or train another model, such as --model mf"
        )
    folder = folder_of(options.out)
    taken = [(folder / name).resolve() for name in ("model.npz", "metrics.json", "losses.svg")]
    if options.checkpoint and Path(options.checkpoint).resolve() in taken:
        raise UsageError(
            f"--checkpoint {options.checkpoint} is a file of the results: give another file name"
        )
    print_terms(dataset)
    print(f"{dataset.interactions.describe()}.")
    try:
        model.fit(
            train,
            valid=valid,
            rng=options.seed,
            progress=not options.quiet,
            checkpoint=options.checkpoint,
        )
    except FloatingPointError as error:
        rate = model.settings()["lr"]
        hint = f"Try a smaller learning rate than {rate:g}, such as --set lr={rate / 10:g}"
        raise UsageError(f"{str(error).partition('. ')[0]}. {hint}") from error
    log = getattr(model, "log", None)
    if log is not None:
        print(f"Training ended: {log.ended}.")
    result = evaluation.evaluate(model, train, test, also_seen=valid, metrics=METRICS)
    print(evaluation.comparison_table({options.model: result}))
    model.save(folder / "model.npz")
    written = ["model.npz", "metrics.json"]
    metrics = {
        "minirec": minirec.__version__,
        "model": options.model,
        "settings": model.settings(),
        "data": {"name": dataset.name, "digest": dataset.digest},
        "protocol": result.protocol,
        "seed": options.seed,
        "metrics": {result.label(m): [result.mean(m), *result.interval(m)] for m in METRICS},
    }
    if log is not None:
        metrics["training"] = {"ended": log.ended, "losses": log.losses, "validation": log.validation}
        validation = {options.model: log.validation} if log.validation else None
        plots.save(plots.loss_curves({options.model: log.losses}, validation), folder / "losses.svg")
        written.append("losses.svg")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    print(f"Wrote {', '.join(written)} in {folder}.")
    print(f"Next: {demo.next_command(folder / 'model.npz', model.user_ids[0])}")


def _make(options: argparse.Namespace) -> Recommender:
    """The model of --model with its preset for the data, changed by --set."""
    kind = kind_of(options.model)
    settings = preset(options.model, options.data)
    known = kind().settings()
    for pair in options.set:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--set takes NAME=VALUE, such as epochs=5, got {pair!r}")
        if name not in known:
            allowed = ", ".join(known)
            there_are = f"there are {allowed}" if allowed else "it has none, leave --set out"
            raise UsageError(f"--set {pair}: {options.model} has no setting {name!r}: {there_are}")
        settings[name] = setting(kind, name, text)
    try:
        return kind(**settings)
    except ValueError as error:
        raise UsageError(f"--set {' '.join(options.set)}: {error}") from error


# recommend


def _add_recommend(commands: Any) -> None:
    parser = add_command(
        commands,
        "recommend",
        run_recommend,
        "a ranked list for a user of the training data, or for somebody new with a history of items",
        "recommend --model runs/shop/model.npz --user u0007\n"
        'recommend --model runs/shop/model.npz --history "p0003,p0120,p0044" -k 5',
    )
    parser.add_argument("--model", required=True, metavar="FILE", help=WRITTEN)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", metavar="ID", help="a user of the training data")
    who.add_argument("--history", metavar='"ID,ID,..."', help="items of somebody new, oldest first")
    parser.add_argument(
        "-k", type=whole_number(1), default=10, metavar="N", help="how many items to list (default: 10)"
    )
    parser.add_argument("--with-seen", action="store_true", help="list items of the history as well")


def run_recommend(options: argparse.Namespace) -> None:
    model = _load(options.model)
    try:
        if options.user is not None:
            user = id_like(options.user, model.user_ids)
            items, scores = model.recommend([user], options.k, exclude_seen=not options.with_seen)
            print(f"For user {user}:")
        else:
            history = [id_like(text, model.item_ids) for text in ids(options.history, "--history")]
            items, scores = model.recommend_histories(
                [history], options.k, exclude_seen=not options.with_seen
            )
            print(f"After {', '.join(_title(model, item) for item in history) or 'an empty history'}:")
    except UnknownIdError as error:
        hint = "for somebody new give --history" if options.user is not None else "leave it out of --history"
        raise UsageError(f"{error}; {hint}") from error
    found = [(item, score) for item, score in zip(items[0], scores[0], strict=True) if item is not None]
    width = max((len(str(item)) for item, _ in found), default=0)
    for rank, (item, score) in enumerate(found, 1):
        name = model.titles.get(item, "")
        print(f"{rank:4d}. {item!s:<{width}}  {score:9.4f}  {name}".rstrip())
    if not found:
        print("  nothing is left: all items are in the history (--with-seen lists them as well)")


def _title(model: Recommender, item: Any) -> str:
    return model.titles.get(item) or str(item)


# evaluate


def _add_evaluate(commands: Any) -> None:
    parser = add_command(
        commands,
        "evaluate",
        run_evaluate,
        "measure a saved model on the data that it was trained on: leave-one-out, full ranking",
        "evaluate --model runs/shop/model.npz --data shop",
    )
    parser.add_argument("--model", required=True, metavar="FILE", help=WRITTEN)
    add_data_options(parser)
    parser.add_argument(
        "-k", type=whole_number(1), default=10, metavar="N", help="cut-off of the metrics (default: 10)"
    )
    add_seed(parser, "seed of the shop")


def run_evaluate(options: argparse.Namespace) -> None:
    model = _load(options.model)
    dataset = open_data(options.data, options)
    train, valid, test = split(dataset, options.data)
    if model.user_ids != train.user_ids or model.item_ids != train.item_ids:
        raise UsageError(
            f"{options.model} was trained on other data than {options.data}, users or items differ "
            f"({model.n_users} and {train.n_users} users, {model.n_items} and {train.n_items} items): "
            "name the data that it was trained on with --data"
        )
    histories = zip(model.histories, train.histories(), strict=True)
    if not all(np.array_equal(own, given) for own, given in histories):
        raise UsageError(
            f"{options.model} was not trained on the training part of {options.data}, so held-out events may "
            "not be new to it: name the data of its training with --data (for shop also its --seed)"
        )
    result = evaluation.evaluate(model, train, test, also_seen=valid, k=options.k, metrics=METRICS)
    print(evaluation.comparison_table({type(model).__name__: result}))


# data


def _add_data(commands: Any) -> None:
    parser = add_command(
        commands,
        "data",
        run_data,
        "find a data set, check it, and say what is in it",
        "data\ndata shop\ndata ml-100k --from ~/Downloads/ml-100k.zip\n"
        "data visits.csv --user-column who --item-column page",
    )
    parser.add_argument("name", nargs="?", metavar="DATA", help=f"{DATA}; without it, say what there is")
    add_source_options(parser)
    add_seed(parser, "seed of the shop")


def run_data(options: argparse.Namespace) -> None:
    if options.name is None:
        print("shop      a synthetic shop with known truth, made in a moment; needs nothing")
        print("ml-100k   MovieLens 100K: in the cache, --from, an installed recbole package, or downloaded")
        print(
            "FILE      any CSV or TSV with columns for user and item, rating and timestamp if there are any"
        )
        return
    dataset = open_data(options.name, options)
    print(f"{dataset.name}: {dataset.interactions.describe()}.")
    print(f"digest {dataset.digest}")
    print_terms(dataset)


if __name__ == "__main__":
    sys.exit(main())
