"""The methods text of a dataset: from what every run left behind to Markdown, HTML and BibTeX.

    OUT/logs/
        CITATION.md, CITATION.html, CITATION.bib    the text, and the works that it cites
        methods/sub-01_ses-A.json …                 what was said of each visit by the run that processed it last
        methods/group_NAME.json                     and of each bundle that images are of

A dataset may be processed in a thousand jobs, each with one visit. So a run writes down what it said of its own
visits, in files that no other run writes, and the text is composed from all of them.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from bidsapp import __version__
from bidsapp.bids.lock import locked
from bidsapp.bids.sink import write_json, write_text
from bidsapp.reports.pages import paragraphs, write_page
from bidsapp.reports.references import CITATION, bibtex, cited, with_names
from bidsapp.text import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

LOGS = "logs"
PARTS = "methods"
GROUP = "group_"
# The order in which steps are told; each line is a paragraph.
PREPARATION = (
    ("opening", "headers"),
    ("given", "brain", "bias", "registration", "grid", "tissue", "intensity"),
)
SPACES = (("spaces",),)
CLOSING = (("quality", "software"),)
EVERYTHING = (*PREPARATION, *SPACES, *CLOSING)


class Sentence(NamedTuple):
    """What is said of a step: of one contrast, or of the whole visit where that is empty."""

    step: str
    contrast: str
    text: str


def compose(visits: Mapping[str, Sequence[Sentence]], order: Sequence[Sequence[str]] = EVERYTHING) -> str:
    """Tell what was done to visits in one text.

    Parameters
    ----------
    visits : Mapping of str to sequence of Sentence
        What was said of each.
    order : sequence of sequence of str
        Steps of each paragraph.

    Returns
    -------
    str
        Paragraphs, each followed by an empty line. A sentence that does not hold for all visits that have its
        contrast says for how many; a sentence without contrast, where it does not hold for all visits.
    """
    holds: dict[tuple[str, str], dict[str, int]] = {}
    total: Counter[str] = Counter()
    for sentences in visits.values():
        # Also where nothing is said of a step: it was left out there.
        total.update({"", *(sentence.contrast for sentence in sentences)})
        for step, contrast, text in dict.fromkeys(sentences):
            counts = holds.setdefault((step, text), {})
            counts[contrast] = counts.get(contrast, 0) + 1
    told = []
    for steps in order:
        said = [
            _sentence(text, counts, total)
            for step in steps
            for (own, text), counts in holds.items()
            if own == step
        ]
        told += [" ".join(said) + "\n\n"] if said else []
    return "".join(told)


def readable(text: str) -> str:
    """Return a text for a page: authors and years in place of keys, and the works at its end."""
    works = "\n\n".join(f"{work.short}: {work.full} {work.url}" for work in cited(text))
    return f"{with_names(text).strip()}\n\n{works}\n" if works else text


def record_visit(out: Path, label: str, sentences: Sequence[Sentence]) -> None:
    """Write down what was said of a visit."""
    write_json({"Sentences": [list(sentence) for sentence in sentences]}, out / LOGS / PARTS / f"{label}.json")


def record_visits(out: Path, visits: Mapping[str, Sequence[Sentence]]) -> None:
    """Write down what was said of visits, and write the dataset's text anew."""
    for label, sentences in visits.items():
        record_visit(out, label, sentences)
    _write_anew(out)


def record_group(out: Path, bundle: str, text: str) -> None:
    """Write down what the group level said of a bundle, and write the dataset's text anew.

    Bundles whose images this one has replaced, all of them, are told of no more.
    """
    own = write_json({"Text": text}, out / LOGS / PARTS / f"{GROUP}{bundle}.json")
    if others := set(own.parent.glob(f"{GROUP}*.json")) - {own}:
        applied = _applied(out)
        for path in others:
            if path.stem.removeprefix(GROUP) not in applied:
                path.unlink(missing_ok=True)
    _write_anew(out)


