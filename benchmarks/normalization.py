"""How alike each intensity scale makes white matter of different visits, and whether it can be undone.

Printed for each method and contrast are the mean Jensen–Shannon divergence (bits) between the white-matter
histograms of every two visits, that of the images as they were preprocessed, by what share the method lowers it,
and the largest error of the inverse, relative to the brightest voxel.

    synthprep DATASET DERIVATIVES participant --normalization ravel
    python benchmarks/normalization.py DERIVATIVES [--source T1w] [--target FLAIR]
"""

import argparse
from itertools import combinations
from pathlib import Path

import nibabel as nib
import numpy as np

from bidsapp.bids.gather import gather
from bidsapp.cohort.files import CohortFiles
from bidsapp.cohort.ravel import RavelCohort
from bidsapp.cohort.standards import Standards
from bidsapp.imaging.intensity import fit_scale, normalize
from bidsapp.imaging.tissue import WHITE
from bidsapp.settings import Settings

BINS = 100
ALONE = ("none", "robust", "zscore", "fcm", "kde", "whitestripe")
COHORT = ("nyul", "lsq", "ravel")


def divergence(samples: list[np.ndarray]) -> float:
    """Return the mean Jensen–Shannon divergence of every two samples, bits."""
    low, high = np.percentile(np.concatenate(samples), (0.5, 99.5))
    shares = [np.histogram(np.clip(s, low, high), BINS, (low, high))[0] / s.size for s in samples]

    def entropy(p: np.ndarray) -> float:
        return float(-(p[p > 0] * np.log2(p[p > 0])).sum())

    pairs = combinations(shares, 2)
    return float(np.mean([entropy((a + b) / 2) - (entropy(a) + entropy(b)) / 2 for a, b in pairs]))


class Cohort:
    """Normalized white matter of a cohort by every method."""

    def __init__(self, settings: Settings, visits) -> None:
        self.files = CohortFiles(settings)
        self.visits = [gathered.visit for gathered in visits]
        self.contrasts = (*settings.source, settings.target)
        self.white = {visit.label: np.asarray(self.files.tissue(visit).dataobj) == WHITE for visit in self.visits}

    def alone(self, method: str, contrast: str) -> tuple[list[np.ndarray], float]:
        """Return each visit's white matter on a scale of its own, and the error of the inverse."""
        samples, worst = [], 0.0
        for visit in self.visits:
            image, mask = self.files.preproc(visit, contrast), self.files.mask(visit, contrast)
            scale = fit_scale(method, image, mask, contrast, self.files.tissue(visit))
            samples.append(self._white(visit, normalize(image, scale), mask))
            worst = max(worst, error_of_inverse(scale, image))
        return samples, worst

    def together(self, method: str) -> dict[str, tuple[list[np.ndarray], float]]:
        """Return the same for each contrast on the scale of the cohort."""
        way = RavelCohort(self.files) if method == "ravel" else Standards(self.files, method)
        population = way.fit(
            [(visit, way.look_at(visit, self.contrasts)) for visit in self.visits], self.contrasts
        )
        found = {}
        for contrast in self.contrasts:
            samples, worst = [], 0.0
            for visit in self.visits:
                mask = self.files.mask(visit, contrast)
                path, scale = way.apply(visit, contrast, population)
                samples.append(self._white(visit, nib.load(path), mask))
                worst = max(worst, self._inverse(visit, contrast, path, scale))
            found[contrast] = samples, worst
        return found

    def _inverse(self, visit, contrast: str, path: Path, scale) -> float:
        field = path.with_name(path.name.replace("desc-ravel", "desc-ravelfield"))
        z = nib.load(path).get_fdata() + (nib.load(field).get_fdata() if field != path and field.is_file() else 0)
        x = self.files.preproc(visit, contrast).get_fdata()
        return float(np.abs(scale.inverse(z) - x).max() / np.abs(x).max())

    def _white(self, visit, image: nib.Nifti1Image, mask: nib.Nifti1Image) -> np.ndarray:
        return image.get_fdata()[self.white[visit.label] & (np.asarray(mask.dataobj) > 0)]


def error_of_inverse(scale, image: nib.Nifti1Image) -> float:
    """Return the largest error of there and back in float32, relative to the brightest voxel."""
    x = np.asarray(image.dataobj, np.float32)
    z = np.asarray(scale.forward(x), np.float32)
    return float(np.abs(scale.inverse(z) - x).max() / np.abs(x).max())


def main() -> None:
    """Print a table of all methods."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("derivatives", type=Path)
    parser.add_argument("--source", default="T1w")
    parser.add_argument("--target", default="FLAIR")
    args = parser.parse_args()
    settings = Settings(
        args.derivatives, args.derivatives, ("group",), source=(args.source,), target=args.target, reference="T1w"
    )
    gathered = gather(args.derivatives, settings.source, settings.target, settings.reference)
    cohort = Cohort(settings, [visit for visit in gathered.visits if visit.pair.target is not None])
    print(f"{len(cohort.visits)} visits")
    print("method\tcontrast\tdivergence\tas preprocessed\tlowered by\terror of the inverse")
    raw = {contrast: divergence(cohort.alone("none", contrast)[0]) for contrast in cohort.contrasts}
    for method in (*ALONE, *COHORT):
        together = cohort.together(method) if method in COHORT else {}
        for contrast in cohort.contrasts:
            samples, worst = together.get(contrast) or cohort.alone(method, contrast)
            here = divergence(samples)
            lowered = 1 - here / raw[contrast]
            print(f"{method}\t{contrast}\t{here:.3f}\t{raw[contrast]:.3f}\t{lowered:.0%}\t{worst:.1e}", flush=True)


if __name__ == "__main__":
    main()
