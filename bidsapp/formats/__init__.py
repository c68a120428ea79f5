"""Other people's files in, and slices out: DICOM, PAR/REC, MINC and more to BIDS; derivatives to 2D and back."""
