"""The catalogue of the synthetic shop: titles, sentences, prices and small pictures.

Used by `minirec.data.shop`. A product is a category (what it is) and a look (the family of its color); both
are in the text and in the picture, so a model that reads either can find out what a user likes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PICTURE_SIZE = 16  # pixels, both ways


class Category(NamedTuple):
    name: str
    nouns: tuple[str, ...]
    kinds: tuple[str, ...]
    purposes: tuple[str, ...]
    prices: tuple[float, float]  # cheapest and dearest


class Look(NamedTuple):
    name: str
    colors: tuple[tuple[str, tuple[int, int, int]], ...]  # word, red green blue in 0 .. 255


class Product(NamedTuple):
    id: str
    title: str
    category: str
    look: str
    description: str
    price: float
    picture: Array  # (16, 16, 3) uint8

    def __str__(self) -> str:
        return f"{self.title} ({self.category}, {self.price:.2f})"

    def __repr__(self) -> str:  # without the 768 numbers of the picture
        return f"Product({self.id!r}, {self.title!r}, {self.category!r}, {self.look!r}, {self.price:.2f})"


# A category comes before the one that goes with it: a desk calls for a lamp. The last goes with the first.
CATEGORIES = (
    Category(
        "furniture",
        ("desk", "table", "chair", "bench", "bookcase", "stool", "cabinet", "sideboard"),
        ("writing", "folding", "low", "tall", "narrow", "rounded", "stackable", "corner"),
        ("made for small rooms", "sturdy enough for every day", "delivered in one flat box"),
        (60, 600),
    ),
    Category(
        "lamps",
        ("lamp", "lantern", "spotlight", "pendant", "night light", "uplighter", "candelabra", "string light"),
        ("reading", "dimmable", "clip-on", "portable", "paper", "glass", "adjustable", "wall"),
        ("with a warm light", "with a long cable", "bright enough to read by"),
        (15, 180),
    ),
    Category(
        "books",
        ("cookbook", "atlas", "novel", "field guide", "diary", "picture book", "dictionary", "anthology"),
        ("illustrated", "pocket", "annotated", "clothbound", "large-print", "abridged", "rhyming", "travel"),
        ("for a long evening", "to give away or to keep", "printed on thick paper"),
        (6, 60),
    ),
    Category(
        "stationery",
        ("notebook", "pen", "pencil case", "ruler", "stapler", "letter tray", "calendar", "sketchpad"),
        ("dotted", "refillable", "slim", "school", "office", "magnetic", "recycled", "everyday"),
        ("for tidy notes", "that fits any drawer", "for home and office"),
        (2, 35),
    ),
    Category(
        "bags",
        ("backpack", "tote", "satchel", "suitcase", "wallet", "duffel", "pouch", "shoulder bag"),
        ("canvas", "waterproof", "quilted", "roll-top", "felt", "weekend", "cycling", "zipped"),
        ("with two inner pockets", "light when it is empty", "that fits under a seat"),
        (12, 220),
    ),
    Category(
        "sports",
        ("yoga mat", "racket", "ball", "skipping rope", "helmet", "bottle", "kettlebell", "sweatband"),
        ("training", "beginner's", "competition", "outdoor", "lightweight", "grippy", "children's", "studio"),
        ("for the first hard season", "easy to clean", "tested by a local club"),
        (5, 120),
    ),
    Category(
        "garden",
        ("planter", "watering can", "trowel", "bird feeder", "hose reel", "parasol", "rake", "trellis"),
        ("hanging", "balcony", "frost-proof", "self-cleaning", "compact", "rustproof", "extendable", "woven"),
        ("for a balcony or a yard", "that may stay out in winter", "with a five-year guarantee"),
        (7, 140),
    ),
    Category(
        "kitchen",
        ("teapot", "saucepan", "bowl", "chopping board", "kettle", "jug", "colander", "baking dish"),
        ("stoneware", "enamel", "nonstick", "steel", "two-handled", "deep", "family", "camping"),
        ("safe in the dishwasher", "for two to four people", "that keeps its heat"),
        (9, 160),
    ),
)

LOOKS = (
    Look("natural", (("oak", (193, 154, 107)), ("sand", (214, 190, 150)), ("straw", (222, 200, 120)),
                     ("honey", (218, 165, 60)), ("cork", (178, 132, 90)))),
    Look("dark", (("charcoal", (54, 57, 62)), ("slate", (84, 92, 104)), ("walnut", (82, 58, 42)),
                  ("ink", (28, 30, 60)), ("espresso", (62, 42, 36)))),
    Look("bright", (("scarlet", (206, 32, 41)), ("lemon", (246, 222, 46)), ("orange", (240, 128, 28)),
                    ("coral", (250, 110, 90)), ("magenta", (204, 40, 128)))),
    Look("cool", (("navy", (28, 52, 112)), ("teal", (20, 128, 132)), ("sky", (110, 180, 230)),
                  ("denim", (66, 104, 160)), ("violet", (102, 76, 166)))),
    Look("leafy", (("moss", (104, 124, 60)), ("sage", (152, 170, 136)), ("olive", (126, 120, 48)),
                   ("fern", (74, 140, 76)), ("mint", (150, 216, 180)))),
    Look("pale", (("ivory", (244, 238, 218)), ("pearl", (224, 222, 226)), ("blush", (240, 206, 204)),
                  ("lilac", (214, 198, 228)), ("chalk", (208, 216, 222)))),
)  # fmt: skip


def make_products(rng: np.random.Generator, categories: Array, looks: Array, ids: list[str]) -> list[Product]:
    """One product for each pair of `categories` (I,) and `looks` (I,), with distinct titles.

    The words of a title are drawn without repeats; a shop so large that a category runs out of words counts
    on: "Oak low desk No. 2". Prices are log-uniform between the bounds of the category.
    """
    words = _draw_words(rng, categories, looks)
    u = rng.random((len(ids), 2))
    colors = np.array([LOOKS[l].colors[w[0]][1] for l, w in zip(looks.tolist(), words, strict=True)])
    pictures = make_pictures(rng, categories, colors)
    products = []
    for i, (c, l, (color, kind, noun, copy)) in enumerate(
        zip(categories.tolist(), looks.tolist(), words, strict=True)
    ):
        category, look = CATEGORIES[c], LOOKS[l]
        name = f"{category.kinds[kind]} {category.nouns[noun]}"
        shade = look.colors[color][0]
        article = "An" if name[0] in "aeiou" else "A"
        purpose = category.purposes[int(u[i, 0] * len(category.purposes))]
        low, high = category.prices
        price = float(np.ceil(low * (high / low) ** u[i, 1])) - 0.05
        title = f"{shade.capitalize()} {name}" + (f" No. {copy + 1}" if copy else "")
        sentence = f"{article} {name} in {shade} from our {look.name} range, {purpose}."
        products.append(Product(ids[i], title, category.name, look.name, sentence, price, pictures[i]))
    return products


def make_pictures(rng: np.random.Generator, categories: Array, colors: Array) -> Array:
    """(I, 16, 16, 3) uint8: the category's shape in the color (I, 3), on paper white, slightly grainy."""
    shapes = category_shapes()[categories][..., None]  # (I, 16, 16, 1)
    clean = np.where(shapes, colors[:, None, None, :].astype(np.int16), np.int16(250))
    grain = (rng.random(clean.shape, dtype=np.float32) * 17).astype(np.int16) - 8
    return np.clip(clean + grain, 0, 255).astype(np.uint8)


