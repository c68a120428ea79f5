"""What the group report tells of a cohort and a bundle, read from what lies on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bidsapp.bids.dataset import dataset_name
from bidsapp.bids.scans import SYNTHESIZED, all_rows
from bidsapp.console import progress_bar
from bidsapp.records import CT
from bidsapp.reports.cohort_histograms import Normalized, evenly, histograms
from bidsapp.synthesis.card import CARD_FILE
from bidsapp.synthesis.ensemble import HISTORY_FILE
from bidsapp.synthesis.rates import RATES_FILE
from bidsapp.tables import read_tsv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bidsapp.bids.gather import Gathered
    from bidsapp.settings import Settings
    from bidsapp.synthesis.bundle import Bundle

LEVELS = tuple(n / 20 for n in range(1, 20))


def of_cohort(settings: Settings, gathered: Gathered | None = None) -> dict[str, Any]:
    """Return what `GroupReport` says of a dataset: its name, quality numbers, histograms.

    Parameters
    ----------
    settings : Settings
        Where the derivatives are; sources and target.
    gathered : Gathered, optional
        Visits whose images are on the scale of a cohort, if they are.
    """
    out = settings.output_dir
    rows = all_rows(out)
    images: dict[str, list[Normalized]] = {}
    for image in _images(out, rows, _learned_from(settings, gathered)):
        images.setdefault(image.contrast, []).append(image)
    found = {}
    with progress_bar("histograms", total=len(images)) as update:
        for number, (contrast, of_contrast) in enumerate(sorted(images.items())):
            update(number, contrast)
            found[contrast] = histograms(evenly(of_contrast))
    return {"dataset": dataset_name(out), "quality": rows, "histograms": found}


def _images(
    out: Path, rows: Sequence[Mapping[str, str]], others: Mapping[tuple[str, str], Path]
) -> list[Normalized]:
    """Return the normalized images of all scans that hold, CT excepted, which nothing is normalized of.

    Where some of a contrast are on the scale of a cohort, those that were not brought there are not compared.
    """
    rescaled = {contrast for (_, contrast), path in others.items() if "_desc-normalized_" not in path.name}
    images = []
    for row in rows:
        visit, contrast, file = (row.get(name) or "" for name in ("visit", "contrast", "filename"))
        if contrast == CT or SYNTHESIZED in file or row.get("flags") not in {None, "", "n/a"}:
            continue
        if contrast in rescaled and (visit, contrast) not in others:
            continue
        folder = out.joinpath(*(part for part in visit.split("_") if part.startswith(("sub-", "ses-"))))
        before = folder / file
        normalized = before.with_name(before.name.replace("_desc-preproc_", "_desc-normalized_"))
        # The reference's mask has no contrast in its name.
        masks = [
            before.name.replace(f"_desc-preproc_{contrast}", f"_desc-brain{of}_mask") for of in (contrast, "")
        ]
        mask = next((path for name in masks if (path := before.with_name(name)).is_file()), None)
        if mask is not None:
            images.append(Normalized(visit, contrast, before, others.get((visit, contrast), normalized), mask))
    return images


def _learned_from(settings: Settings, gathered: Gathered | None) -> dict[tuple[str, str], Path]:
    """Return visit and contrast → the image that is learned from, which may be on the scale of a cohort."""
    return {
        (visit.pair.visit, contrast): path
        for visit in (gathered.visits if gathered else ())
        for contrast, path in zip(
            (*settings.source, settings.target), (*visit.pair.sources, visit.pair.target), strict=True
        )
        if path is not None
    }


def of_bundle(bundle: Bundle) -> dict[str, Any]:
    """Return what `GroupReport` says of a network: the course of its training, its intervals, its card."""
    history: dict[str, list[tuple[float, float]]] = {}
    for row in read_tsv(bundle.path / HISTORY_FILE):
        history.setdefault(f"fold {row['fold']}", []).append((float(row["step"]), float(row["loss"])))
    rates = [{name: float(cell) for name, cell in row.items()} for row in read_tsv(bundle.path / RATES_FILE)]
    card = bundle.path / CARD_FILE
    return {
        "history": history,
        "rates": rates,
        "levels": LEVELS,
        "coverage": bundle.calibration.coverage(LEVELS),
        "card": card.read_text(encoding="utf-8") if card.is_file() else "",
    }
