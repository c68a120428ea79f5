"""The official validator, and which of its warnings our derivatives keep, and why; so does docs/outputs.md."""

import json
import subprocess
import sys
from pathlib import Path

# Code, field and end of the file's name → why it stays.
ACCEPTED = {
    ("SIDECAR_KEY_RECOMMENDED", "Description", ".tsv"): "a sidecar of a table explains its columns; a Description "
    "there would be that of a column of this name",
    ("TOO_FEW_AUTHORS", None, "dataset_description.json"): "whose derivatives these are, a program cannot know; "
    "add Authors before you share them",
}


def complaints(dataset):
    """Return errors, and those warnings that are not accepted."""
    validator = Path(sys.executable).with_name("bids-validator-deno")
    result = subprocess.run([validator, dataset, "--format", "json"], capture_output=True, text=True, check=False)
    issues = json.loads(result.stdout)["issues"]["issues"]
    return [issue for issue in issues if issue["severity"] == "error" or not _accepted(issue)]


def _accepted(issue):
    code, field, location = issue["code"], issue.get("subCode"), issue.get("location") or ""
    return any(code == c and field == f and location.endswith(end) for c, f, end in ACCEPTED)
