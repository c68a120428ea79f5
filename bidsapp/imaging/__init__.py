"""Pure functions on images, a file per step. Knows no BIDS and no Nipype."""
