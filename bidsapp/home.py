"""A home folder and a user name for those who have none, as in a container that runs as whoever started it."""

from __future__ import annotations

import os
import pwd
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Any of these settles what `getpass.getuser` says.
NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


@contextmanager
def at_home() -> Iterator[None]:
    """Give this process, and those that it starts, a home folder that can be written and a user name.

    Libraries ask for both when they are imported (MONAI for the name, nilearn and pybids for the folder), and put
    caches there (Matplotlib, PyTorch, Nipype). Where there is no home, or it is read-only, a temporary one takes
    its place, and is removed at the end. Templates are still looked for in the home that there was.
    """
    before = dict(os.environ)
    with ExitStack() as stack:
        if _without_home(os.environ):
            with suppress(OSError):  # no place for temporary files: whoever needs one will say so
                # A worker that is still ending may write into it while it is removed, which is not worth an error.
                folder = tempfile.TemporaryDirectory(prefix="synthprep-home-", ignore_cleanup_errors=True)
                templates = templateflow_home()
                os.environ["HOME"] = stack.enter_context(folder)
                if templates.is_absolute():
                    os.environ["TEMPLATEFLOW_HOME"] = str(templates)
        if not _has_name(os.environ):
            os.environ["LOGNAME"] = f"uid{os.getuid()}"
        try:
            yield
        finally:
            for name in ("HOME", "LOGNAME", "TEMPLATEFLOW_HOME"):
                os.environ.pop(name, None)
                os.environ.update({name: before[name]} if name in before else {})


def templateflow_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of templates: ``TEMPLATEFLOW_HOME``, or the one that TemplateFlow would take."""
    if environment.get("TEMPLATEFLOW_HOME"):
        return Path(environment["TEMPLATEFLOW_HOME"])
    return Path(os.path.expanduser("~")) / ".cache/templateflow"  # noqa: PTH111 - `Path.home` raises where there is none


def _without_home(environment: Mapping[str, str]) -> bool:
    """Return whether there is no home folder, or none that can be written."""
    home = Path(environment.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - as above
    # Docker gives a user whom it does not know the root folder.
    return (
        not home.is_absolute() or home == Path("/") or not home.is_dir() or not os.access(home, os.W_OK | os.X_OK)
    )


def _has_name(environment: Mapping[str, str]) -> bool:
    if any(environment.get(name) for name in NAMES):
        return True
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True
