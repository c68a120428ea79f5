"""A cohort that nobody has scanned: records of a group report, as many as one likes."""

import numpy as np

from bidsapp.bids.dataset import SCANS_COLUMNS
from bidsapp.reports.cohort_histograms import Histograms
from bidsapp.reports.records import Figure, GroupReport
from bidsapp.synthesis.metrics import MEASURED
from bidsapp.synthesis.statistics import Interval

CONTRASTS = ("T1w", "T2w", "FLAIR")
MODELS = ("unet", "seed-resnet", "forest", "floor")
WITHOUT_NUMBERS = {"contrast", "verdict", "reasons", "flags"}
LEVELS = tuple(n / 20 for n in range(1, 20))
CHECKS = ("likeness:T1w", "orientation:T1w", "shape", "extent:x", "histogram:T1w", "grain:T1w", "uncertainty")


def visits_of(number):
    """Return labels, two sessions for every third participant."""
    labels = []
    for n in range(number):
        labels += [f"sub-{n:04}_ses-1", f"sub-{n:04}_ses-2"] if n % 3 == 0 else [f"sub-{n:04}"]
    return labels[:number]


def quality_rows(visits, random):
    rows = []
    for number, visit in enumerate(visits):
        for contrast in CONTRASTS if number % 4 else CONTRASTS[:2]:
            numbers = {
                name: f"{random.normal(10, 1):.4f}" for name in SCANS_COLUMNS if name not in WITHOUT_NUMBERS
            }
            flags = "registration moved the brain by 41 mm" if number % 97 == 5 and contrast == "FLAIR" else "n/a"
            file = f"anat/{visit}_{'' if contrast == 'T1w' else 'space-T1w_'}desc-preproc_{contrast}.nii.gz"
            rows.append({"visit": visit, "filename": file, "contrast": contrast, **numbers, "flags": flags})
            rows[-1] |= {"verdict": "n/a", "reasons": "n/a"}
    return rows


def histograms(visits, random):
    edges = np.linspace(0, 10, 81)
    curves = {visit: np.exp(-((edges[1:] - random.normal(5, 0.5)) ** 2)) for visit in visits[:20]}
    return Histograms(edges, curves)


def predictions(visits, random):
    labels = ("trust", "trust", "trust", "caution", "reject")
    return [
        {
            "visit": visit,
            "path": f"{visit.split('_')[0]}/anat/{visit}_desc-synth_FLAIR.nii.gz",
            "in_training_set": number % 4 > 0,
            "fold": number % 5 if number % 4 else None,
            "missing": (),
            "verdict": labels[number % 5],
            "reasons": ["T1w is noisier than the training set's: difference is 1.2, most accepted 0.9"]
            if number % 5 > 2
            else [],
            "scores": {check: float(abs(random.normal(0, 0.6))) for check in CHECKS},
        }
        for number, visit in enumerate(visits)
    ]


def fabricated_report(folder, number, figure_bytes=1000):
    """Return the report of so many visits, whose figures it writes into a folder."""
    random, visits = np.random.default_rng(0), visits_of(number)
    people = list(dict.fromkeys(visit.split("_")[0] for visit in visits))
    rows = [
        {
            "visit": visit,
            "participant": visit.split("_")[0],
            "fold": n % 5,
            "model": model,
            "steps": 3000,
            **{name: float(abs(random.normal(0.4 + 0.05 * MODELS.index(model), 0.05))) for name in MEASURED},
        }
        for n, visit in enumerate(visits)
        for model in MODELS
        if n % 4
    ]
    figures = []
    for visit in visits[:12]:
        ink = random.integers(97, 123, figure_bytes, dtype=np.uint8).tobytes().decode()
        (folder / f"{visit}.svg").write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><!--{ink}--></svg>'
        )
        figures.append(Figure(visit, "Predicted.", f"{visit}.svg"))
    for visit in visits:
        (folder / f"{visit}.html").write_text("")
    interval = {model: Interval(len(people), 0.4, 0.39, 0.41) for model in MODELS}
    head = "---\nlicense: other\n---\n\n# unet\n\nText.\n\n| visit | fold | hash |\n| --- | --- | --- |"
    table = "\n".join(f"| `{person}` | 0 | `abcdef` |" for person in people)
    steps = np.arange(3000)
    return GroupReport(
        version="1.2.3",
        plan={"sources": ("T1w",), "target": "FLAIR", "network": "unet", "learning_rate": 0.006},
        rows=rows,
        columns=MODELS,
        summary=dict.fromkeys(MEASURED, interval),
        predictions=predictions(visits, random),
        false_alarms=0.02,
        dataset="a cohort that nobody has scanned",
        skipped=[(f"sub-9{n:03}", "no T1w", "name another --reference") for n in range(number // 50)],
        quality=quality_rows(visits, random),
        histograms={c: (histograms(visits, random), histograms(visits, random)) for c in CONTRASTS},
        history={
            f"fold {n}": list(zip(steps.tolist(), (1 / (1 + steps / 500)).tolist(), strict=True)) for n in range(5)
        },
        rates=[
            {"learning_rate": 10 ** (n / 20 - 5), "loss": 1.0 - n / 200, "smoothed": 1.0 - n / 200}
            for n in range(90)
        ],
        levels=LEVELS,
        coverage={person: [level**1.1 for level in LEVELS] for person in people},
        card=f"{head}\n{table}\n",
        figures=figures,
        methods="A network was trained.",
    )
