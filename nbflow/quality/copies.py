"""Copies: records that tell one thing, such as those on which one decision was made.

Ten records that look the same, with one answer and one decision, tell as much as one. As
many independent records as would tell what these do are (sum of w)^2 / (sum of w^2) of the
weights w of the units (Kish, *Survey Sampling*, 1965, section 11.7): intervals are those
of that number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbflow.quality.intervals import UNDEFINED, Interval, at_size, proportion

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nbflow.quality.intervals import Floats

    Bools = NDArray[np.bool_]

#: How many times as much records may tell since they are a part of all.
_MOST = 4.0


class Copies(NamedTuple):
    """Which records are one unit, and how much each record counts.

    Attributes:
        units: the number of the unit of each record.
        weights: of the records.
        is_drawn: whether the weights are those of a drawn sample.
        gain: how many times as much a drawn sample tells, since the run has an end.
    """

    units: NDArray[np.int64]
    weights: Floats
    is_drawn: bool = False
    gain: float = 1.0

    @property
    def distinct(self) -> int:
        """How many units there are."""
        return len(set(self.units.tolist()))

    @property
    def is_plain(self) -> bool:
        """Whether each record is one unit, and counts as one."""
        return self.distinct == len(self.units) and not self.is_drawn

    def worth(self, among: Floats | Bools) -> float:
        """The number of independent records that would tell as much as these do.

        Args:
            among: 1 for the records that are meant.
        """
        import numpy as np

        sums = np.bincount(self.units, self.weights * among)
        return float(self.gain * sums.sum() ** 2 / max((sums**2).sum(), 1e-300))

    def share(self, part: Bools, domain: Bools) -> Interval:
        """The share of a part in the records of a domain.

        Args:
            part: the records that count.
            domain: the records that they are a part of.
        """
        if not domain.any():
            return UNDEFINED
        if self.is_plain:
            return proportion(int((part & domain).sum()), int(domain.sum()))
        value = self.weights @ (part & domain) / (self.weights @ domain)
        return at_size(float(value), self.worth(domain))


def copies(units: Iterable[Hashable]) -> Copies:
    """The copies among records.

    Args:
        units: what each record tells; those that are equal tell one thing.
    """
    import numpy as np

    numbers: dict[Hashable, int] = {}
    codes = [numbers.setdefault(unit, len(numbers)) for unit in units]
    return Copies(np.array(codes, dtype=np.int64), np.ones(len(codes)))


def drawn(found: Copies, weights: Sequence[float], worth: float) -> Copies:
    """The same of a drawn sample.

    Args:
        found: the copies.
        weights: for how many records each one stands.
        worth: the number of independent records that would tell as much as all do.
    """
    import numpy as np

    weighed = Copies(found.units, np.array(weights, dtype=float), is_drawn=True)
    gain = worth / weighed.worth(np.ones(len(weights)))
    return weighed._replace(gain=max(1.0, min(gain, _MOST)))
