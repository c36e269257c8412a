"""Data sets by name: the shop, MovieLens 100K, a file or folder, and what is none of them."""

import pytest

from minirec.data import named, synthetic
from minirec.data.dataset import Dataset, ItemInfo
from minirec.data.textfile import RatingsFileError


def test_the_shop_depends_on_its_seed_and_nothing_else():
    first, again, other = (named.open_dataset("shop", seed=seed) for seed in (5, 5, 7))
    assert first.digest == again.digest == synthetic(seed=5).interactions.digest()
    assert first.digest != other.digest


def test_products_become_items_with_title_and_category():
    shop = synthetic(n_users=7, n_items=53, n_events=101, seed=3)
    data = named.shop_dataset(shop)
    assert data.name == "shop"
    assert data.interactions is shop.interactions
    assert set(data.items) == set(data.interactions.item_ids)
    product = shop.products[17]
    assert data.items[product.id] == ItemInfo(product.title, None, (product.category,))
    assert data.rating_scale == (1.0, 5.0)
    assert data.terms == ""


def test_ml_100k_is_loaded_from_where_it_is_said_to_be(monkeypatch):
    asked = []
    answer = Dataset("MovieLens 100K", synthetic(seed=0).interactions, {}, None, "terms")
    monkeypatch.setattr(named, "load_ml100k", lambda source: asked.append(source) or answer)
    assert named.open_dataset("ml-100k", source="there.zip") is answer
    assert named.open_dataset("ml-100k") is answer
    assert asked == ["there.zip", None]


def test_files_and_folders_are_read_with_the_options_for_files(tmp_path):
    file = tmp_path / "visits"  # no ending: a file that is there needs none
    file.write_text("who;page\nann;b\nbob;a\nann;b\n", encoding="utf-8")
    data = named.open_dataset(str(file), user="who", item="page", duplicates="keep")
    assert data.interactions.user_ids == ["ann", "bob"]
    assert len(data.interactions) == 3
    (tmp_path / "u.data").write_text("1\t2\t3\t4\n", encoding="utf-8")
    assert named.open_dataset(str(tmp_path)).name == "MovieLens 100K"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shops", ["no data set 'shops'", "shop and ml-100k", "name of a ratings file"]),
        ("", ["no data set ''", "shop and ml-100k"]),
        (" ", ["no data set ' '"]),
        ("ratings.csv", ["ratings.csv: no such file"]),
        ("nowhere/ratings", ["ratings: no such file", "no directory nowhere"]),
    ],
)
def test_what_is_no_data_set_is_said_so(name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RatingsFileError) as caught:
        named.open_dataset(name)
    assert [word for word in words if word not in str(caught.value)] == []
