"""The catalogue: distinct titles, text and picture that tell category and look, plausible prices."""

import numpy as np
import pytest

from minirec.data.shop_products import CATEGORIES, LOOKS, category_shapes, make_pictures, make_products

N = 397


@pytest.fixture(scope="module")
def catalogue():
    rng = np.random.default_rng(1)
    categories, looks = rng.integers(0, len(CATEGORIES), N), rng.integers(0, len(LOOKS), N)
    return make_products(rng, categories, looks, [f"p{i:04d}" for i in range(N)]), categories, looks


def test_every_product_says_what_it_is(catalogue):
    products, categories, looks = catalogue
    for product, c, l in zip(products, categories, looks, strict=True):
        assert product.category == CATEGORIES[c].name
        assert product.look == LOOKS[l].name
        shade, rest = product.title.split(" ", 1)
        assert shade.lower() in [word for word, _ in LOOKS[l].colors]
        assert any(rest.endswith(noun) for noun in CATEGORIES[c].nouns)
        assert product.description.startswith(("A ", "An "))
        assert rest in product.description
        assert shade.lower() in product.description
        assert product.description.count(".") == 1
        assert product.description.endswith(".")
        low, high = CATEGORIES[c].prices
        assert low - 0.05 <= product.price <= high + 0.95


def test_articles_follow_the_sound(catalogue):
    for product in catalogue[0]:
        article, word = product.description.split()[:2]
        assert (article == "An") == (word[0] in "aeiou")


def test_titles_stay_distinct_when_the_words_run_out():
    n = 701  # one category in one look has 5 x 8 x 8 = 320 titles
    zeros = np.zeros(n, dtype=np.int64)
    products = make_products(np.random.default_rng(2), zeros, zeros, [str(i) for i in range(n)])
    titles = [p.title for p in products]
    assert len(set(titles)) == n
    assert sum("No. 2" in t for t in titles) == 320
    assert sum("No. 3" in t for t in titles) == n - 640


def test_word_lists_have_one_size_and_no_repeats():
    for category in CATEGORIES:
        assert len(set(category.nouns)) == len(set(category.kinds)) == 8
    shades = [word for look in LOOKS for word, _ in look.colors]
    assert len(set(shades)) == len(shades) == 5 * len(LOOKS)


def test_shapes_differ_and_fit():
    shapes = category_shapes()
    assert shapes.shape == (len(CATEGORIES), 16, 16)
    for a in range(len(shapes)):
        assert 30 < shapes[a].sum() < 200
        for b in range(a):
            assert (shapes[a] != shapes[b]).sum() > 20


def test_pictures_show_shape_and_color():
    categories = np.array([0, 5, 7])
    colors = np.array([[200, 30, 40], [20, 30, 90], [90, 180, 60]])
    pictures = make_pictures(np.random.default_rng(3), categories, colors)
    assert pictures.shape == (3, 16, 16, 3)
    assert pictures.dtype == np.uint8
    for picture, c, color in zip(pictures, categories, colors, strict=True):
        shape = category_shapes()[c]
        assert np.abs(picture[shape].astype(int) - color).max() <= 8  # the grain
        assert picture[~shape].min() >= 242


def test_printing_a_product_leaves_the_picture_out(catalogue):
    product = catalogue[0][0]
    assert product.title in repr(product)
    assert product.title in str(product)
    assert len(repr(product)) < 200
