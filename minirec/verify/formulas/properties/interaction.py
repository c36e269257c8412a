"""What the interaction matrix, its density and means, and popularity keep, whatever the events."""

import numpy as np

from minirec.verify.formula import Place, Rng, relative_gap

# The matrix


def one_entry_per_pair(place: Place, rng: Rng) -> float:
    users, items, *_ = place.args
    pairs = {(int(u), int(i)) for u, i in zip(users, items, strict=True)}
    R = place(*place.args)
    return float({(int(u), int(i)) for u, i in np.argwhere(~np.isnan(R))} != pairs)


def turned_when_roles_change(place: Place, rng: Rng) -> float:
    """Items as users and users as items: the transposed matrix."""
    users, items, ratings, timestamps, n_users, n_items = place.args
    return relative_gap(place(items, users, ratings, timestamps, n_items, n_users), place(*place.args).T)


def rows_have_no_order(place: Place, rng: Rng) -> float | None:
    """Where no two times are equal, or events are counted, the order of the rows is no news."""
    users, items, ratings, timestamps, *sizes = place.args
    if ratings is not None and (timestamps is None or len(np.unique(timestamps)) < len(timestamps)):
        return None
    order = rng.permutation(len(users))
    moved = (a if a is None else a[order] for a in (users, items, ratings, timestamps))
    return relative_gap(place(*moved, *sizes), place(*place.args))


def relabeling_moves_rows_and_columns(place: Place, rng: Rng) -> float:
    users, items, *rest, n_users, n_items = place.args
    rows, columns = rng.permutation(n_users), rng.permutation(n_items)
    moved = place(rows[users], columns[items], *rest, n_users, n_items)
    return relative_gap(moved[rows][:, columns], place(*place.args))


def counts_add_up_to_the_events(place: Place, rng: Rng) -> float | None:
    users, _, ratings, *_ = place.args
    return None if ratings is not None else abs(float(np.nansum(place(*place.args))) - len(users))


# Density and means


def between_zero_and_one(place: Place, rng: Rng) -> float:
    share = place(*place.args)
    return float(not 0.0 <= share <= 1.0)


def blind_to_repeats(place: Place, rng: Rng) -> float:
    users, items, ratings, timestamps, *sizes = place.args
    twice = (a if a is None else np.concatenate([a, a]) for a in (users, items, ratings, timestamps))
    return relative_gap(place(*twice, *sizes), place(*place.args))


def diluted_by_a_new_item(place: Place, rng: Rng) -> float:
    *events, n_users, n_items = place.args
    found, expected = place(*events, n_users, n_items + 1), place(*place.args) * n_items / (n_items + 1)
    return relative_gap(found, expected)


def shifted_with_the_ratings(place: Place, rng: Rng) -> float | None:
    """One more star everywhere raises each mean by 1, but not the mean of nothing: absent is not zero."""
    users, items, ratings, *rest = place.args
    if ratings is None:
        return None
    n_users, n_items, empty = rest[1:]
    before, after = place(*place.args), place(users, items, ratings + 1.0, *rest)
    met = np.isin(np.arange(n_users), users), np.isin(np.arange(n_items), items)
    expected = [np.where(some, mean + 1.0, empty) for some, mean in zip(met, before, strict=True)]
    return relative_gap(after, expected)


def means_change_places_with_roles(place: Place, rng: Rng) -> float:
    users, items, ratings, timestamps, n_users, n_items, empty = place.args
    rows, columns = place(items, users, ratings, timestamps, n_items, n_users, empty)
    return relative_gap((columns, rows), place(*place.args))


# Popularity


def same_for_everybody(place: Place, rng: Rng) -> float:
    s = place(*place.args)
    return relative_gap(s, np.repeat(s[:1], len(s), axis=0))


def conserved(place: Place, rng: Rng) -> float:
    """The scores of a user add up to the number of events."""
    return relative_gap(place(*place.args).sum(axis=1), np.full(place.args[2], float(len(place.args[1]))))


def one_more_event_is_one_more(place: Place, rng: Rng) -> float:
    users, items, n_users, n_items = place.args
    new = int(rng.integers(n_items))
    expected = place(*place.args)
    expected[:, new] += 1.0
    return relative_gap(place(np.append(users, 0), np.append(items, new), n_users, n_items), expected)
