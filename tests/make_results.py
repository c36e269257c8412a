"""Make the figures that take long, and store them in tests/results/*.json. Not part of the test run.

    python tests/make_results.py ratings    biased factorization on MovieLens 100K, 5-fold: RMSE, MAE, times
    python tests/make_results.py ranking    MovieLens 100K, leave-one-out, each model of the demo
    python tests/make_results.py sasrec     MovieLens 100K, SASRec with each loss and residual, three seeds
    python tests/make_results.py shop       the synthetic shop, three seeds, with paired differences
    python tests/make_results.py demo       what the demo prints, and the figures of the README
    python tests/make_results.py verify     the figure of the README that shows a gradient check
    python tests/make_results.py readme     put the tables into the README
    python tests/make_results.py all

README and pages print figures from these files, and tests/test_readme.py compares them. The first three need
MovieLens 100K (`python -m minirec data ml-100k`).
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import readme_tables

import minirec
from minirec import evaluation, plots
from minirec.data import concatenate, k_fold, leave_one_out, load_ml100k, synthetic
from minirec.data.named import shop_dataset
from minirec.models import MODELS, MatrixFactorization
from minirec.models.presets import preset
from minirec.verify.formula import check_place
from minirec.verify.formulas import SHEET

RESULTS = readme_tables.RESULTS
FIGURES = Path(__file__).parent.parent / "tutorials" / "pages" / "figures"
METRICS = ("hit_rate", "ndcg", "mrr")
SEEDS = (0, 1, 2)
SASRECS = (("softmax", "original", SEEDS), ("softmax", "plain", (0,)), ("bce", "original", SEEDS))


def ratings() -> None:
    """Surprise's protocol for SVD: 5-fold cross-validation, RMSE and MAE as means over the folds."""
    data = load_ml100k()
    folds = k_fold(data.interactions, 5, 0)
    variants = {
        "per-rating float64": {"method": "per-rating", "dtype": "float64"},
        "mini-batch float64": {"dtype": "float64"},
        "mini-batch float32": {"dtype": "float32"},
    }
    rows = {}
    for name, settings in variants.items():
        errors, seconds = [], []
        for train, test in folds:
            model = MatrixFactorization(**preset("mf-squared"), **settings)
            began = time.perf_counter()
            model.fit(train, rng=0, progress=False)
            seconds.append((time.perf_counter() - began) / model.epochs)
            result = evaluation.evaluate_ratings(model, test)
            errors.append((result.rmse, result.mae))
        rmse, mae = np.mean(errors, axis=0)
        rows[name] = {
            "rmse": float(rmse),
            "mae": float(mae),
            "folds": errors,
            "seconds_per_epoch": float(np.median(seconds)),
        }
        print(f"{name}: RMSE {rmse:.4f}  MAE {mae:.4f}  {np.median(seconds):.3f} s per epoch")
    store(
        "ml100k-ratings",
        "ratings",
        data,
        {"protocol": "5-fold cross-validation, mean of the folds", "models": rows},
    )


def ranking() -> None:
    """Leave-one-out on MovieLens 100K, one file per model."""
    data = load_ml100k()
    train, valid, test = leave_one_out(data.interactions)
    for name in ("popularity", "mf-squared", "mf", "transformer"):
        settings = preset(name, "ml-100k")
        model = MODELS[name.removesuffix("-squared")](**settings)
        began = time.perf_counter()
        model.fit(train, valid=valid, rng=0)
        seconds = time.perf_counter() - began
        result = evaluation.evaluate(model, train, test, also_seen=valid, metrics=METRICS)
        print(evaluation.comparison_table({name: result}))
        log = getattr(model, "log", None)
        row = {
            "model": name,
            "settings": model.settings(),
            "protocol": result.protocol,
            "metrics": {result.label(m): [result.mean(m), *result.interval(m)] for m in METRICS},
            "seconds_of_training": seconds,
        }
        if log is not None:
            row["training"] = {"losses": log.losses, "validation": log.validation, "ended": log.ended}
        store(f"ml100k-{name}", "ranking", data, row)


