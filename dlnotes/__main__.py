"""``python -m dlnotes``: the same as the command ``dlnotes``."""

from dlnotes.cli import main

main()
