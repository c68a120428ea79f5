"""The card of a bundle, ``README.md``: what it is, whom it was trained on, what it reached, what it is not for.

All of it is read off the bundle; its head is the front matter that hosts of models read. Participants stand in it
by their pseudonyms, so that a card can be shown to anybody.
"""

from __future__ import annotations

import csv
import io
import json
from statistics import fmean
from typing import TYPE_CHECKING

from bidsapp.records import region
from bidsapp.synthesis.axial import range_of, within
from bidsapp.synthesis.plan import plan_to_json
from bidsapp.synthesis.pseudonyms import pseudonyms
from bidsapp.synthesis.statistics import paired

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bidsapp.synthesis.bundle import Bundle

CARD_FILE = "README.md"
METRICS_FILE = "metrics.tsv"
# What front matter calls a licence that is none of the usual ones.
UNDECIDED = "other"
NO_LICENCE = """Its makers have not chosen one, so nobody else may use it.
`synthprep-models share BUNDLE COPY --license SPDX` writes a copy that has one."""
START_ONLY = """>
> **A start for trainings only** (`--init-from`): on real brains it predicted worse than a map of intensities.
"""
TESTS_ONLY = """>
> **For tests only** (`--sloppy`): it was trained too short, or on images that were made coarsely.
"""
BASELINES = {
    "floor": "the best map of intensities that knows no place",
    "forest": "a random forest on the 3 × 3 × 3 voxels around each",
    "seed-resnet": "the network of Reinhold et al. 2019 (doi:10.1117/12.2513089)",
}
MEASURES = {"mae": "mean absolute error", "ssim": "SSIM", "sharpness": "sharpness"}

TEMPLATE = """---
license: {license}
library_name: synthprep
pipeline_tag: image-to-image
tags:
{tags}
---

# {name}

Predicts the {target} of a brain from its {sources}{some}. Made by SynthPrep {version}.

SHA-256 `{sha256}`

> **A lesion in a synthetic {target} is not evidence**, and neither is the lack of one. The image was never
> acquired: it shows what a {target} usually looks like where the {sources} looks as it does.
{warnings}
## Use

```console
$ synthprep-models verify BUNDLE
$ synthprep BIDS_DIR OUTPUT_DIR participant group {option} BUNDLE
```

BUNDLE is this folder, BIDS_DIR a dataset, OUTPUT_DIR where results go. Nothing is downloaded, and no file here
holds code.

For: research on groups that lack the contrast, such as a pipeline that needs one; a start for a training on images
of one's own (`--init-from BUNDLE`).

Not for: diagnosis, planning or deciding a treatment; finding, counting or measuring lesions; people, scanners or
protocols unlike those below, unless its error was measured on some of them.

## Data

{data}
{start}
## Errors on people held out

{errors}
{notes}
## Limits

- It knows what the {people} participants below showed, and says little of anybody who differs from them in age,
  disease or anatomy. What was rare among them is predicted badly, and looks plausible.
- What the sources do not show cannot be predicted.
- Images on another grid or intensity scale than the above are refused. Another scanner, field strength or sequence
  is not noticed by that, and makes errors larger.
- Errors above are means over brains. They say little of a small structure.

## Licence

{licence}

Who shares a network that was trained on people must be allowed to.

## Participants

A participant's name is a hash of the scans, not of a label: who has a scan can find it again, and nobody else.
`synthprep-models seen BUNDLE OUTPUT_DIR` says of every visit that was preprocessed there whether its participant
is one of these. They are predicted by the network of the fold that held them out.

{participants}

## Plan

```json
{plan}
```
"""


def model_card(bundle: Bundle, metrics: str, licence: str = UNDECIDED, notes: str = "") -> str:
    """Return the text of a bundle's card.

    Parameters
    ----------
    bundle : Bundle
        What it is about.
    metrics : str
        Content of its ``metrics.tsv``; empty where nothing was measured.
    licence : str
        SPDX identifier of the licence that its makers give it; by default they have not chosen one.
    notes : str
        What they have to say besides; Markdown.
    """
    plan, names = bundle.plan, pseudonyms(bundle.everybody)
    origin = bundle.origin
    start = origin and (
        f"\nIts networks started from those of {origin.name} {origin.version}, SHA-256\n`{origin.sha256}`.\n"
    )
    return TEMPLATE.format(
        license=f"{licence.lower()}\nlicense_name: not-chosen" if licence == UNDECIDED else licence.lower(),
        tags="\n".join(f"- {tag}" for tag in ("BIDS", "MRI", "brain", *plan.sources, plan.target)),
        name=bundle.name,
        target=plan.target,
        sources=" and ".join(plan.sources),
        some=", some of which may be missing" if plan.sources_may_miss else "",
        version=bundle.version,
        sha256=bundle.sha256,
        data=_data(bundle),
        start=start or "",
        errors=_errors(bundle, metrics, names),
        option="--init-from" if bundle.initializer else "--model",
        warnings=(START_ONLY if bundle.initializer else "") + (TESTS_ONLY if bundle.sloppy else ""),
        notes=f"\n{notes.strip()}\n" if notes.strip() else "",
        people=len({split.participant for split in bundle.everybody}),
        licence=NO_LICENCE if licence == UNDECIDED else licence,
        participants=_participants(bundle, names),
        plan=json.dumps(plan_to_json(plan), indent=2),
    )


