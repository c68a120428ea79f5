"""Peak memory of each kind of step beside what the step declares, on one visit.

Each step of the participant level is run in a process of its own, as a job of a cluster would. Printed are the
peak resident memory of that process (MB), libraries included, the declared figure, and the ratio. Above 1, a step
would be killed on a cluster that was asked for what it declares.

    python benchmarks/memory.py DATASET SUBJECT FOLDER [options of synthprep]
"""

import os
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "ANTS_RANDOM_SEED": "1"}


class Measured:
    """A plugin of Nipype that runs step after step, each in a new process, and prints their peaks."""

    plugin_args: dict[str, object] = {}  # noqa: RUF012 - Nipype asks for it

    def run(self, graph, config, updatehash=False) -> None:  # noqa: ARG002
        """Run a graph."""
        import networkx as nx
        from nipype.pipeline.plugins.tools import create_pyscript

        for node in nx.topological_sort(graph):
            script = create_pyscript(node, updatehash=updatehash, store_exception=False)
            process = subprocess.Popen(
                [sys.executable, script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            _, status, used = os.wait4(process.pid, 0)
            if status:
                sys.exit(f"{node.fullname} ended with status {status}")
            peak, declared = used.ru_maxrss * 1024 / 1e6, 1000 * node.mem_gb
            name = node.fullname.partition(".")[2]
            print(f"{name:40}{peak:8.0f} of {declared:6.0f} MB {peak / declared:6.2f}", flush=True)


def main() -> None:
    """Measure and print."""
    from bidsapp.bids.select import select
    from bidsapp.cli.parser import settings_from
    from bidsapp.resources import granted
    from bidsapp.workflows.execution import configure
    from bidsapp.workflows.visit import init_run_wf

    dataset, subject, folder, *options = sys.argv[1:]
    os.environ.update(ENVIRONMENT)
    words = [dataset, f"{folder}/out", "participant", "--participant-label", subject, *options]
    settings = settings_from(words)
    workflow = init_run_wf(settings, select(settings).visits[:1], granted(mem_gb=settings.mem_gb).memory_gb)
    configure(workflow, Path(folder), stop_on_first_crash=True)
    workflow.run(plugin=Measured())


if __name__ == "__main__":
    main()
