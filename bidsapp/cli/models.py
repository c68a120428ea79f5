"""The command ``synthprep-models``: list bundles, show their cards, check them, pass them on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bidsapp.cli.endings import command
from bidsapp.cli.words import CommandParser
from bidsapp.errors import AppError, DataError, NoInputError, UsageError
from bidsapp.settings import EXPORTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bidsapp.errors import ExitCode


@command("synthprep-models")
def main(words: Sequence[str]) -> ExitCode | None:
    """Run the command."""
    given = build_parser().parse_args(words)
    run: Callable[[argparse.Namespace], None] = given.run
    run(given)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = CommandParser(prog="synthprep-models", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=CommandParser)

    def verb(name: str, run: Callable[[argparse.Namespace], None], about: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
        added.set_defaults(run=run)
        return added

    def bundle(added: argparse.ArgumentParser) -> None:
        about = "its folder, or the name of one that comes with the software"
        added.add_argument("bundle", type=Path, metavar="BUNDLE", help=about)

    listed = verb("list", _list, "list the bundles that come with the software, and those in folders")
    listed.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="such as an output folder")
    bundle(verb("show", _show, "print the card of a bundle"))
    verified = verb("verify", _verify, "check that everything in a bundle is what it says")
    bundle(verified)
    verified.add_argument("--sha256", metavar="HEX", help="and that it is the one that somebody published")
    seen = verb("seen", _seen, "say which visits are of participants whom a bundle has seen")
    bundle(seen)
    seen.add_argument("derivatives", type=Path, metavar="OUTPUT_DIR", help="preprocessed visits")
    shared = verb("share", _share, "copy a bundle for others: hashes for labels, and a licence on its card")
    bundle(shared)
    shared.add_argument("goal", type=Path, metavar="COPY", help="a new folder")
    shared.add_argument("--license", dest="licence", metavar="SPDX", help="such as Apache-2.0")
    shared.add_argument("--notes", type=Path, metavar="FILE", help="Markdown that goes into the card")
    words = "say that it predicts badly, and is a start for trainings only"
    shared.add_argument("--initializer", action="store_true", help=words)
    exported = verb("export", _export, "write the mean of a bundle's networks for other software")
    bundle(exported)
    exported.add_argument("goal", type=Path, metavar="FOLDER", help="where to")
    exported.add_argument("--format", choices=EXPORTS, default="onnx", help="(onnx)")
    return parser


def _list(given: argparse.Namespace) -> None:
    from bidsapp.synthesis.library import bundles_in, packaged

    for folder in given.folders:
        if not folder.is_dir():
            raise NoInputError(f"{folder}: no such folder", "give a folder that holds bundles")
    rows = [_row(name, path) for name, path in packaged().items()]
    rows += [_row(str(path), path) for folder in given.folders for path in bundles_in(folder)]
    if not rows:
        sys.stdout.write("no bundle comes with the software; give the output folder of a group level\n")
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(_harmless("  ".join(cells).rstrip()) + "\n")


def _row(name: str, path: Path) -> tuple[str, ...]:
    """Return name, what is predicted, network, voxel edges, intensity scale and version; or what is wrong."""
    from bidsapp.synthesis.manifest import contrasts_of, images_of, read_manifest

    try:
        manifest = read_manifest(path)
        sources, target = contrasts_of(manifest, path)
        images = images_of(manifest, path)
        plan, version = manifest["Plan"], manifest.get("Version", "")
    except AppError as error:
        return name, f"refused: {error.message.removeprefix(f'{path}/')}", "", "", "", ""
    edges = " to ".join(dict.fromkeys(" × ".join(f"{e:g}" for e in edge) for edge in images.spacing_mm))
    what = f"{', '.join(sources)} → {target}"
    return name, what, str(plan.get("network")), f"{edges} mm", images.normalization, str(version)


def _show(given: argparse.Namespace) -> None:
    from bidsapp.synthesis.manifest import BUNDLE_FILE, read_manifest
    from bidsapp.synthesis.seal import check_files, files_of

    path = _found(given.bundle)
    listed = files_of(read_manifest(path), path / BUNDLE_FILE)
    card = {name: digest for name, digest in listed.items() if name == "README.md"}
    check_files(path, card)
    for name in card:
        sys.stdout.write(_harmless((path / name).read_text(encoding="utf-8")))


def _verify(given: argparse.Namespace) -> None:
    from bidsapp.synthesis.bundle import read_bundle

    bundle = read_bundle(_found(given.bundle))
    if given.sha256 is not None and given.sha256.lower() != bundle.sha256:
        message = f"{bundle.path}: is another bundle, SHA-256 {bundle.sha256}"
        raise DataError(message, "get it from those who published it")
    sys.stdout.write(f"{bundle.path}: is what it says, {bundle.folds} networks, SHA-256 {bundle.sha256}\n")


def _seen(given: argparse.Namespace) -> None:
    from bidsapp.bids.gather import gather
    from bidsapp.synthesis.bundle import read_bundle
    from bidsapp.synthesis.splits import folds_of

    bundle = read_bundle(_found(given.bundle))
    plan = bundle.plan
    found = gather(
        given.derivatives, plan.sources, plan.target, bundle.images.reference, may_miss=plan.sources_may_miss
    )
    if not (found.visits or found.skipped or found.damaged):
        raise NoInputError(f"{given.derivatives}: no preprocessed visit", "give an output folder of synthprep")
    whose = {one.visit: one.participant for one in found.identities}
    sys.stdout.write("visit\tin_training_set\theld_out_by_fold\n")
    for visit, participant in whose.items():
        folds = folds_of(bundle.everybody, [one for one in found.identities if one.participant == participant])
        number = next(iter(folds)) if len(folds) == 1 else None
        held = "n/a" if not folds else "none" if number is None else str(number)
        sys.stdout.write(f"{visit}\t{str(bool(folds)).lower()}\t{held}\n")
    for skip in (*found.skipped, *found.damaged):
        if skip.visit in whose:
            continue
        sys.stdout.write(f"{skip.visit}\tn/a\tn/a\n")
        sys.stderr.write(f"synthprep-models: {skip.visit} cannot be told: {skip.reason}\n")


def _share(given: argparse.Namespace) -> None:
    from bidsapp.synthesis.sharing import share

    said = {"licence": given.licence} if given.licence else {}
    if given.notes:
        try:
            said["notes"] = given.notes.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--notes {given.notes}: {error}", "give a text file") from error
    bundle = share(*_goal_outside(given), **said, initializer=given.initializer)
    sys.stdout.write(f"{bundle.path}: SHA-256 {bundle.sha256}\n")


def _export(given: argparse.Namespace) -> None:
    from bidsapp.cli.bundles import check_export
    from bidsapp.synthesis.bundle import read_bundle
    from bidsapp.synthesis.export import export_bundle

    check_export(given.format)
    bundle, goal = _goal_outside(given)
    path = export_bundle(read_bundle(bundle), goal, given.format)
    sys.stdout.write(f"{path}\n")


def _goal_outside(given: argparse.Namespace) -> tuple[Path, Path]:
    """Return bundle and goal; a file more, and the bundle is no more what it says."""
    bundle, goal = _found(given.bundle), given.goal.absolute()
    if goal.resolve().is_relative_to(bundle.resolve()):
        raise UsageError(f"{goal}: lies in the bundle", "give a folder elsewhere")
    return bundle, goal


def _harmless(text: str) -> str:
    """Return what somebody else wrote without what a terminal would obey."""
    return "".join(letter for letter in text if letter.isprintable() or letter == "\n")


def _found(named: Path) -> Path:
    """Return the folder of a bundle; `NoInputError` where there is none."""
    from bidsapp.synthesis.library import known_names, resolved

    path = resolved(named).absolute()
    if not path.is_dir():
        raise NoInputError(f"{named}: no such bundle", f"give its folder, {known_names()}")
    return path