def _applied(out: Path) -> set[str]:
    """Return the names of the bundles that synthesized images are of."""
    names = set()
    for sidecar in out.glob("sub-*/**/*_desc-synth_*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            names.add(str(read_json(sidecar)["Model"]["Name"]))
    return names


def _write_anew(out: Path) -> None:
    with locked(out):  # or a job that composed it before another one could write it after
        write_citation(out / LOGS, text_of(out))


def text_of(out: Path) -> str:
    """Return the methods text of a dataset, as all its runs left it."""
    return together(*recorded(out))


def recorded(out: Path) -> tuple[dict[str, list[Sentence]], list[str]]:
    """Return what earlier runs said of visits, by label, and the texts of the group level."""
    visits, groups = {}, []
    for path in sorted((out / LOGS / PARTS).glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if path.name.startswith(GROUP):
                groups.append(str(content["Text"]))
            else:
                visits[path.stem] = [Sentence(*map(str, sentence)) for sentence in content["Sentences"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # of an earlier version, or damaged: its visit's next run writes it anew
    return visits, groups


def together(visits: Mapping[str, Sequence[Sentence]], groups: Iterable[str]) -> str:
    """Return the text of both levels, each under its heading."""
    parts = {"Preprocessing": compose(visits), "Synthesis": "\n\n".join(text.strip() for text in groups)}
    return "\n\n".join(f"## {heading}\n\n{text.strip()}" for heading, text in parts.items() if text.strip())


def write_citation(folder: Path, text: str, note: str = "") -> tuple[Path, ...]:
    """Write the text and the works that it cites.

    Parameters
    ----------
    folder : Path
        Where to.
    text : str
        Paragraphs with keys such as ``[@n4]``, and headings of the second level.
    note : str
        What is to be known before it is used.

    Returns
    -------
    tuple of Path
        ``CITATION.md``, which keeps the keys, so that a reference manager or pandoc can replace them, and lists
        the works; ``CITATION.html``, which people read and copy; ``CITATION.bib``.
    """
    works = cited(text)
    listed = "\n".join(f"- **{work.key}**: {work.full} <{work.url}>" for work in works)
    head = "# Methods\n\n" + (f"> {note}\n\n" if note else "")
    references = f"\n\n## References\n\n{listed}\n" if works else "\n"
    numbers = {work.key: number for number, work in enumerate(works, 1)}
    return (
        write_text(f"{head}{text.strip()}{references}", folder / "CITATION.md"),
        write_page(
            "citation.html",
            folder / "CITATION.html",
            version=__version__,
            note=note,
            blocks=[_block(part) for part in paragraphs(text)],
            works=works,
            numbers=numbers,
        ),
        write_text(bibtex(works), folder / "CITATION.bib"),
    )


def _sentence(text: str, counts: Mapping[str, int], total: Mapping[str, int]) -> str:
    """Return a sentence with the contrasts that it holds for, and with how many visits where that is not all."""
    names = [
        f"the {contrast}" + ("" if n == total[contrast] else f" ({n} of {total[contrast]} visits)")
        for contrast, n in counts.items()
        if contrast
    ]
    *first, last = names or [""]
    said = text.replace("{scans}", f"{', '.join(first)} and {last}" if first else last)
    if not names and (n := counts[""]) < total[""]:
        said += f" (Of {n} of {total['']} visits.)"
    return said[0].upper() + said[1:]


def _block(part: str) -> tuple[bool, list[str | list[str]]]:
    """Return whether a part of the text is a heading, and its pieces: text, or keys of works."""
    heading = part.startswith("## ")
    pieces: list[str | list[str]] = []
    at = 0
    body = part.removeprefix("## ")
    for match in CITATION.finditer(body):
        pieces += [body[at : match.start()], [key.removeprefix("@") for key in match[1].split("; ")]]
        at = match.end()
    return heading, [*pieces, body[at:]]
