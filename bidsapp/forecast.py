"""A dry run of the participant level: which files would be used, what is done already, and what the rest takes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bidsapp.console import print_table, progress_bar
from bidsapp.costs import BASIS, loaded, output_bytes, own_seconds, step_seconds, work_bytes
from bidsapp.errors import ExitCode
from bidsapp.interfaces.output import scan_outputs
from bidsapp.interfaces.spaces import space_outputs
from bidsapp.status import VisitStatus
from bidsapp.workflows.cache import cached_nodes
from bidsapp.workflows.memory import look_at
from bidsapp.workflows.method import method_of
from bidsapp.workflows.nodes import RUN, node_folder, visit_name
from bidsapp.workflows.visit import init_run_wf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bidsapp.costs import Own
    from bidsapp.errors import DataError
    from bidsapp.records import Scan, Selection, Visit
    from bidsapp.resources import Grant
    from bidsapp.settings import Settings
    from bidsapp.workflows.memory import Memory

# A graph is built for so many visits at a time, so that a person sees it go on.
AT_A_TIME = 20


@dataclass
class Forecast:
    """What a run would do with one visit.

    Attributes
    ----------
    visit : Visit
        Which.
    memory : Memory
        Sizes of the scans and of the visit's grid, and what steps declare by them.
    problems : dict of str to DataError
        Contrast → why its header cannot be used.
    nodes : dict of str to float
        Full name of each step → memory that it declares, GB.
    cached : set of str
        Steps that an earlier run has finished.
    outputs, new : int
        Files that the visit is to have, and those of them that are not there.
    seconds : dict of str to float
        CPU seconds of the steps that are left.
    output_bytes : float
        Disk that the new files take.
    """

    visit: Visit
    memory: Memory
    problems: dict[str, DataError] = field(default_factory=dict)
    nodes: dict[str, float] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)
    outputs: int = 0
    new: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    output_bytes: float = 0.0

    @property
    def does(self) -> str:
        """What becomes of the visit, in a word."""
        if self.problems:
            return "fails"
        return "done before" if self.cached == self.nodes.keys() else "goes on" if self.cached else "to do"

    @property
    def status(self) -> VisitStatus:
        """As a run would say it."""
        if not self.problems:
            return VisitStatus(self.visit.label, "selected")
        said = "; ".join(f"{contrast} header check: {error.message}" for contrast, error in self.problems.items())
        hint = "; ".join(dict.fromkeys(error.hint for error in self.problems.values()))
        return VisitStatus(self.visit.label, "failed", said, hint, exit_code=ExitCode.BAD_DATA)


def dry_run(settings: Settings, selection: Selection, grant: Grant) -> tuple[VisitStatus, ...]:
    """Print what a run of the participant level would do, and write nothing.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    selection : Selection
        Visits, and images that are not used.
    grant : Grant
        Processes and memory that a run would have.

    Returns
    -------
    tuple of VisitStatus
        ``selected``, or ``failed`` where a header tells that already.
    """
    forecasts = [Forecast(visit, *look_at(settings, visit, grant.memory_gb)) for visit in selection.visits]
    _look_up(settings, forecasts, grant)
    own = own_seconds(settings.work)
    for forecast in forecasts:
        _count(settings, forecast, own)
    _show_files(settings, selection, forecasts)
    _show_visits(forecasts)
    _show_sum(forecasts, grant, "measured in earlier runs here, where they had such a step; else " if own else "")
    return tuple(forecast.status for forecast in forecasts)


def _look_up(settings: Settings, forecasts: Sequence[Forecast], grant: Grant) -> None:
    """Find the steps of each visit, and those that are done; a visit without a work folder has none."""
    alike: dict[tuple[str, ...], tuple[str, Sequence[str]]] = {}
    new = [f for f in forecasts if not node_folder(settings, f"{RUN}.{visit_name(f.visit)}").is_dir()]
    first = {forecast.visit.contrasts: forecast for forecast in reversed(new)}
    to_build = [f for f in forecasts if f not in new or first[f.visit.contrasts] is f]
    with progress_bar("looking for finished steps", total=len(to_build)) as update:
        for start in range(0, len(to_build), AT_A_TIME):
            some = to_build[start : start + AT_A_TIME]
            update(start, some[0].visit.label)
            workflow = init_run_wf(settings, [forecast.visit for forecast in some], grant.memory_gb)
            nodes, cached = cached_nodes(workflow)
            for forecast in some:
                prefix = f"{RUN}.{visit_name(forecast.visit)}."
                forecast.nodes = {node: memory for node, memory in nodes.items() if node.startswith(prefix)}
                forecast.cached = {node for node in cached if node.startswith(prefix)}
                alike[forecast.visit.contrasts] = (prefix, list(forecast.nodes))
    for forecast in forecasts:
        if not forecast.nodes:
            prefix, nodes = alike[forecast.visit.contrasts]
            mine = f"{RUN}.{visit_name(forecast.visit)}."
            own = (mine + node.removeprefix(prefix) for node in nodes)
            forecast.nodes = {node: forecast.memory.declared(node) for node in own}


def _count(settings: Settings, forecast: Forecast, own: Own) -> None:
    """Add what is left to do, and what it takes."""
    for node in forecast.nodes.keys() - forecast.cached:
        if not _blocked(settings, forecast, node):
            forecast.seconds[node] = step_seconds(node, forecast.memory.mvoxels, own)
    for scan in forecast.visit.scans:
        if scan.contrast in forecast.problems or settings.reference in forecast.problems:
            continue
        paths = _outputs(settings, forecast.visit, scan)
        there = sum((settings.output_dir / path).exists() for path in paths)
        forecast.outputs += len(paths)
        forecast.new += len(paths) - there
        forecast.output_bytes += (1 - there / len(paths)) * output_bytes(forecast.memory.mvoxels[""], paths)


def _blocked(settings: Settings, forecast: Forecast, node: str) -> bool:
    """Return whether a step cannot run because its scan or the reference cannot be used."""
    return settings.reference in forecast.problems or any(
        f".{contrast}_wf." in node or f".{contrast}_write" in node for contrast in forecast.problems
    )


def _outputs(settings: Settings, visit: Visit, scan: Scan) -> list[str]:
    field_written = method_of(settings, visit, scan).write_field
    paths = scan_outputs(visit, scan, settings.reference, field=field_written)
    spaces = list(settings.spaces)
    if spaces:
        paths += space_outputs(visit, scan, settings.reference, spaces, settings.template_registration)
    return paths


def _show_files(settings: Settings, selection: Selection, forecasts: Sequence[Forecast]) -> None:
    rows: list[dict[str, object]] = []
    unused: Mapping[str, list[dict[str, object]]] = {f.visit.label: [] for f in forecasts}
    for image in selection.unused:
        row = {"visit": image.visit, "file": _shown(image.path, settings), "is": "not used", "why": image.reason}
        unused[image.visit].append(row)
    for forecast in forecasts:
        for scan in forecast.visit.scans:
            problem = forecast.problems.get(scan.contrast)
            word = "cannot be used" if problem else "reference" if scan.contrast == settings.reference else "used"
            row = {"visit": forecast.visit.label, "file": _shown(scan.path, settings), "is": word}
            rows.append({**row, "why": problem and f"{problem.message} ({problem.hint})"})
        rows += unused[forecast.visit.label]
    rows += [{"visit": s.visit, "is": "skipped", "why": f"{s.reason} ({s.hint})"} for s in selection.skipped]
    print_table("Files", ["visit", "file", "is", "why"], rows, wrap=("file", "is", "why"))


def _shown(path: Path, settings: Settings) -> str:
    return os.path.relpath(path, settings.bids_dir)


def _show_visits(forecasts: Sequence[Forecast]) -> None:
    rows = [
        {
            "visit": forecast.visit.label,
            "is": forecast.does,
            "steps done": f"{len(forecast.cached)} of {len(forecast.nodes)}",
            "files to come": f"{forecast.new} of {forecast.outputs}",
            "CPU s": round(sum(forecast.seconds.values())),
            "MB": round(forecast.output_bytes / 1e6),
        }
        for forecast in forecasts
    ]
    print_table("Visits", list(rows[0]) if rows else ["visit"], rows, wrap=("is",))


def _show_sum(forecasts: Sequence[Forecast], grant: Grant, measured_here: str) -> None:
    left = [(f.seconds[node], f.nodes[node]) for f in forecasts for node in f.seconds]
    load = loaded(left, max(map(longest_chain, forecasts), default=0.0), grant)
    work = sum(work_bytes(f.memory.mvoxels) for f in forecasts if f.does == "to do")
    rows: list[dict[str, object]] = [
        {"what": "time", "expected": _time(load.wall_seconds), "basis": load.why},
        {"what": "CPU time", "expected": _time(load.cpu_seconds), "basis": measured_here + BASIS},
        {"what": "memory", "expected": f"{load.memory_gb:.1f} GB", "basis": load.memory_why},
        {
            "what": "disk, derivatives",
            "expected": f"{sum(f.output_bytes for f in forecasts) / 1e9:.2f} GB",
            "basis": f"{sum(f.new for f in forecasts)} files that are not there yet",
        },
        {
            "what": "disk, work folder",
            "expected": f"{work / 1e9:.2f} GB",
            "basis": "can be deleted afterwards; a second run then computes everything again",
        },
    ]
    print_table("In all", ["what", "expected", "basis"], rows, wrap=("expected", "basis"))


def longest_chain(forecast: Forecast) -> float:
    """Return the seconds of the scans of a visit that wait for each other: the reference's, then the longest."""
    by_scan: dict[str, float] = {}
    for node, seconds in forecast.seconds.items():
        graph = node.split(".")[2]
        by_scan[graph] = by_scan.get(graph, 0.0) + seconds
    first = by_scan.pop(f"{forecast.visit.contrasts[0]}_wf", 0.0)
    return first + max(by_scan.values(), default=0.0)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
