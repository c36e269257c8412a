"""A data set as a loader returns it: interactions, what is known of the items, and the terms of use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from minirec.data.interactions import Interactions


class ItemInfo(NamedTuple):
    """What is known of an item, beside its id."""

    title: str
    year: int | None = None
    genres: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.title if self.year is None else f"{self.title} ({self.year})"


class Dataset(NamedTuple):
    """Interactions and what belongs to them.

    items         {item id: ItemInfo}; may know items without interactions, and miss some that have them
    rating_scale  (lowest, highest), or None where it is not known or there are no ratings
    terms         the terms of use in a few words, to be shown to whoever uses the data; may be empty
    """

    name: str
    interactions: Interactions
    items: dict[str, ItemInfo]
    rating_scale: tuple[float, float] | None
    terms: str

    @property
    def digest(self) -> str:
        """The SHA-256 of the interactions (`Interactions.digest`), which labels every reported number."""
        return self.interactions.digest()


def with_items(dataset: Dataset, items: Mapping[str, ItemInfo]) -> Dataset:
    """The same data set with these items, and with their titles on its interactions."""
    interactions = dataset.interactions.select(slice(None))
    interactions.titles = {id: str(info) for id, info in items.items()}
    return dataset._replace(interactions=interactions, items=dict(items))
