"""A user's own scan of a person becomes one more identity: reading, aligning, fitting, colouring, keeping."""
