"""What all interfaces share: files in, one function, files out, and an error that survives the worker process."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel as nib
from nipype.interfaces.base import SimpleInterface

from bidsapp.errors import MEMORY_HINT, AppError, ExitCode
from bidsapp.interfaces.usage import measured

ERROR_FILE = "error.json"
# What libraries say in an exception of their own where there was no memory; and statuses of a killed program.
NO_MEMORY = ("bad_alloc", "Cannot allocate memory", "not enough memory", "out of memory", "MemoryAllocationError")
KILLED = (-9, 137)


class Step(SimpleInterface):
    """An interface whose work is one method, `step`.

    An error is written beside the node's results before it ends the node: the exception itself does not
    reach the process that started the graph, its message must.
    """

    def _run_interface(self, runtime: Any) -> Any:
        folder = Path(runtime.cwd)
        (folder / ERROR_FILE).unlink(missing_ok=True)
        try:
            with measured(folder):
                self._results.update(self.step(folder))
        except Exception as error:
            said = error if isinstance(error, AppError) else explained(error)
            leave_word(folder, said)
            raise
        return runtime

    def step(self, folder: Path) -> dict[str, Any]:
        """Do the work in `folder` and return the outputs."""
        raise NotImplementedError


def explained(error: Exception) -> AppError:
    """Return what an unexpected error means to a person: memory that ran out, a disk, or a fault of ours."""
    text = f"{type(error).__name__}: {error}"
    killed = isinstance(error, subprocess.CalledProcessError) and error.returncode in KILLED
    if killed or isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY):
        return AppError(f"memory ran out: {text}", MEMORY_HINT)
    if isinstance(error, OSError):
        what = error.filename or "input or output"
        said = AppError(f"{what}: {error.strerror or error}", "look at the traceback")
        said.exit_code = ExitCode.IO
        return said
    return AppError(f"unexpected {text}", "look at the traceback, and report it")


def leave_word(folder: Path, error: AppError) -> None:
    """Leave beside a node's results why it failed."""
    content = {"message": error.message, "hint": error.hint, "exit_code": int(error.exit_code)}
    with suppress(OSError):  # a full disk, which the run finds out by itself
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ERROR_FILE).write_text(json.dumps(content), encoding="utf-8")


def read_word(folder: Path) -> AppError | None:
    """Return the error that `leave_word` left, or `None`: there is none, or on a full disk an empty one."""
    try:
        said = json.loads((folder / ERROR_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    error = AppError(said["message"], said["hint"])
    error.exit_code = ExitCode(said["exit_code"])
    return error


def load(path: str) -> nib.Nifti1Image:
    """Open an intermediate image."""
    return nib.Nifti1Image.from_filename(path)


def save(image: nib.Nifti1Image, path: Path) -> str:
    """Write an intermediate image, uncompressed: compressing costs more than all it saves."""
    nib.save(image, path)
    return str(path)
