"""Two small real data sets, typed in as facts: small enough to print, and to work through by hand.

Both stand beside the synthetic shop as data that need no file. Neither has ratings or times.
"""

from __future__ import annotations

import numpy as np

from minirec.data.interactions import Interactions

GRID_LIMIT = 100  # rows or columns that a grid may have

# Who came to which of the 14 events, in the order of the book.
_WOMEN = """
Evelyn Jefferson    1 2 3 4 5 6 8 9
Laura Mandeville    1 2 3 5 6 7 8
Theresa Anderson    2 3 4 5 6 7 8 9
Brenda Rogers       1 3 4 5 6 7 8
Charlotte McDowd    3 4 5 7
Frances Anderson    3 5 6 8
Eleanor Nye         5 6 7 8
Pearl Oglethorpe    6 8 9
Ruth DeSand         5 7 8 9
Verne Sanderson     7 8 9 12
Myra Liddel         8 9 10 12
Katherina Rogers    8 9 10 12 13 14
Sylvia Avondale     7 8 9 10 12 13 14
Nora Fayette        6 7 9 10 11 12 13 14
Helen Lloyd         7 8 10 11 12
Dorothy Murchison   8 9
Olivia Carleton     9 11
Flora Price         9 11
"""

# Each friendship once: a person, then the friends with a higher number.
_FRIENDS = """
1   2 3 4 5 6 7 8 9 11 12 13 14 18 20 22 32
2   3 4 8 14 18 20 22 31
3   4 8 9 10 14 28 29 33
4   8 13 14
5   7 11
6   7 11 17
7   17
9   31 33 34
10  34
14  34
15  33 34
16  33 34
19  33 34
20  34
21  33 34
23  33 34
24  26 28 30 33 34
25  26 28 32
26  32
27  30 34
28  34
29  32 34
30  33 34
31  33 34
32  33 34
33  34
"""

# Who went with the officers (34) when the club split; all others stayed with the instructor (1).
KARATE_OFFICERS = (10, 15, 16, 19, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34)


def southern_women() -> Interactions:
    """18 women, 14 social events, 89 attendances in one small town in the 1930s.

    A. Davis, B. B. Gardner and M. R. Gardner, Deep South, University of Chicago Press, 1941. User ids are
    names, item ids are the numbers 1 to 14 of the events. The rows keep the order of the book, in which two
    circles of women can be seen.

    >>> print(grid(southern_women()).splitlines()[1])
    Evelyn Jefferson   x x x x x x . x x . . . . .
    """
    women, events = [], []
    for line in _WOMEN.split("\n")[1:-1]:
        first, last, *numbers = line.split()
        women += [f"{first} {last}"] * len(numbers)
        events += [int(n) for n in numbers]
    return Interactions(women, events, titles={n: f"social event {n}" for n in events})


def karate_club() -> Interactions:
    """34 members of a karate club and their 78 friendships: 156 interactions, each person with each friend.

    W. W. Zachary, An information flow model for conflict and fission in small groups, Journal of
    Anthropological Research 33, 1977. User and item ids are the numbers 1 to 34 of the article: 1 is the
    instructor, 34 the head of the officers. The club later split in two, see KARATE_OFFICERS. The friendship
    of 23 and 34 is counted, as is usual; the printed matrix has it in one of its two cells only.
    """
    pairs = []
    for line in _FRIENDS.split("\n")[1:-1]:
        person, *friends = (int(n) for n in line.split())
        pairs += [(person, friend) for friend in friends] + [(friend, person) for friend in friends]
    people, others = zip(*sorted(pairs), strict=True)
    return Interactions(people, others, titles={n: f"member {n}" for n in people})


def grid(x: Interactions) -> str:
    """The interactions as text: a row per user, a column per item, x for met and . for not met.

    Rows stand in the order in which users first appear in the data, columns in the order of the item ids.
    Raises ValueError beyond 100 users or items, which nobody could read.

    >>> print(grid(Interactions(["Bo", "Bo", "Al"], [7, 12, 12])))
        7 12
    Bo  x  x
    Al  .  x
    """
    if max(x.n_users, x.n_items) > GRID_LIMIT:
        raise ValueError(
            f"{x.n_users} users x {x.n_items} items are too many for a grid: at most {GRID_LIMIT} of each"
        )
    met = np.zeros((x.n_users, x.n_items), dtype=bool)
    met[x.users, x.items] = True
    names, heads = [str(u) for u in x.user_ids], [str(i) for i in x.item_ids]
    margin, width = max(map(len, names), default=0), max(map(len, heads), default=0) + 1
    lines = [" " * (margin + 1) + "".join(head.rjust(width) for head in heads)]
    for u in dict.fromkeys(x.users.tolist()):
        cells = "".join(("x" if there else ".").rjust(width) for there in met[u])
        lines.append(names[u].ljust(margin + 1) + cells)
    return "\n".join(line.rstrip() for line in lines)
