"""Re-rendering: the person of a photograph in a new view or pose."""
