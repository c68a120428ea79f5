"""The options of the command line, group by group."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bidsapp.cli.learning import add_folds, add_training
from bidsapp.cli.words import Labels, contrasts, default, memory
from bidsapp.settings import (
    BIAS_CORRECTIONS,
    DEVICES,
    EXPORTS,
    KEEP_WORK,
    MATCH_NORMALIZED,
    NETWORKS,
    NORMALIZATIONS,
    REFERENCE_POLICIES,
    REGISTRATIONS,
    SKULL_STRIPPERS,
    SYNTH_SPACES,
    TEMPLATE_REGISTRATIONS,
)


def add_selection(group: argparse._ArgumentGroup) -> None:
    """Add the options that select visits."""
    group.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        action=Labels,
        prefix="sub-",
        metavar="LABEL",
        help="only these participants, at both levels: labels, with or without sub-, or a text file of them",
    )
    group.add_argument(
        "--session-label",
        "--session-id",
        nargs="+",
        action=Labels,
        prefix="ses-",
        metavar="LABEL",
        help="only these sessions, in the same way",
    )
    group.add_argument("--bids-filter-file", type=Path, metavar="JSON", help="contrast → pybids entities")
    group.add_argument(
        "--bids-database-dir",
        type=Path,
        metavar="DIR",
        help="pybids index of the dataset: used where there is one, else made; remove it when the dataset changes",
    )
    group.add_argument(
        "--skip-bids-validation",
        action="store_true",
        help="go on without dataset_description.json, with a derivative dataset, and with the validator's errors",
    )


def add_preprocessing(group: argparse._ArgumentGroup) -> None:
    """Add the options of the participant level."""
    group.add_argument(
        "--reference",
        metavar="T1w",
        help=f"contrast that every visit needs and has its grid ({default('reference')})",
    )
    group.add_argument(
        "--reference-policy",
        choices=REFERENCE_POLICIES,
        help=f"which of several is used; best: finest voxels, least motion ({default('reference_policy')})",
    )
    group.add_argument(
        "-d",
        "--derivatives",
        nargs="+",
        action="extend",
        metavar="NAME=PATH",
        help="datasets whose transforms are used and, where precomputed is asked for, brain masks and images",
    )
    group.add_argument(
        "--contrasts", type=contrasts, metavar="T2w[,ct]", help="further contrasts to preprocess, where acquired"
    )
    group.add_argument(
        "--bias-correction",
        choices=BIAS_CORRECTIONS,
        help="of MR images; precomputed: take the preprocessed images of --derivatives, where there are some "
        f"({default('bias_correction')})",
    )
    group.add_argument("--write-bias-field", action="store_true", help="write the bias field beside the image")
    group.add_argument(
        "--skull-strip",
        choices=SKULL_STRIPPERS,
        help="how the brain is found on MR images; precomputed: by --derivatives; skip: they came without skull; "
        f"auto: deepbet, and a template where that fails ({default('skull_strip')})",
    )
    group.add_argument(
        "--registration", choices=REGISTRATIONS, help=f"to the reference ({default('registration')})"
    )
    group.add_argument(
        "--resolution",
        metavar="MM",
        help="voxel edges of the visit's grid: 1; 1,1,2 (left-right, front-back, up-down, however it is stored); "
        f"or native ({default('resolution')})",
    )
    group.add_argument(
        "--output-spaces",
        nargs="+",
        metavar="SPACE",
        help="standard spaces to write preprocessed images in, too, NAME[:res-MM]: MNI152NLin2009aSym, which is "
        "carried along, or a template of a local TEMPLATEFLOW_HOME",
    )
    group.add_argument(
        "--template-registration",
        choices=TEMPLATE_REGISTRATIONS,
        help=f"of the reference to their templates ({default('template_registration')})",
    )
    group.add_argument(
        "--normalization",
        metavar=f"{{{','.join(NORMALIZATIONS)}}}",
        help=f"intensity scale of MR images ({default('normalization')})",
    )


def add_synthesis(group: argparse._ArgumentGroup) -> None:
    """Add the options of the group level."""
    group.add_argument(
        "--source", type=contrasts, metavar="T1w[,T2w]", help=f"contrasts to predict from ({default('source')})"
    )
    group.add_argument(
        "--allow-missing-source",
        action="store_true",
        help="learn to do without some of several sources, and predict visits that have at least one",
    )
    group.add_argument("--target", metavar="FLAIR", help=f"contrast to predict ({default('target')})")
    group.add_argument("--network", choices=NETWORKS, help=f"what to train ({default('network')})")
    group.add_argument(
        "--no-baseline", dest="baseline", action="store_false", help="do not train the article's network beside it"
    )
    add_folds(group)
    group.add_argument(
        "--model",
        type=Path,
        metavar="BUNDLE",
        help="apply a trained bundle, train nothing: a folder, or a name that synthprep-models list shows",
    )
    group.add_argument(
        "--export",
        choices=EXPORTS,
        help="write the mean of the bundle's networks for other software, too",
    )
    group.add_argument(
        "--synth-space",
        choices=SYNTH_SPACES,
        help="grid of synthesized images: the visit's common one, or that of the acquired reference "
        f"({default('synth_space')})",
    )
    group.add_argument(
        "--match-to",
        metavar=f"IMAGE|{MATCH_NORMALIZED}",
        help="give synthesized images the intensities of this preprocessed one, or leave them in normalized units "
        "(the training cohort's typical ones)",
    )
    group.add_argument(
        "--init-from",
        type=Path,
        metavar="BUNDLE",
        help="train the networks of a bundle further, each without the people that its new fold holds out",
    )
    add_training(group)


def add_resources(group: argparse._ArgumentGroup) -> None:
    """Add the options that limit what a run may use."""
    group.add_argument("--nprocs", "--n-cpus", type=int, metavar="N", help="processes at a time")
    group.add_argument(
        "--omp-nthreads",
        type=int,
        metavar="N",
        help="threads of the group level; every step of the participant level takes one, so that it repeats",
    )
    group.add_argument("--mem", dest="mem_gb", type=memory, metavar="16G", help="memory; a bare number is MB")
    group.add_argument("--device", choices=DEVICES, help=f"where networks run ({default('device')})")
    group.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="processes of a computer that share each training, each with a GPU of its own where there are GPUs; "
        f"started by torchrun, by srun, or else by this program ({default('devices')})",
    )
    group.add_argument(
        "--num-nodes",
        type=int,
        metavar="N",
        help=f"computers that share it, each with so many; torchrun or srun starts them ({default('num_nodes')})",
    )


def add_run(group: argparse._ArgumentGroup) -> None:
    """Add the options of how a run goes."""
    group.add_argument(
        "-w",
        "--work-dir",
        type=Path,
        metavar="DIR",
        help="intermediate files, in a folder for these data (OUTPUT_DIR/work)",
    )
    group.add_argument(
        "--keep-work",
        choices=KEEP_WORK,
        help="of which visits they stay when all have had their turn; a visit whose files are gone is computed "
        f"anew by the next run ({default('keep_work')})",
    )
    group.add_argument("--config-file", type=Path, metavar="TOML", help="settings of an earlier run")
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be done, and stop; writes nothing; the plan of a training with group alone",
    )
    group.add_argument(
        "--boilerplate-only",
        action="store_true",
        help="write the methods text of these options to OUTPUT_DIR/logs/CITATION.*, and stop",
    )
    group.add_argument(
        "--seed",
        "--random-seed",
        type=int,
        metavar="N",
        help=f"seed of the group level ({default('seed')}); the participant level always takes the same one",
    )
    group.add_argument("--sloppy", action="store_true", help="coarse and quick, for tests only")
    group.add_argument("--stop-on-first-crash", action="store_true", help="stop at the first failure")
    group.add_argument("--debug", action="store_true", help="show where an error came from")
    group.add_argument("--notrack", action=_Nothing, nargs=0, help="accepted; nothing ever leaves the machine")
    group.add_argument("-v", "--verbose", dest="verbosity", action="count", help="say more; twice: say everything")


class _Nothing(argparse.Action):
    def __call__(self, *_: Any, **__: Any) -> None:
        """Accept the option and do nothing."""
