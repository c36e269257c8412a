"""A detector for gradients that take from outputs at the wrong places: sums over wrong axes.

Where an axis of the argument and one of y have the same length, the right gradient of softmax, of attention
and of every layer that works row by row takes from y at the same place along it only. Jf and Je (m, n) are
the found Jacobian and the right one.
"""

import numpy as np

from minirec.verify.diagnosis.factors import axis_name
from minirec.verify.diagnosis.view import SHARE, Array, Finding, Findings, View, biggest


def other_places(view: View) -> Findings:
    """Jf ≠ 0 where y and the argument stand at different places along an axis, and Je = 0; or conversely."""
    both = view.jacobians()
    if both is None or view.upstream is None:
        return
    Jf, Je = both
    y_shape = view.upstream.shape[1:]
    more, less = [], []  # axes of y along which F takes from other places and E does not, and conversely
    for b, m in enumerate(y_shape):
        for a, n in enumerate(view.shape):
            if m != n or m < 2:
                continue
            apart = _index(y_shape, b)[:, None] != _index(view.shape, a)[None, :]
            mixed = [biggest(J[apart]) for J in (Jf, Je)]
            along = axis_name(b, len(y_shape))
            if mixed[1] <= view.floor and mixed[0] > SHARE * biggest(Jf):
                if biggest((Jf - Je)[~apart]) <= view.floor:
                    text = f"takes from y at other places along {along} too, and is right but for that"
                    yield Finding("other places", f"{text}: is a sum taken over too many axes?", True)
                    return
                more.append(along)
            if mixed[0] <= view.floor and mixed[1] > SHARE * biggest(Je):
                less.append(along)
    text = ""
    if len(more) == len(less) == 1 and more != less:
        text = (
            f"takes from y at other places along {more[0]}, the right one from other places along {less[0]}"
        )
        text += ": is a sum or a mean taken over the wrong axis?"
    elif len(less) == 1 and not more:
        text = f"takes only from y at the same place along {less[0]}, and must take from other places too"
        text += ": is a sum missing, or does a matrix stand there that must be transposed?"
    elif len(more) == 1 and not less:
        text = f"takes from y at other places along {more[0]}, and must take from the same place only"
    if text:
        yield Finding("other places", text, False)


def _index(shape: tuple[int, ...], axis: int) -> Array:
    """The place along `axis` of each entry, flat."""
    return np.indices(shape)[axis].ravel()
