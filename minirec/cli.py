"""The command line: python -m minirec <demo|train|recommend|evaluate|data>.

Each command is a thin layer over the package. A wrong input ends with one line that says what to do, and
exit code 2; only a fault of minirec itself shows a traceback.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minirec
from minirec import evaluation, plots
from minirec.data import Dataset, leave_one_out
from minirec.data.named import NAMES, open_dataset
from minirec.models import MODELS, Recommender
from minirec.models.presets import PRESETS, preset

METRICS = ("hit_rate", "ndcg", "mrr", "recall")


class UsageError(ValueError):
    """What was asked for on the command line cannot be done."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for a wrong input, 130 after Ctrl-C."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        options.run(options)
    except KeyboardInterrupt:
        print("minirec: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, KeyError, OSError, FloatingPointError) as error:
        print(f"minirec {options.command}: {_message(error)}", file=sys.stderr)
        return 2
    return 0


def _message(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return " ".join(text.split())


def build_parser() -> argparse.ArgumentParser:
    """All commands with their options, help and examples."""
    parser = argparse.ArgumentParser(
        prog="python -m minirec",
        description="A Transformer recommender in pure NumPy that can be read, checked and changed.",
        epilog="Begin with:  python -m minirec demo",
    )
    parser.add_argument("--version", action="version", version=f"minirec {minirec.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_demo(commands)
    _add_train(commands)
    _add_recommend(commands)
    _add_evaluate(commands)
    _add_data(commands)
    return parser


def _command(commands: Any, name: str, run: Any, summary: str, examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog="examples:\n" + "\n".join(f"  python -m minirec {line}" for line in examples.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_data_options(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    names = " or ".join(NAMES)
    parser.add_argument(
        "--data",
        default=default,
        required=default is None,
        metavar="DATA",
        help=f"{names}, or a ratings file (CSV, TSV) or folder"
        + (f" (default: {default})" if default else ""),
    )
    _add_source_options(parser)


def _add_source_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="source", metavar="PATH", help="a folder or zip that holds MovieLens 100K"
    )
    columns = parser.add_argument_group("columns of a ratings file, where their names are not the usual ones")
    for role in ("user", "item", "rating", "timestamp"):
        columns.add_argument(f"--{role}-column", metavar="NAME")
    columns.add_argument("--encoding", default="utf-8", help="of the file (default: utf-8)")
    columns.add_argument(
        "--duplicates",
        choices=("error", "keep", "last"),
        default="error",
        help="what to do when a user meets an item twice (default: error)",
    )


def _open(name: str, options: argparse.Namespace) -> Dataset:
    columns = {role: getattr(options, f"{role}_column") for role in ("user", "item", "rating", "timestamp")}
    if name in NAMES:
        return open_dataset(name, source=options.source, seed=getattr(options, "seed", 0))
    return open_dataset(name, encoding=options.encoding, duplicates=options.duplicates, **columns)


# demo


def _add_demo(commands: Any) -> None:
    parser = _command(
        commands,
        "demo",
        run_demo,
        "the whole path in a minute: train, compare, recommend, explain, and write a report",
        "demo\ndemo --data ml-100k --out minirec-demo-ml",
    )
    _add_data_options(parser, "shop")
    parser.add_argument("--out", default="minirec-demo", metavar="DIR", help="folder (default: minirec-demo)")
    _add_run_options(parser)


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run_demo(options: argparse.Namespace) -> None:
    from minirec import demo

    dataset = None if options.data == "shop" else _open(options.data, options)
    if dataset is not None:
        _print_terms(dataset)
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
    parser = _command(
        commands,
        "train",
        run_train,
        "fit one model, evaluate it on held-out events, and write model, loss curve and metrics",
        "train --data shop --model transformer --out runs/shop\n"
        "train --data ratings.csv --model mf --out runs/mf --set dim=32 --set epochs=20",
    )
    _add_data_options(parser)
    parser.add_argument(
        "--model", required=True, choices=tuple(PRESETS), metavar="NAME", help=f"one of {names}"
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder for model.npz, metrics.json, losses.svg"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value for an argument of the model, such as epochs=5 (can be repeated)",
    )
    _add_run_options(parser)


def run_train(options: argparse.Namespace) -> None:
    model = _make(options)
    dataset = _open(options.data, options)
    _print_terms(dataset)
    print(f"{dataset.interactions.describe()}.")
    train, valid, test = leave_one_out(dataset.interactions)
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    model.fit(train, valid=valid, rng=options.seed, progress=not options.quiet)
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
    log = getattr(model, "log", None)
    if log is not None:
        metrics["training"] = {"ended": log.ended, "losses": log.losses, "validation": log.validation}
        validation = {options.model: log.validation} if log.validation else None
        plots.save(plots.loss_curves({options.model: log.losses}, validation), folder / "losses.svg")
        written.append("losses.svg")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    print(f"Wrote {', '.join(written)} in {folder}.")
    print(f"Next: python -m minirec recommend --model {folder / 'model.npz'} --user {model.user_ids[0]}")


def _make(options: argparse.Namespace) -> Recommender:
    kind = MODELS[options.model.removesuffix("-squared")]
    settings = preset(options.model, options.data)
    for pair in options.set:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--set takes NAME=VALUE, such as epochs=5, got {pair!r}")
        settings[name] = _value(text)
    known = kind().settings()
    for name in settings:
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise UsageError(f"{options.model} has no argument {name!r}: there are {allowed}")
    try:
        return kind(**settings)
    except TypeError as error:
        raise UsageError(f"--set: {error}") from error


def _value(text: str) -> Any:
    """A number where the text is one, else the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


# recommend


def _add_recommend(commands: Any) -> None:
    parser = _command(
        commands,
        "recommend",
        run_recommend,
        "a ranked list for a known user, or for somebody with a history of items",
        "recommend --model runs/shop/model.npz --user u0007\n"
        'recommend --model runs/shop/model.npz --history "p0003,p0120,p0044" -k 5',
    )
    parser.add_argument(
        "--model", required=True, metavar="FILE", help="a file that train or demo has written"
    )
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", metavar="ID", help="a user of the training data")
    who.add_argument("--history", metavar='"ID,ID,..."', help="items, oldest first, of a user never seen")
    parser.add_argument("-k", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--with-seen", action="store_true", help="also items of the history")


def run_recommend(options: argparse.Namespace) -> None:
    model = Recommender.load(options.model)
    if options.user is not None:
        user = _as_id(options.user, model.user_ids)
        items, scores = model.recommend([user], options.k, exclude_seen=not options.with_seen)
        print(f"For user {user}:")
    else:
        texts = next(csv.reader([options.history], skipinitialspace=True), [])
        history = [_as_id(text.strip(), model.item_ids) for text in texts if text.strip()]
        items, scores = model.recommend_histories([history], options.k, exclude_seen=not options.with_seen)
        print(f"After {', '.join(_title(model, item) for item in history) or 'an empty history'}:")
    found = [(item, score) for item, score in zip(items[0], scores[0], strict=True) if item is not None]
    width = max((len(str(item)) for item, _ in found), default=0)
    for rank, (item, score) in enumerate(found, 1):
        name = model.titles.get(item, "")
        print(f"{rank:4d}. {item!s:<{width}}  {score:9.4f}  {name}".rstrip())
    if not found:
        print("  nothing is left to recommend: all items are in the history (see --with-seen)")


def _as_id(text: str, known: list[Any]) -> Any:
    """An id from the command line: text, or a number where the model's ids are numbers."""
    return int(text) if known and isinstance(known[0], int) and text.lstrip("-").isdecimal() else text


def _title(model: Recommender, item: Any) -> str:
    return model.titles.get(item) or str(item)


# evaluate


def _add_evaluate(commands: Any) -> None:
    parser = _command(
        commands,
        "evaluate",
        run_evaluate,
        "measure a saved model on the data that it was trained on: leave-one-out, full ranking",
        "evaluate --model runs/shop/model.npz --data shop",
    )
    parser.add_argument(
        "--model", required=True, metavar="FILE", help="a file that train or demo has written"
    )
    _add_data_options(parser)
    parser.add_argument("-k", type=int, default=10, help="cut-off of the metrics (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the shop (default: 0)")


def run_evaluate(options: argparse.Namespace) -> None:
    model = Recommender.load(options.model)
    dataset = _open(options.data, options)
    train, valid, test = leave_one_out(dataset.interactions)
    if model.user_ids != train.user_ids or model.item_ids != train.item_ids:
        raise UsageError(
            f"{options.model} was trained on other data than {options.data}: users or items differ"
        )
    histories = zip(model.histories, train.histories(), strict=True)
    if not all(np.array_equal(own, given) for own, given in histories):
        raise UsageError(
            f"{options.model} was not trained on the training part of {options.data}, so held-out events may "
            "not be new to it: train it with `train`, which holds them out"
        )
    result = evaluation.evaluate(model, train, test, also_seen=valid, k=options.k, metrics=METRICS)
    print(evaluation.comparison_table({type(model).__name__: result}))


# data


def _add_data(commands: Any) -> None:
    parser = _command(
        commands,
        "data",
        run_data,
        "find a data set, check it, and say what is in it",
        "data\ndata shop\ndata ml-100k --from ~/Downloads/ml-100k.zip\ndata ratings.csv --user-column who",
    )
    parser.add_argument(
        "name", nargs="?", metavar="DATA", help=f"{' or '.join(NAMES)}, or a ratings file or folder"
    )
    _add_source_options(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the shop (default: 0)")


def run_data(options: argparse.Namespace) -> None:
    if options.name is None:
        print("shop      a synthetic shop with known truth, made in a moment; needs nothing")
        print(
            "ml-100k   MovieLens 100K: looked for in the cache, in --from, in an installed recbole, then downloaded"
        )
        print(
            "FILE      any CSV or TSV with columns for user and item, rating and timestamp if there are any"
        )
        return
    dataset = _open(options.name, options)
    print(f"{dataset.name}: {dataset.interactions.describe()}.")
    print(f"digest {dataset.digest}")
    _print_terms(dataset)


def _print_terms(dataset: Dataset) -> None:
    if dataset.terms:
        print(f"Terms of use: {dataset.terms}")


if __name__ == "__main__":
    sys.exit(main())
