# %% [markdown]
# # Give the exercises to a class, and grade them
#
# - **You will do:** make the edition without solutions, grade a small class, and read the results.
# - **You will learn:** what the grading checks and what it cannot, how seeds and limits are set, and a plan
#   for six weeks.
# - **You need:** [how a student works with the exercises](16_coursework.md).
#
# The exercises follow "Can large models change the recommendation paradigm?" (大模型能改变推荐范式吗?,
# 禅与计算机程序设计艺术): embeddings (section 4.1), attention (section 4.2), training (section 3.2), metrics
# (section 9.3).

# %%
import csv
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from minirec import plots
from minirec.cli import main
from minirec.exercises import source
from minirec.exercises.catalogue import EXERCISES

folder = tempfile.TemporaryDirectory()
home = os.getcwd()
os.chdir(folder.name)
points = sum(exercise.points for exercise in EXERCISES.values())
mistakes = sum(len(exercise.mistakes) for exercise in EXERCISES.values())
print(f"{len(EXERCISES)} exercises, {points} points, {mistakes} mistakes that are known by name")

# %% [markdown]
# ## A plan for six weeks
#
# One meeting a week, with one or two lessons to read before it. The exercises of a week build on those before.

# %%
PLAN = {
    "1 gradients": ["central_difference", "linear", "relu"],
    "2 softmax and losses": ["softmax", "log_softmax", "cross_entropy", "binary_cross_entropy"],
    "3 attention": ["masks", "heads", "positions", "attention"],
    "4 the block": ["layer_norm", "dropout", "residual", "encoder_block"],
    "5 recommenders": ["embedding", "factorization_step", "als_half_step", "bpr", "adam"],
    "6 data and measures": ["leave_one_out", "negatives", "cloze", "ndcg", "recall", "relative_exchange"],
}
for week, names in PLAN.items():
    lessons = sorted({EXERCISES[name].lesson[:2] for name in names})
    total = sum(EXERCISES[name].points for name in names)
    print(f"{week:22} {total:3} points  lessons {', '.join(lessons)}: {', '.join(names)}")
assert sorted(name for names in PLAN.values() for name in names) == sorted(EXERCISES)

# %% [markdown]
# ## The edition without solutions
#
# The package holds its solutions: they are the library. Whoever installs it can read them, and that is
# right for somebody who learns alone. For a class there is an edition in which the functions of the exercises
# have no body. Its catalogues of mistakes are empty too, since each mistake is an edit of a solution, and the
# last hint of each exercise is gone. The command searches what it has written, and fails if a solution is
# left in it.

# %%
_ = main(["exercise", "edition", "--out", "minirec-student"])

# %% [markdown]
# Students install it with `pip install -e .` in that folder. Checks work there as they do here, but for
# named mistakes: what a check says comes from the detectors then. What an exercise needs of another one is
# taken from the student's own files. The definitions in loops, which values are compared with, are in the
# edition: they are slow and plain on purpose, and none of them has a backward pass.
#
# ## Grade
#
# Each student has a folder; the files may lie in it or in `exercises/` below. Let us make a class of four:
# one has solved both exercises, one has the sign of a gradient wrong, one has an endless loop, and one has
# imported the solution.

# %%
ours = {name: source.module_source(EXERCISES[name]) for name in ("relu", "softmax")}
classroom = {
    "ada": ours,
    "ben": ours | {"softmax": ours["softmax"].replace("return p * (dp", "return -p * (dp")},
    "cy": ours | {"relu": "while True:\n    pass\n"},
    "dee": ours | {"relu": "from minirec.functional import relu_backward, relu_forward\n"},
}
for student, files in classroom.items():
    for name, text in files.items():
        path = Path("submissions") / student / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
chosen = "relu,softmax"
_ = main(
    ["exercise", "grade", "submissions", "--out", "grades", "--exercises", chosen, "--seed", "2026",
     "--seconds", "15", "--assignment", "week 1"]
)  # fmt: skip

# %% [markdown]
# Nothing that a file does ends the batch. Each runs in an interpreter of its own, for at most `--seconds`
# and with at most `--megabytes` of memory (on Windows memory is not limited, and the result says so).
# `--seed` draws other numbers than those that students have seen; the checks are the same ones.
#
# Three forms are written. `grades.csv` has the columns that nbgrader exports:

# %%
with open("grades/grades.csv", encoding="utf-8", newline="") as table:
    rows = list(csv.DictReader(table))
for row in rows:
    print(", ".join(row[key] for key in ("assignment", "student_id", "score", "max_score")))

# %% Points of each student by exercise, as a share of what could be had
results = {
    student: json.loads(Path(f"grades/{student}/results.json").read_text(encoding="utf-8"))
    for student in classroom
}
names = chosen.split(",")
shares = np.zeros((len(classroom), len(names)))
for row, result in enumerate(results.values()):
    for test in result["tests"]:
        column = names.index(test["name"].partition(":")[0])
        shares[row, column] += test["score"] / EXERCISES[names[column]].points
plots.heatmap(shares, rows=list(classroom), columns=names)

# %% [markdown]
# Each student also gets a `results.json` in the form of Gradescope's autograder, with what the check said,
# and `junit.xml` is for whatever reads test results. What Ben reads:

# %%
print(results["ben"]["tests"][-1]["output"])

# %% [markdown]
# ## What grading can and cannot do
#
# - **The checks hold no answers.** A value is compared with a definition in loops, a backward function with
#   derivatives of the student's own forward function. So the public check is the graded one; only the seed
#   differs.
# - **Points are by function**: forward and backward count apart, and a wrong forward does not spoil the
#   backward, which is then asked with minirec's forward and its cache.
# - **It notices** files that import, call or open minirec's own function for this exercise. It cannot notice
#   a solution that was read and typed again; nobody can. Ask for the derivation on paper, or in a
#   conversation: the exercise is worth little without it.
# - **A student's code runs with your rights.** Time and memory are limited, the network and your files are
#   not. Grade strangers' code in a container or on a machine that holds nothing else.
# - **Code that wants to cheat the check can**: it runs in the same interpreter. What it cannot do is hide: the
#   path and the hash of each graded file stand in the results, and the file is there to be read.

# %%
os.chdir(home)
folder.cleanup()
