"""What all interfaces share: files in, one function, files out, and an error that survives the worker process."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel as nib
from nipype.interfaces.base import SimpleInterface

from bidsapp.errors import AppError, ExitCode

ERROR_FILE = "error.json"


class Step(SimpleInterface):
    """An interface whose work is one method, `step`.

    An `AppError` is written beside the node's results before it ends the node: the exception itself does not
    reach the process that started the graph, its message must.
    """

    def _run_interface(self, runtime: Any) -> Any:
        folder = Path(runtime.cwd)
        (folder / ERROR_FILE).unlink(missing_ok=True)
        try:
            self._results.update(self.step(folder))
        except AppError as error:
            _leave_word(folder, error.message, error.hint, error.exit_code)
            raise
        except OSError as error:
            message = f"{error.filename or folder}: {error.strerror or error}"
            _leave_word(folder, message, "see the crash file in logs/", ExitCode.IO)
            raise
        return runtime

    def step(self, folder: Path) -> dict[str, Any]:
        """Do the work in `folder` and return the outputs."""
        raise NotImplementedError


def _leave_word(folder: Path, message: str, hint: str, code: ExitCode) -> None:
    content = {"message": message, "hint": hint, "exit_code": int(code)}
    with suppress(OSError):  # a full disk, which the run finds out by itself
        (folder / ERROR_FILE).write_text(json.dumps(content), encoding="utf-8")


def load(path: str) -> nib.Nifti1Image:
    """Open an intermediate image."""
    return nib.Nifti1Image.from_filename(path)


def save(image: nib.Nifti1Image, path: Path) -> str:
    """Write an intermediate image, uncompressed: compressing costs more than all it saves."""
    nib.save(image, path)
    return str(path)
