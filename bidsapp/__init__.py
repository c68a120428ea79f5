"""SynthPrep: give a BIDS dataset the contrast that some of its visits lack."""

__version__ = "0.1.0.dev0"
