"""On which grid a visit's reference was acquired: what the participant level has written down of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bidsapp.bids import names
from bidsapp.bids.gather import read_json
from bidsapp.errors import DataError
from bidsapp.imaging.grid import Grid

if TYPE_CHECKING:
    from pathlib import Path

    from bidsapp.records import Visit

HINT = "run the participant level again, it writes the grid down; or give --synth-space source"


def acquired_grid(derivatives: Path, visit: Visit, reference: str) -> tuple[Grid, str]:
    """Return the grid of a visit's acquired reference scan, and the BIDS URI of that scan.

    Parameters
    ----------
    derivatives : Path
        Output of the participant level.
    visit : Visit
        Has the reference.
    reference : str
        Its contrast.

    Raises
    ------
    DataError
        The sidecar of the preprocessed reference is missing or does not say it, as an older one.
    """
    sidecar = derivatives / names.sidecar(names.preproc(visit, visit.scan(reference), reference))
    content = read_json(sidecar)
    try:
        return Grid.from_json(content["AcquiredGrid"]), str(content["Sources"][0])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{sidecar}: does not say on which grid the {reference} was acquired", HINT) from error