def sasrec() -> None:
    """SASRec on MovieLens 100K, one file per loss and residual; each seed is a training of its own."""
    data = load_ml100k()
    train, valid, test = leave_one_out(data.interactions)
    for loss, residual, seeds in SASRECS:
        runs = {}
        for seed in seeds:
            model = MODELS["sasrec"](**preset("sasrec", "ml-100k") | {"loss": loss, "residual": residual})
            model.fit(train, valid=valid, rng=seed)
            result = evaluation.evaluate(model, train, test, also_seen=valid, metrics=METRICS)
            print(evaluation.comparison_table({f"SASRec {loss} {residual}, seed {seed}": result}), flush=True)
            runs[str(seed)] = {
                "metrics": {result.label(m): [result.mean(m), *result.interval(m)] for m in METRICS},
                "seconds_of_training": model.log.seconds,
                "steps": model.log.steps,
                "best_epoch": model.log.best_epoch,
                "validation": model.log.validation,
                "ended": model.log.ended,
            }
            row = {"settings": model.settings(), "protocol": result.protocol, "seeds": runs}
            store(f"ml100k-sasrec-{loss}-{residual}", "sasrec", data, row)


def shop() -> None:
    """Three shops: what each model reaches, of the best possible, and whether the order of models is sure."""
    seeds = {}
    for seed in SEEDS:
        world = synthetic(seed=seed)
        data = shop_dataset(world)
        train, valid, test = leave_one_out(data.interactions)
        results = {}
        for name in ("popularity", "mf-squared", "mf", "transformer"):
            model = MODELS[name.removesuffix("-squared")](**preset(name, "shop"))
            model.fit(train, valid=valid, rng=seed, progress=False)
            results[name] = evaluation.evaluate(model, train, test, also_seen=valid, metrics=METRICS)
        histories = concatenate(train, valid).histories()
        best = world.best_possible(test, histories)
        blind = world.best_possible(test, histories, know_taste=False)
        pairs = (("transformer", "mf"), ("mf", "popularity"))
        seeds[str(seed)] = {
            "digest": data.digest,
            "best_possible": best.ndcg,
            "best_possible_from_history": blind.ndcg,
            "ndcg": {name: [r.mean("ndcg"), *r.interval("ndcg")] for name, r in results.items()},
            "hit_rate": {name: [r.mean("hit_rate"), *r.interval("hit_rate")] for name, r in results.items()},
            "paired_ndcg": {
                f"{a} - {b}": evaluation.paired_difference(results[a], results[b], "ndcg") for a, b in pairs
            },
        }
        print(f"seed {seed}: best possible {best.ndcg:.4f}, from the history alone {blind.ndcg:.4f}")
        print(evaluation.comparison_table(results))
        for pair, difference in seeds[str(seed)]["paired_ndcg"].items():
            print("{}: {:.4f} [{:.4f}, {:.4f}]".format(pair, *difference))
    store("shop", "shop", None, {"protocol": results["mf"].protocol, "seeds": seeds})


def demo() -> None:
    """Run the demo as a user would; keep what it prints, and the figures that the README shows."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "minirec", "demo", "--quiet"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        RESULTS.mkdir(exist_ok=True)
        FIGURES.mkdir(parents=True, exist_ok=True)
        (RESULTS / "demo.txt").write_text(ran.stdout, encoding="utf-8")
        for name in ("attention", "comparison"):
            shutil.copyfile(Path(folder, "minirec-demo", f"{name}.svg"), FIGURES / f"demo-{name}.svg")
    print(ran.stdout)


def store(name: str, command: str, data: Any, content: dict[str, Any]) -> None:
    """Write one file: the command, the versions and the digest of the data stand beside the figures."""
    head: dict[str, Any] = {
        "command": f"python tests/make_results.py {command}",
        "minirec": minirec.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    if data is not None:
        head["data"] = {"name": data.name, "digest": data.digest}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(head | content, indent=2) + "\n", encoding="utf-8")
    print(f"wrote tests/results/{path.name}")


def verify() -> None:
    """The V-curve and Taylor's remainder of attention, as `minirec verify --report` draws them."""
    formula = SHEET["attention"]
    report = check_place(formula, "three axes", formula.at(formula.draw("three axes")))
    plots.save(report.plot(), FIGURES / "verify-attention.svg")
    print("wrote tutorials/pages/figures/verify-attention.svg")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = {
        "ratings": ratings,
        "ranking": ranking,
        "sasrec": sasrec,
        "shop": shop,
        "demo": demo,
        "verify": verify,
        "readme": readme_tables.write,
    }
    parser.add_argument("which", choices=[*commands, "all"])
    which = parser.parse_args().which
    for name, command in commands.items():
        if which in (name, "all"):
            command()
    return 0


if __name__ == "__main__":
    sys.exit(main())
