"""``python -m dlnotes``: the same as the command ``dlnotes``."""

from dlnotes.cli.main import main

main()
