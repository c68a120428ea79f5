"""What a person may say of how steps are run: in processes of this computer, or as jobs of a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsapp.errors import NoInputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Processes of this computer, both by `bidsapp.workflows.workers`; each step as a job; all steps as jobs at once.
HERE = ("MultiProc", "LegacyMultiProc")
QUEUES = ("SLURM", "SGE", "PBS", "LSF", "OAR", "Condor")
GRAPHS = ("SLURMGraph",)
PLUGINS = (*HERE, *QUEUES, *GRAPHS)
# Of Nipype's own arguments of MultiProc, those that mean something to our workers, and those that do not.
LIMITS = ("n_procs", "memory_gb")
IGNORED = ("maxtasksperchild", "raise_insufficient", "non_daemon", "mp_context", "scheduler", "n_gpu_procs")


@dataclass(frozen=True)
class Plugin:
    """How steps are run.

    Attributes
    ----------
    name : str
        One of `PLUGINS`.
    args : Mapping
        ``plugin_args`` as Nipype takes them: ``sbatch_args``, ``template``, ``max_jobs`` …
    """

    name: str = "MultiProc"
    args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether steps are run by processes of this computer."""
        return self.name in HERE


def read_plugin(word: str | None) -> Plugin:
    """Read ``--use-plugin``.

    Parameters
    ----------
    word : str or None
        A name, or the path of a YAML or JSON file with ``plugin`` and ``plugin_args``; ``None`` for the default.

    Returns
    -------
    Plugin

    Raises
    ------
    NoInputError
        There is no such file.
    UsageError
        The file is damaged, or the plugin unknown or of no use here.
    """
    if word is None:
        return Plugin()
    content = {"plugin": word} if Path(word).name == word and not Path(word).is_file() else _content(Path(word))
    unknown = sorted(set(content) - {"plugin", "plugin_args"})
    name, args = content.get("plugin"), content.get("plugin_args") or {}
    if unknown or not isinstance(name, str) or not isinstance(args, dict):
        reason = f"unknown {', '.join(unknown)}" if unknown else "no plugin with plugin_args"
        raise UsageError(f"{word}: {reason}", "write for example {plugin: SLURM, plugin_args: {max_jobs: 100}}")
    if name not in PLUGINS:
        raise UsageError(f"--use-plugin: {name} is unknown, or cannot be waited for", f"give {', '.join(PLUGINS)}")
    if name in HERE and (strange := sorted(set(args) - {*LIMITS, *IGNORED})):
        raise UsageError(f"{word}: {name} has no {', '.join(strange)}", f"it has {', '.join(LIMITS)}")
    for limit in LIMITS:
        value = args.get(limit, 1)
        if name in HERE and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
            raise UsageError(f"{word}: {limit} = {value!r} is no positive number", "correct it")
    return Plugin(name, args)


def _content(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML, too
    except OSError as error:
        hint = f"give --use-plugin {', '.join(PLUGINS)}, or an existing YAML file"
        raise NoInputError(f"{path}: {error.strerror}", hint) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no YAML: {error}", "write plugin: SLURM in the first line") from error
    return content if isinstance(content, dict) else {}
