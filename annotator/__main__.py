"""Let ``python -m annotator`` be the command line."""

from annotator.cli import main

if __name__ == "__main__":
    main()
