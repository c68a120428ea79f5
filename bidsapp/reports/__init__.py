"""Figures, the visit report and the group report."""
