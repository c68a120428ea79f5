"""Nipype graphs: which step follows which. No image arithmetic."""