def category_shapes() -> Array:
    """(8, 16, 16) boolean: one simple shape per category, in the order of CATEGORIES."""
    y, x = np.mgrid[0:PICTURE_SIZE, 0:PICTURE_SIZE] - (PICTURE_SIZE - 1) / 2  # -7.5 .. 7.5, y downward
    r = np.sqrt(x * x + y * y)
    side, ax, ay = np.maximum(np.abs(x), np.abs(y)), np.abs(x), np.abs(y)
    return np.array([
        ((ay < 6) & (ax < 7) & (y < -2)) | ((ax > 4) & (ax < 7) & (ay < 6)),  # furniture: a top on two legs
        ((y < 0) & (y > -7) & (ax < 2 + (y + 7) / 2)) | ((y >= 0) & (y < 7) & (ax < 1)),  # lamps: shade, stem
        (side < 6) & ~((ax < 1) & (y > -4)),  # books: two pages
        (np.abs(x + y) < 3) & (r < 8),  # stationery: a slanted pen
        ((y > -2) & (y < 7) & (ax < 6)) | ((r < 7) & (r > 4.5) & (y <= -2)),  # bags: a body with a handle
        r < 6.5,  # sports: a ball
        (ax + ay < 7) & ~((ax < 1) & (y > 0)),  # garden: a leaf
        ((y > -3) & (y < 6) & (ax < 5)) | ((ay < 2) & (ax < 8)),  # kitchen: a pot with two handles
    ])  # fmt: skip


def _draw_words(rng: np.random.Generator, categories: Array, looks: Array) -> list[tuple[int, int, int, int]]:
    """(color, kind, noun, copy) for each product: a random order of all the combinations, used up in turn."""
    shape = (len(LOOKS[0].colors), len(CATEGORIES[0].kinds), len(CATEGORIES[0].nouns))
    size = int(np.prod(shape))
    words: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)] * len(categories)
    for c in range(len(CATEGORIES)):
        for l in range(len(LOOKS)):
            order = rng.permutation(size)
            for n, i in enumerate(np.flatnonzero((categories == c) & (looks == l)).tolist()):
                color, kind, noun = (int(w) for w in np.unravel_index(order[n % size], shape))
                words[i] = (color, kind, noun, n // size)
    return words
