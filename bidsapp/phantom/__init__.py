"""A simulated BIDS cohort with known truth."""