def write_card(folder: Path, bundle: Bundle, **said: str) -> None:
    """Write the card of a bundle whose files are in a folder; `said` is what `model_card` takes besides."""
    metrics = folder / METRICS_FILE
    text = metrics.read_text(encoding="utf-8") if metrics.is_file() else ""
    (folder / CARD_FILE).write_text(model_card(bundle, text, **said), encoding="utf-8")


def _data(bundle: Bundle) -> str:
    images = bundle.images
    least, greatest = (" × ".join(f"{edge:g}" for edge in edges) for edges in images.spacing_mm)
    return _table(
        ("", ""),
        [
            ("participants", len({split.participant for split in bundle.splits})),
            ("visits learned from", len({split.visit for split in bundle.splits if split.trained_on})),
            ("sources", ", ".join(bundle.plan.sources)),
            ("target", bundle.plan.target),
            ("grid", f"of the {images.reference}, {least if least == greatest else f'{least} to {greatest}'} mm"),
            ("intensity scale", f"`--normalization {images.normalization}`"),
            ("networks", f"{bundle.folds}, each without the participants of one fold"),
        ],
    )


def _errors(bundle: Bundle, metrics: str, names: Mapping[str, str]) -> str:
    """Return what the network and its baselines reached, and on each participant."""
    whose = {split.visit: split.participant for split in bundle.everybody}
    rows = [row for row in csv.DictReader(io.StringIO(metrics), delimiter="\t") if row["visit"] in whose]
    if not rows:
        return "Nothing was measured."
    mine = bundle.plan.network
    models = sorted({row["network"] for row in rows}, key=lambda model: (model != mine, model))
    values = [
        {"visit": row["visit"], "participant": whose[row["visit"]], "model": row["network"]}
        | {measure: float(row[measure]) for measure in MEASURES if row.get(measure, "n/a") != "n/a"}
        for row in rows
    ]
    reached = {measure: paired(values, models, measure) for measure in MEASURES}
    means = [(model, *(_mean(people[model].values()) for people in reached.values())) for model in models]
    errors = reached["mae"]
    people = sorted({person for found in errors.values() for person in found}, key=names.__getitem__)
    each = [
        (f"`{names[person]}`", *(_mean([found[person]] if person in found else []) for found in errors.values()))
        for person in people
    ]
    unit = "HU" if bundle.images.methods.get(bundle.plan.target) == "hu" else "normalized units"
    both = errors.get(mine, {}).keys() & errors.get("floor", {}).keys()
    better = sum(errors[mine][person] < errors["floor"][person] for person in both)
    said = [f"Errors are in {unit}. Sharpness is the predicted over the acquired image's; below 1 it is blurred."]
    said += [f"`{model}` is {text}." for model, text in BASELINES.items() if model in models and model != mine]
    if both:
        said.append(f"The error of `{mine}` was below that of `floor` for {better} of {len(both)} people.")
    part = range_of(rows[0])
    if part:
        said.append("Nothing was learned outside that range, where no prediction was measured, either.")
    if 2 * better < len(both):
        said.append("**Do not predict with it:** no network is needed for what `floor` does better.")
    return "\n\n".join(
        (
            f"Of {len(people)} people, by networks that had not seen them, "
            f"inside {region(bundle.plan.target)}{within(part)}.",
            _table(("", *MEASURES.values()), means),
            "\n".join(said),
            _table((MEASURES["mae"], *models), each),
        )
    )


def _participants(bundle: Bundle, names: Mapping[str, str]) -> str:
    rows = [
        (f"`{names[split.visit]}`", "none" if split.fold is None else split.fold, f"`{split.fingerprint[:16]}`")
        for split in sorted(bundle.everybody, key=lambda split: names[split.visit])
    ]
    return _table(("visit", "held out by fold", "SHA-256 of the voxels, first digits"), rows)


def _mean(values: Iterable[float]) -> str:
    values = list(values)
    return f"{fmean(values):.3f}" if values else "n/a"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
