"""Intensity scales of a cohort: fitted to visits that are learned from, applied to all, stored in the bundle."""
