"""Names, selection, sidecars and atomic writing of BIDS datasets."""
