"""Make the figures that take long, and store them in tests/results/*.json. Not part of the test run.

    python tests/make_results.py ratings    MovieLens 100K, factorization and SVD++, 5-fold: RMSE, MAE, times
    python tests/make_results.py shop       the synthetic shop, three seeds, with paired differences
    python tests/make_results.py demo       what the demo prints, and the figures of the README
    python tests/make_results.py verify     the figure of the README that shows a gradient check
    python tests/make_results.py readme     put the tables into the README and the pages
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
from minirec.models import MODELS
from minirec.models.presets import preset
from minirec.verify.formula import check_place
from minirec.verify.formulas import SHEET

RESULTS = readme_tables.RESULTS
FIGURES = Path(__file__).parent.parent / "tutorials" / "pages" / "figures"
METRICS = ("hit_rate", "ndcg", "mrr")
SEEDS = (0, 1, 2)


def ratings() -> None:
    """Surprise's protocol for SVD and SVD++: 5-fold cross-validation, RMSE and MAE, means over the folds."""
    data = load_ml100k()
    folds = k_fold(data.interactions, 5, 0)
    variants: dict[str, tuple[str, dict[str, Any]]] = {
        "per-rating float64": ("mf-squared", {"method": "per-rating", "dtype": "float64"}),
        "mini-batch float64": ("mf-squared", {"dtype": "float64"}),
        "mini-batch float32": ("mf-squared", {"dtype": "float32"}),
        "SVD++, per rating, float64": ("svdpp", {}),
    }
    rows = {}
    for name, (model_name, settings) in variants.items():
        errors, seconds = [], []
        for train, test in folds:
            model = MODELS[model_name.removesuffix("-squared")](**preset(model_name), **settings)
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


def head(command: str, data: Any) -> dict[str, Any]:
    """What stands first in a file of results: the command, the versions and the digest of the data."""
    found: dict[str, Any] = {
        "command": command,
        "minirec": minirec.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    if data is not None:
        found["data"] = {"name": data.name, "digest": data.digest}
    return found


def store(name: str, command: str, data: Any, content: dict[str, Any]) -> None:
    """Write one file of results."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    everything = head(f"python tests/make_results.py {command}", data) | content
    path.write_text(json.dumps(everything, indent=2) + "\n", encoding="utf-8")
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
