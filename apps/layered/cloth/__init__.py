"""Simulated clothes: garments made for a body, motions, the solver, and sequences packed for training."""
