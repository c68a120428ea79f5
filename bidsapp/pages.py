"""The page of a visit: from what its scans left in the work folder, and what earlier runs left of it elsewhere."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bidsapp import __version__
from bidsapp.bids import names
from bidsapp.bids.gather import read_json
from bidsapp.bids.scans import quality_of, read_scans
from bidsapp.bids.sidecars import is_sloppy
from bidsapp.errors import DataError
from bidsapp.interfaces.base import ERROR_FILE, read_word
from bidsapp.interfaces.record import read_record
from bidsapp.reports.boilerplate import compose, readable
from bidsapp.reports.environment import command_line, versions
from bidsapp.reports.histograms import read_curves
from bidsapp.reports.records import ScanStory, Trouble, VisitReport
from bidsapp.reports.story import scan_figures
from bidsapp.workflows.execution import Failure
from bidsapp.workflows.nodes import RUN, node_folder, scan_name, sink_node, spaces_node, visit_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bidsapp.records import Scan, Visit
    from bidsapp.reports.boilerplate import Sentence
    from bidsapp.settings import Settings
    from bidsapp.workflows.execution import Outcome

LOST = "no finished record of it is left; synthprep-status says what became of it"


def scan_record(settings: Settings, visit: Visit, scan: Scan, outcome: Outcome) -> dict[str, Any]:
    """Return what a scan's sink left, with what was written of it in standard spaces."""
    record, spaces = (
        read_record(node_folder(settings, node)) if node in outcome.finished else {}
        for node in (sink_node(visit, scan), spaces_node(visit, scan))
    )
    return {
        **record,
        "row": {**record["row"], **spaces.get("row", {})},
        "outputs": [*record["outputs"], *spaces.get("outputs", [])],
        "in_spaces": spaces.get("figures", {}),
    }


def failures_left(settings: Settings, lacking: Sequence[str]) -> list[Failure]:
    """Return why nodes have no record, as steps of their graphs wrote it down; one that runs again removes it."""
    return [
        Failure(f"{graph}.{file.parent.name}", error.message, error.hint, error.exit_code)
        for graph in dict.fromkeys(node.rpartition(".")[0] for node in lacking)
        for file in sorted(node_folder(settings, graph).glob(f"*/{ERROR_FILE}"))
        if (error := read_word(file.parent))
    ]


def visit_report(
    settings: Settings,
    visit: Visit,
    done: Sequence[tuple[Scan, Mapping[str, Any]]],
    failures: Sequence[Failure],
    told: Sequence[Sentence],
    *,
    fresh: bool = True,
) -> VisitReport:
    """Return what the page of a visit says.

    Parameters
    ----------
    settings : Settings
        Of this run.
    visit : Visit
        Whose page.
    done : sequence of (Scan, mapping)
        Scans that were finished, each with its `scan_record`.
    failures : sequence of Failure
        Of its steps.
    told : sequence of Sentence
        What was done to it.
    fresh : bool
        Whether this run did it. Of an earlier one it is not known by which command and with what it ran.

    Returns
    -------
    VisitReport
    """
    reference = settings.reference
    kept = _kept(settings, visit)
    records = {scan.contrast: record for scan, record in done}
    lost = LOST if not fresh else "what it needs failed" if failures else "the run stopped before"
    scans = [_story(settings, visit, scan, records.get(scan.contrast), failures, lost) for scan in visit.scans]
    flags = [f"{scan.contrast}: {record['row']['flags']}" for scan, record in done if record["row"].get("flags")]
    flags += [f"{scan.contrast}: not finished, {scan.reason}" for scan in scans if scan.state == "unfinished"]
    if settings.spaces and not failures and not all(record["in_spaces"] for record in records.values()):
        flags.append(f"standard spaces: not finished, {lost}")
    flags += [f"{row['contrast']}, of an earlier run: {row['flags']}" for row in kept if row.get("flags")]
    return VisitReport(
        visit=visit.label,
        version=__version__,
        rows=[*(record["row"] for _, record in done), *kept],
        decisions={scan.contrast: record["decisions"] for scan, record in done},
        flags=[*(f"{failure.message} ({failure.hint})" for failure in failures), *flags],
        figures=[
            figure
            for scan, record in done
            for figure in scan_figures(scan.contrast, reference, record["figures"], record["in_spaces"])
        ],
        methods=readable(compose({visit.label: told})),
        outputs=[path for _, record in done for path in record["outputs"]],
        sloppy=settings.sloppy if fresh else any(_is_sloppy(settings, visit, scan) for scan, _ in done),
        reference=reference,
        scans=scans,
        troubles=[Trouble(f.node.split(".", 2)[-1], f.message, f.hint) for f in failures],
        curves=read_curves(settings.output_dir, visit.label),  # those of visits of other runs, too
        command=command_line() if fresh else "",
        versions=versions() if fresh else {},
    )


def _kept(settings: Settings, visit: Visit) -> list[dict[str, str | float]]:
    """Return the rows of a visit's table of contrasts that only earlier runs had."""
    try:
        rows = read_scans(settings.output_dir / names.scans_table(visit))
    except DataError:
        return []
    return [
        {**{name: text for name, text in row.items() if text != "n/a"}, **quality_of(row)}
        for row in rows
        if row["contrast"] not in visit.contrasts
    ]


def _is_sloppy(settings: Settings, visit: Visit, scan: Scan) -> bool:
    sidecar = names.sidecar(names.preproc(visit, scan, settings.reference))
    with suppress(DataError):
        return is_sloppy(read_json(settings.output_dir / sidecar))
    return False


def _story(
    settings: Settings,
    visit: Visit,
    scan: Scan,
    record: Mapping[str, Any] | None,
    failures: Sequence[Failure],
    lost: str,
) -> ScanStory:
    """Say what became of a scan; `lost` is why one has neither a record nor failed."""
    if record is not None:
        flags = record["row"].get("flags", "")
        state, output = "flagged" if flags else "used", names.preproc(visit, scan, settings.reference)
        return ScanStory(scan.contrast, record["raw"], state, flags, record["header"], output)
    raw = scan.path
    if raw.is_relative_to(settings.bids_dir):
        raw = raw.relative_to(settings.bids_dir)
    own = f"{RUN}.{visit_name(visit)}.{scan_name(scan)}."
    said = [failure.message for failure in failures if failure.node.startswith(own)]
    if said:
        return ScanStory(scan.contrast, raw.as_posix(), "failed", "; ".join(said))
    return ScanStory(scan.contrast, raw.as_posix(), "unfinished", lost)
