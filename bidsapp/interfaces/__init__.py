"""Thin Nipype wrappers: unpack paths, call a function, pack paths."""
