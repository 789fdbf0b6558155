"""Applications on top of the bodymap library; each folder is one, with its own command."""
