"""Learning to predict a contrast, a file per stage. Knows no BIDS and no Nipype."""
