"""``python -m bidsapp``: the same as the command ``synthprep``."""

from bidsapp.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
