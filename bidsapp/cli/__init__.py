"""The front door: words on a command line become ``Settings``, a level runs, one exit status comes back."""
