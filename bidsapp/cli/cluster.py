"""The options that spread a run over many jobs of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bidsapp.bids.shards import read_shard
from bidsapp.errors import UsageError
from bidsapp.workflows.plugins import GRAPHS, PLUGINS, read_plugin

if TYPE_CHECKING:
    import argparse

    from bidsapp.settings import Settings


def add_cluster(group: argparse._ArgumentGroup) -> None:
    """Add the options of many jobs."""
    group.add_argument(
        "--shard",
        metavar="I/N",
        help="only the I-th of N parts, counted from 1, of the participants, or of those of --participant-label: "
        "for the jobs of an array",
    )
    group.add_argument(
        "--use-plugin",
        type=plugin_word,
        metavar="PLUGIN",
        help=f"how steps of the participant level are run: {', '.join(PLUGINS)}, or a YAML or JSON file with "
        "plugin and plugin_args (MultiProc: in processes of this computer)",
    )


def plugin_word(word: str) -> str:
    """Return the name of a plugin, or the absolute path of a file."""
    return word if word in PLUGINS else str(Path(word).absolute())


def check_cluster(settings: Settings) -> None:
    """Raise `UsageError` where a part or a plugin does not exist, or is of no use to the levels that run."""
    if settings.shard is not None:
        try:
            read_shard(settings.shard)
        except ValueError as error:
            raise UsageError(f"--shard: {error}", "the first is 1/N, the last N/N") from error
        if "group" in settings.levels:
            hint = "run it once, without --shard, when all parts have ended"
            raise UsageError(f"--shard {settings.shard}: the group level needs all participants", hint)
    if settings.use_plugin is not None:
        if "participant" not in settings.levels:
            hint = "leave it out; --devices and --num-nodes spread the group level"
            raise UsageError(f"--use-plugin {settings.use_plugin}: plugins run the participant level", hint)
        plugin = read_plugin(settings.use_plugin)
        asked = {"--stop-on-first-crash": settings.stop_on_first_crash, "max_jobs": "max_jobs" in plugin.args}
        if plugin.name in GRAPHS and any(asked.values()):
            told = " and ".join(word for word, is_asked in asked.items() if is_asked)
            hint = f"give --use-plugin {plugin.name.removesuffix('Graph')}"
            raise UsageError(f"{told}: {plugin.name} submits all steps at once", hint)
