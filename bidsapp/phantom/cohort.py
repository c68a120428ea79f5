"""A simulated BIDS dataset: participants, visits, and some of them without the target contrast."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bidsapp import __version__
from bidsapp.bids.sink import write_image, write_json, write_text, write_tsv
from bidsapp.phantom import acquisition
from bidsapp.phantom.anatomy import Head, add_lesions, template_head
from bidsapp.phantom.artefacts import blurred, ghosted
from bidsapp.phantom.deformation import Deformation, draw_deformation
from bidsapp.phantom.morphology import varied
from bidsapp.phantom.scanner import Scanner, draw_scanner, standard_scanner
from bidsapp.phantom.truth import ScanTruth, withheld, write_truth
from bidsapp.phantom.variation import RANDOMIZED, STANDARD, Variation, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

REFERENCE = "T1w"
GHOSTS = 3
README = """# A simulated cohort

Made by SynthPrep {version}: deformations of the MNI 2009a template with signals from sequence equations, partial
volume, bias fields, Rician noise, thick slices and motion between contrasts. Nobody was scanned.
`sourcedata/truth` holds what the simulation knows: bias fields, motion, brain masks, noise-free images, and the
images that the dataset lacks.
"""


@dataclass(frozen=True)
class SimulatedVisit:
    """A visit to simulate.

    Attributes
    ----------
    subject, session : str
        Labels.
    lacks : str or None
        The contrast that was acquired and then withheld.
    """

    subject: str
    session: str
    lacks: str | None

    @property
    def label(self) -> str:
        """``sub-01_ses-1``."""
        return f"sub-{self.subject}_ses-{self.session}"


@dataclass(frozen=True)
class _Participant:
    head: Head
    deformation: Deformation
    scanner: Scanner
    variation: Variation


def simulate_cohort(
    root: Path,
    *,
    participants: int = 6,
    seed: int = 0,
    resolution: float = 1.0,
    contrasts: Sequence[str] = ("T1w", "FLAIR"),
    randomized: bool = False,
    complete: bool = False,
    on_visit: Callable[[int, str], object] | None = None,
) -> list[SimulatedVisit]:
    """Simulate a dataset and its truth; the same arguments give the same bytes.

    Parameters
    ----------
    root : Path
        Folder of the dataset.
    participants : int
        Every third has a second session without the last contrast; the last participant never had it.
    seed : int
        Seed of every random number. The n-th participant is the same whatever their number.
    resolution : float
        Voxel edge of the T1w, and in-plane of the others, mm.
    contrasts : sequence of str
        The T1w, and any of T2w and FLAIR.
    randomized : bool
        Whether contrast, resolution, artefacts, lesions and anatomy vary as widely as `RANDOMIZED` says.
    complete : bool
        Whether there are first sessions only, and no contrast is withheld.
    on_visit : callable or None
        Called with a visit's number and label before it is simulated.

    Returns
    -------
    list of SimulatedVisit
    """
    template = template_head()
    visits = plan_visits(participants, contrasts[-1], complete=complete)
    variation = RANDOMIZED if randomized else STANDARD
    for number, visit in enumerate(visits):
        if on_visit is not None:
            on_visit(number, visit.label)
        person = _draw_participant(template, visit, seed, variation)
        for order, contrast in enumerate(contrasts):
            random = _random(seed, visit, 100 + order)
            _simulate_scan(root, visit, person, contrast, resolution, random)
    _write_root(root, visits)
    return visits


def plan_visits(participants: int, target: str, *, complete: bool = False) -> list[SimulatedVisit]:
    """Return the visits of a cohort."""
    if complete:
        return [SimulatedVisit(f"{number:02d}", "1", None) for number in range(1, participants + 1)]
    visits = []
    for number in range(1, participants + 1):
        subject = f"{number:02d}"
        never = number == participants and participants > 1
        visits.append(SimulatedVisit(subject, "1", target if never else None))
        if number % 3 == 0:
            visits.append(SimulatedVisit(subject, "2", target))
    return visits


def _random(seed: int, visit: SimulatedVisit, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, int(visit.subject), int(visit.session), stream])


def _draw_participant(template: Head, visit: SimulatedVisit, seed: int, variation: Variation) -> _Participant:
    """Draw head and scanner by participant, lesions by visit."""
    person = np.random.default_rng([seed, int(visit.subject)])
    deformation = draw_deformation(template.brain.shape, person, variation)
    scanner = draw_scanner(person) if variation.randomized else standard_scanner(person)
    head = varied(template, person) if variation.randomized else template
    return _Participant(add_lesions(head, _random(seed, visit, 0), variation), deformation, scanner, variation)


def _simulate_scan(
    root: Path,
    visit: SimulatedVisit,
    person: _Participant,
    contrast: str,
    resolution: float,
    random: np.random.Generator,
) -> None:
    """Simulate one image, and write it and its truth."""
    head, vary = person.head, person.variation
    protocol = acquisition.draw_protocol(resolution, random, reference=contrast == REFERENCE, variation=vary)
    strength = person.scanner.strength(contrast)
    whole = np.sum([strength[name] * fraction for name, fraction in head.fractions.items()], axis=0)
    clean, soft = _scan(person, [np.asarray(whole, np.float32), acquisition.blur(head.brain)], protocol)
    brain = soft >= 0.5
    bias = acquisition.draw_bias(brain, protocol.affine, random, vary.bias)
    gain = acquisition.draw_gain(strength["wm"], random)
    blur, ghost = draw(vary.blur, random), draw(vary.ghost, random)
    spoiled = ghosted(blurred(clean * bias, blur), ghost, GHOSTS)
    noisy = acquisition.add_noise(spoiled, strength["wm"], random, vary.snr) * gain

    def image(data: NDArray[np.generic]) -> nib.Nifti1Image:
        return nib.Nifti1Image(data, protocol.affine)

    goal = root / f"sub-{visit.subject}" / f"ses-{visit.session}" / "anat" / f"{visit.label}_{contrast}.nii.gz"
    if visit.lacks == contrast:
        goal = withheld(root, visit.label, contrast)
    sequence = person.scanner.sequences[contrast]
    sidecar = {
        "MagneticFieldStrength": person.scanner.field,
        "RepetitionTime": sequence.tr / 1000,
        "EchoTime": sequence.te / 1000,
        **({"InversionTime": sequence.ti / 1000} if sequence.ti else {}),
        **({"FlipAngle": sequence.flip} if sequence.flip < 90 else {}),
        "SliceThickness": round(float(protocol.affine[2, 2]), 4),
    }
    write_image(image(np.rint(noisy)), goal, sidecar, dtype="int16")
    truth = ScanTruth(
        contrast,
        protocol.motion,
        image(bias),
        image(brain.astype(np.uint8)),
        image((clean * gain).astype(np.float32)),
    )
    drawn = {
        "Tissues": {name: asdict(tissue) for name, tissue in person.scanner.tissues.items()},
        "Sequence": asdict(sequence),
        "Blur": blur,
        "Ghost": ghost,
    }
    write_truth(root, visit.label, truth, drawn)


def _scan(
    person: _Participant, maps: Sequence[NDArray[np.float32]], protocol: acquisition.Protocol
) -> list[NDArray[np.float32]]:
    """Sample maps of the template where an image's slices lie in the moved head, and average within slices."""
    affine, shape = acquisition.sub_slice_grid(protocol)
    moved = np.linalg.inv(protocol.motion) @ affine
    fine = person.deformation.sample(maps, person.head.affine, moved, shape)
    return [acquisition.average_slices(values, protocol) for values in fine]


def _write_root(root: Path, visits: Sequence[SimulatedVisit]) -> None:
    description = {
        "Name": "SynthPrep's simulated cohort",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "Authors": ["SynthPrep", "Nobody else"],
        "GeneratedBy": [{"Name": "synthprep-phantom", "Version": __version__}],
    }
    write_json(description, root / "dataset_description.json")
    write_text(README.format(version=__version__), root / "README.md")
    rows = [{"participant_id": label} for label in dict.fromkeys(f"sub-{visit.subject}" for visit in visits)]
    write_tsv(rows, root / "participants.tsv", ["participant_id"])
