from pathlib import Path

import pytest

from minirec.data.dataset import ItemInfo
from minirec.data.items import item_info, read_items
from minirec.data.textfile import RatingsFileError


@pytest.mark.parametrize(
    ("title", "year", "wanted"),
    [
        ("Toy Story (1995)", "", ItemInfo("Toy Story", 1995)),
        ("Heat  (1995) ", "1996", ItemInfo("Heat", 1995)),
        ("Fargo", "1996", ItemInfo("Fargo", 1996)),
        ("unknown", "unkonwn", ItemInfo("unknown", None)),
        ("Fawlty Towers (1975-1979)", "", ItemInfo("Fawlty Towers (1975-1979)", None)),
        ("2001 (A Space Odyssey) (1968)", "", ItemInfo("2001 (A Space Odyssey)", 1968)),
        ("Year in other digits", "１９９５", ItemInfo("Year in other digits", None)),
        ("(1995)", "", ItemInfo("(1995)", None)),
    ],
)
def test_title_and_year(title: str, year: str, wanted: ItemInfo) -> None:
    assert item_info(title, year, ()) == wanted


def test_str_of_an_item() -> None:
    assert str(ItemInfo("Heat", 1995)) == "Heat (1995)"
    assert str(ItemInfo("Heat")) == "Heat"


def test_read_items(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text(
        'id,name,made,kinds\n007,"Ham, smoked",1999,food|meat\n9,Air,,\n1,X,then,(no genres listed)\n'
    )
    items = read_items(path, id="id", title="name", year="made", genres="kinds")
    assert items == {
        "007": ItemInfo("Ham, smoked", 1999, ("food", "meat")),
        "9": ItemInfo("Air", None, ()),
        "1": ItemInfo("X", None, ()),
    }
    assert read_items(path, id=0, title=1)["007"] == ItemInfo("Ham, smoked")


def test_items_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "items.dat"
    path.write_text("1::Heat (1995)::Crime|Drama\n2::Air::\n")
    items = read_items(path, id=0, title=1, genres=2, header=False)
    assert items == {"1": ItemInfo("Heat", 1995, ("Crime", "Drama")), "2": ItemInfo("Air")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("id,title\n1\n", "line 2: 1 field where the first line has 2"),
        ("id,title\n1,a\n1,b\n", "line 3: the item id '1' stands on an earlier line"),
        ("id,title\n,a\n", "line 2: the item id is empty"),
        ("id,name\n1,a\n", "line 1: no column 'title' for the title"),
    ],
)
def test_faults_of_an_items_file(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text(text)
    with pytest.raises(RatingsFileError, match=words):
        read_items(path, id="id", title="title", separator=",")
