"""From what a scan's path left to what its visit's page shows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bidsapp.reports.records import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

# Label of a figure's file → title, how to read it.
CAPTIONS = {
    "bias": (
        "Bias field of the {contrast}",
        "The field should be smooth and show no anatomy. Both images have one window: after the correction one "
        "tissue should be as bright in front, at the back and in the middle.",
    ),
    "fixed": ("{reference}", ""),
    "moving": ("{contrast}", ""),
    "registration": (
        "Edges: {contrast} on {reference}",
        "The outlines of the {reference}’s brain (red) and of its brighter tissue (yellow) should lie on the same "
        "edges of both images, and edges should run on from square to square.",
    ),
    "brain": (
        "Brain mask: {contrast}",
        "The outline should follow the surface of the brain, without skull, eyes or holes.",
    ),
}
BOTH_MASKS = " Red: the mask found on this scan, yellow: that of the {reference}."
IN_SPACE = "The template’s outlines should lie on the same edges of the image."


def scan_figures(
    contrast: str, reference: str, drawn: Mapping[str, str], in_spaces: Mapping[str, str]
) -> list[Figure]:
    """Return the figures of a scan with titles and captions.

    Parameters
    ----------
    contrast, reference : str
        The scan's, and the reference's.
    drawn : mapping of str to str
        Label → path relative to the page.
    in_spaces : mapping of str to str
        Standard space → path of the figure of the scan in it.
    """
    figures = []
    for kind, path in drawn.items():
        title, caption = CAPTIONS[kind]
        if kind == "brain" and contrast != reference:
            caption += BOTH_MASKS
        words = (text.format(contrast=contrast, reference=reference) for text in (title, caption))
        figures.append(Figure(*words, path, kind, contrast))
    figures += [
        Figure(f"{contrast} in {name}", IN_SPACE, path, "space", contrast) for name, path in in_spaces.items()
    ]
    return figures
