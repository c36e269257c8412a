"""The README is executed: commands print what it says, its Python runs, its tables are stored results."""

import doctest
import re
import shlex
import subprocess
import sys
from pathlib import Path

import claims_tables
import pytest
import readme_tables

from minirec.cli_data import kind_of
from minirec.models.presets import preset

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def file_name(block: str) -> str | None:
    """A Python block whose first line is a comment with a file's name is that file."""
    named = re.match(r"# (\w+\.py)\n", block)
    return named[1] if named else None


def normal(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def test_console_blocks_print_what_they_say(tmp_path):
    checker = doctest.OutputChecker()
    commands = 0
    for block in blocks("python"):
        if name := file_name(block):
            (tmp_path / name).write_text(block, encoding="utf-8")
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, expected = part.partition("\n")
            words = shlex.split(line)
            assert words[0] == "python", f"a console block runs python, got {line!r}"
            ran = subprocess.run(
                [sys.executable, *words[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=120
            )
            failing = expected.rstrip().endswith("(exit code 1)")
            expected = expected.replace("(exit code 1)\n", "")
            assert ran.returncode == int(failing), f"{line}\n{ran.stdout}{ran.stderr}"
            assert checker.check_output(
                normal(expected) + "\n", normal(ran.stdout) + "\n", doctest.ELLIPSIS
            ), f"$ {line}\nexpected:\n{expected}\ngot:\n{ran.stdout}"
            commands += 1
    assert commands >= 3


def test_python_blocks_run_as_written():
    found = [block for block in blocks("python") if file_name(block) is None]
    assert found
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    names: dict[str, object] = {}
    for i, block in enumerate(found):
        test = parser.get_doctest(block, names, f"README block {i + 1}", "README.md", 0)
        assert test.examples, f"README block {i + 1} has no >>> line, so nothing of it is checked"
        result = runner.run(test, clear_globs=False)
        names = test.globs
        assert result.failed == 0


TABLES = [(file, name) for file, tables in readme_tables.TABLES.items() for name in tables]


@pytest.mark.parametrize(("file", "name"), TABLES, ids=[name for _, name in TABLES])
def test_tables_are_the_stored_results(file, name):
    printed = readme_tables.between(name).search(file.read_text(encoding="utf-8"))
    assert printed, f"{file.name} has no table {name!r}"
    assert printed[0].split("\n", 1)[1].rsplit("\n", 1)[0] == readme_tables.TABLES[file][name]()


def test_every_stored_result_names_its_command_and_data():
    files = sorted(readme_tables.RESULTS.glob("*.json"))
    assert files
    for file in files:
        content = readme_tables.load(file.stem)
        assert content["command"].startswith("python tests/"), file.name
        if content["command"].startswith("python tests/make_results.py "):
            assert content["minirec"]
            assert "data" in content or "seeds" in content, file.name
        else:
            assert "versions" in content, file.name


@pytest.mark.parametrize("file", [ROOT / "README.md", *(ROOT / "tutorials" / "pages").glob("*.md")])
def test_links_and_figures_exist(file):
    targets = re.findall(r"\]\(([^)#]+)\)", file.read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        if not target.startswith("http"):
            assert (file.parent / target).exists(), f"{file.name} points to {target}, which is not there"


@pytest.mark.parametrize("name", list(claims_tables.LABELS))
def test_the_stored_results_are_those_of_the_presets(name):
    stored = claims_tables.stored(name)
    assert stored["command"] == f"python tests/make_ml100k.py {name}"
    assert stored["minirec"]
    assert stored["data"]["digest"]
    assert stored["settings"] == kind_of(name)(**preset(name, "ml-100k")).settings()


def test_the_summary_of_the_claims_is_what_the_verdicts_say():
    rows = [line.split(" | ") for line in claims_tables.verdicts().splitlines()[2:]]
    assert [row[-1].removesuffix(" |") for row in rows] == [
        "yes", "yes", "not shown", "not shown", "no, the opposite", "not shown",
        "not shown", "not shown", "not shown", "not shown", "yes", "yes",
    ]  # fmt: skip


def test_what_claims_md_says_of_users_and_events():
    few = [claims_tables.experiment("users", name, 59).mean() for name in ("markov", "ease", "als", "sasrec")]
    assert max(few) - min(few) < 0.006
    surely = [
        claims_tables.order(
            claims_tables.experiment("users", "sasrec", n), claims_tables.experiment("users", "markov", n)
        )
        for n in claims_tables.sizes("users", "sasrec")
    ]
    assert surely == [0, 0, 0, 1, 1]
    ease, sasrec = (
        [claims_tables.experiment("events", name, n).mean() for n in claims_tables.sizes("events", name)]
        for name in ("ease", "sasrec")
    )
    assert [a > b for a, b in zip(ease, sasrec, strict=True)] == [True, True, True, False, False, False]
    assert max(ease) == ease[2]
    assert sasrec == sorted(sasrec)


@pytest.mark.parametrize("name", ["popularity", "markov", "ease", "als"])
def test_an_experiment_on_the_whole_data_is_the_model_of_the_table(name):
    table = claims_tables.per_user(name)
    for which in ("users", "events"):
        assert list(claims_tables.experiment(which, name, claims_tables.sizes(which, name)[-1])) == list(
            table
        )
