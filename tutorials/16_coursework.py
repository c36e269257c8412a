# %% [markdown]
# # Write the functions yourself, and find out what is wrong with them
#
# - **You will do:** take one exercise from its stub to a training run, with three mistakes on the way.
# - **You will learn:** how to work with the exercises, how to read what a check says, and what a check that
#   passes proves and what it does not.
# - **You need:** [how a gradient is checked](00_gradients.md) and [softmax](03_softmax.md).
#
# Every formula of minirec is a function with its backward function beside it. An exercise takes both away and
# leaves the docstring. "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?,
# 禅与计算机程序设计艺术) shows formulas in its section 4.2 and no derivative of any; here you write them.
#
# The commands below are typed in a terminal as `python -m minirec exercise ...`. On this page they are called
# from Python, so that what stands here is what they print.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np

from minirec import plots
from minirec.cli import main
from minirec.exercises import source, training
from minirec.exercises.catalogue import EXERCISES
from minirec.exercises.examine import substituted

folder = tempfile.TemporaryDirectory()
home = os.getcwd()
os.chdir(folder.name)
_ = main(["exercise", "list"])

# %% [markdown]
# ## Start
#
# Each line says what is done, how many points there are, and what should come first. `start` writes the stub
# into the folder `exercises/`, where your files live. It never writes over a file of yours.

# %%
_ = main(["exercise", "start", "softmax"])
file = Path("exercises/softmax.py")
print()
print(file.read_text(encoding="utf-8"))

# %% [markdown]
# The docstring is the task: the formula, and the shape of everything that comes in and goes out. The pair
# `(p, cache)` is explained in [lesson 3](03_softmax.md): the cache is what your backward function will want
# to know. You may keep something else in it.
#
# ## A first try, and what the check says
#
# Suppose we have written the forward function well. For the backward function we remember that the
# derivative of $p$ is $p (1 - p)$, and write that.

# %%
stub = file.read_text(encoding="utf-8")
FORWARD = """
    x = np.array(x, dtype=np.result_type(x, 1.0))
    if mask is not None:
        x[~np.broadcast_to(mask, x.shape)] = -np.inf
    top = x.real.max(axis=-1, keepdims=True)
    e = np.exp(x - np.where(np.isinf(top), 0, top))
    total = e.sum(axis=-1, keepdims=True)
    p = e / np.where(total == 0, 1, total)
    return p, SoftmaxCache(p)
"""


def write(backward: str) -> None:
    """The stub with these two bodies."""
    first, second, _ = stub.split("    raise NotImplementedError\n")
    file.write_text(
        first + FORWARD.lstrip("\n") + second + f"    p = cache.p\n    {backward}\n", encoding="utf-8"
    )


write("return p * (1 - p) * dp")
_ = main(["exercise", "check", "softmax"])

# %% [markdown]
# Read it from the top. The forward function is right, at seven places: seven lists of arguments, among them
# several axes, masks, a row that is masked whole, and scores near 1000. The backward function is not. The
# second line names one derivative, what yours gives and what a difference quotient gives. Then comes
# the cause. It is not a guess here: somebody made the same mistake before, it is in the catalogue, and it
# gives exactly your numbers at every place.
#
# ## A mistake that nobody has written down
#
# The catalogue holds what people often do. For everything else there are detectors that know nothing of
# softmax: a factor, a transposition, a missing sum. Suppose we derive it again and lose a factor 2:

# %%
write("return 0.5 * p * (dp - (p * dp).sum(axis=-1, keepdims=True))")
_ = main(["exercise", "check", "softmax"])

# %% [markdown]
# And when two things are wrong at once, no single cause explains all the numbers. Then the check says so,
# instead of naming one of them:

# %%
write("return 2 * p * (dp - (p * dp).mean(axis=-1, keepdims=True))")
_ = main(["exercise", "check", "softmax"])

# %% [markdown]
# What to do then: take the smallest case that fails, print it beside what you expect, and mend one thing at a
# time. Or ask for a hint. There are four to an exercise: the idea, the shapes, the formula, and one line of
# code. Each call shows one more.

# %%
_ = main(["exercise", "hint", "softmax"])
_ = main(["exercise", "hint", "softmax"])

# %% [markdown]
# ## Right, and then it trains
#

# %%
write("return p * (dp - (p * dp).sum(axis=-1, keepdims=True))")
_ = main(["exercise", "check", "softmax", "--seed", "7"])
print()
_ = main(["exercise", "run", "softmax"])

# %% [markdown]
# `run` trains a small recommender twice, once with minirec's function and once with yours in its place. The
# seed is the same, so the curves are the same but for rounding. That your function was called is counted.
#
# What would the mistake from above have done? Nothing crashes, and the loss even falls:

# %% The loss with the right gradient of softmax, and with its diagonal alone: by eye there is no difference
exercise = EXERCISES["softmax"]
title, xlabel, ylabel, curve = training.experiment(exercise, 0)
right = curve()
diagonal = next(m for m in exercise.mistakes if m.cause.startswith("Only the diagonal"))
with substituted(exercise, source.variant(exercise, diagonal)):
    wrong = curve()
plots.loss_curves({"right": np.array(right), "diagonal alone": np.array(wrong)}, xlabel=xlabel, ylabel=ylabel)

# %%
print(f"loss after {right[-1][0]} epochs: {right[-1][1]:.3f}, with the diagonal alone {wrong[-1][1]:.3f}")
assert 1e-4 < abs(wrong[-1][1] - right[-1][1])

# %% [markdown]
# That is why a gradient is checked by derivatives and not by looking at a loss: a wrong one can train quite
# well.
#
# ## What can come out of a check
#
# | it says | what happened |
# | --- | --- |
# | right | every comparison holds at every place |
# | wrong | at least one does not; the first is shown |
# | not started | the body is still `raise NotImplementedError` |
# | raises | your function ended with an exception; file, line and message are shown |
# | missing | there is no function of this name, or it was not written in this file |
# | empty, cannot be read | the file has nothing in it, is not Python, or raises when it is imported |
# | uses the solution | it calls or opens minirec's own function |
# | too slow, too much memory, ends the interpreter | it passed a limit, or called something like `sys.exit` |
# | waits for others | only in the edition without solutions: it is checked with functions that you write later |

# %% [markdown]
# ## What a check proves
#
# - A value that passes equals a definition in loops, at a handful of places, to about the last digits of a
#   number. A backward function that passes equals the derivative of *your* forward function there. The
#   places are drawn from a seed: `--seed 7` draws others. A function that is right for one seed and wrong
#   for another is very rare, but a check is not a proof.
# - It says nothing of style, and little of speed. Compare with `exercise solution softmax` when you are done;
#   before a first try it asks for `--reveal`, and it is noted.
# - A cause is said as *cause* where it explains every number that was seen, and as *perhaps* where it only
#   fits. The numbers and the place are facts in both cases.
#
# `pytest exercises/` checks all files that you have begun, for those who like that better.

# %%
os.chdir(home)
folder.cleanup()
