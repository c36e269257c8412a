"""Checkpoints: what the rest of a training depends on, as it is at the end of an epoch, in one file.

`training.train` writes one after each epoch, and goes on from one that it finds. The facts in it say which
training it belongs to; it is never continued as another one.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minirec.data.interactions import Interactions
from minirec.functional import Array
from minirec.storage import ModelFileError, load_arrays, plain, save_arrays

KIND = "training checkpoint"
SHOWN = 5  # differences that a message lists


class Checkpoint(NamedTuple):
    """At the end of the epoch len(log["losses"])."""

    facts: dict[str, Any]  # what must be equal for going on to make sense
    params: dict[str, Array]  # the live ones, not the best
    optimizer: dict[str, Any]  # its state()
    best: dict[str, Array]  # the parameters of the best epoch; empty without validation
    log: dict[str, Any]


def identity(
    model: str, settings: Mapping[str, Any], train: Interactions, valid: Interactions | None
) -> dict[str, Any]:
    """What a fitted model must share with a checkpoint: kind, settings and data.

    Epochs and patience may change: they say when to end, not what an epoch does.
    """
    kept = {name: value for name, value in settings.items() if name not in ("epochs", "patience")}
    digest = valid.digest() if valid else None
    return {"model": model, "settings": kept, "train": train.digest(), "valid": digest}


def facts_of(
    identity: Mapping[str, Any] | None, params: Mapping[str, Array], **training: Any
) -> dict[str, Any]:
    """Everything that must be equal, in the form that it has after JSON (a tuple is a list there)."""
    facts = {"identity": identity or {}, "training": training, "parameters": _shapes(params)}
    result: dict[str, Any] = json.loads(json.dumps(facts, default=plain))
    return result


def find_checkpoint(
    path: str | os.PathLike[str], facts: Mapping[str, Any], epochs: int, patience: int
) -> Checkpoint | None:
    """The checkpoint to go on from, None where there is no file yet.

    ValueError for one of other facts, or of an epoch that a training of so many epochs and so much patience
    does not come to; OSError for a file that could not be written after the first epoch.
    """
    _require_place(path)
    if not os.path.exists(path):
        return None
    found = read_checkpoint(path)
    _require_same(path, found.facts, facts)
    done, least = len(found.log["losses"]), _least_patience(found.log["validation"])
    for word, given, needed in (("epochs", epochs, done), ("patience", patience, least)):
        if given < needed:
            raise ValueError(
                f"checkpoint {path} holds epoch {done}, and with {word} = {given} training ends before it: "
                f"set {word} to at least {needed}, give another file name, or delete the file to begin anew"
            )
    return found


def _require_place(path: str | os.PathLike[str]) -> None:
    if os.path.isdir(path):
        raise IsADirectoryError(f"checkpoint {path} is a folder: give the name of a file, such as run.npz")
    folder = Path(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"checkpoint {path}: there is no folder {folder}: make it first")


def write_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Replace the file by this checkpoint; a process that is killed meanwhile leaves the old one, whole."""
    facts, params, optimizer, best, log = checkpoint
    groups = {f"optimizer/{key}": part for key, part in optimizer.items() if isinstance(part, Mapping)}
    numbers = {key: part for key, part in optimizer.items() if not isinstance(part, Mapping)}
    arrays = {
        f"{group}/{name}": array
        for group, part in {"params": params, "best": best, **groups}.items()
        for name, array in part.items()
    }
    meta = {"kind": KIND, "facts": facts, "log": log, "optimizer": numbers, "groups": list(groups)}
    save_arrays(path, meta, arrays)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """What `write_checkpoint` wrote. ModelFileError for a file that is damaged, or something else."""
    meta, arrays = load_arrays(path)
    if meta.get("kind") != KIND:
        raise ModelFileError(
            f"{path} is no checkpoint of a training: give another file name; where there is no file yet, "
            "one is written"
        )

    def group(name: str) -> dict[str, Array]:
        start = f"{name}/"
        return {key[len(start) :]: array for key, array in arrays.items() if key.startswith(start)}

    try:
        parts = {name.removeprefix("optimizer/"): group(name) for name in meta["groups"]}
        log = {name: value for name, value in meta["log"].items() if name != "ended"}  # it goes on now
        log["validation"] = [(epoch, value) for epoch, value in log["validation"]]
        optimizer = meta["optimizer"] | parts
        found = Checkpoint(meta["facts"], group("params"), optimizer, group("best"), log)
        fits = found.facts["parameters"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{path}: this checkpoint lacks a part: {error}") from error
    if _shapes(found.params) != fits or (found.best and _shapes(found.best) != fits):
        raise ModelFileError(f"{path}: the arrays of this checkpoint are not those that it states")
    return found


def seed_of(path: str | os.PathLike[str]) -> int:
    """The seed of the training in a checkpoint."""
    return int(read_checkpoint(path).facts["training"]["seed"])


def _require_same(path: str | os.PathLike[str], there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """ValueError that names what differs between the training in the file and the one asked for."""
    old, new = dict(_flat(there)), dict(_flat(here))
    names = [name for name in {**new, **old} if name not in old or name not in new or old[name] != new[name]]
    if not names:
        return

    def said(facts: dict[str, Any], name: str) -> str:
        return repr(facts[name]) if name in facts else "nothing"

    def differs(name: str) -> str:
        if name == "training.seed":  # drawn from the seed that was given, which nobody could tell from it
            return "it began with another seed"
        return f"{name} is {said(old, name)} there and {said(new, name)} here"

    lines = [differs(name) for name in names[:SHOWN]]
    if len(names) > SHOWN:
        lines.append(f"{len(names) - SHOWN} more differ")
    raise ValueError(
        f"checkpoint {path} belongs to another training: {'; '.join(lines)}. Make them equal, give another "
        "file name, or delete the file to begin anew"
    )


def _least_patience(validation: Sequence[tuple[int, float]]) -> int:
    """The least patience under which a training comes to the last of these epochs."""
    best, best_epoch, least = -math.inf, 0, 1
    for epoch, value in validation[:-1]:
        if value > best:
            best, best_epoch = value, epoch
        least = max(least, epoch - best_epoch + 1)
    return least


def _flat(facts: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _shapes(params: Mapping[str, Array]) -> dict[str, str]:
    return {name: f"{array.dtype} {array.shape}" for name, array in params.items()}
