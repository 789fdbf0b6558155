"""Training: one loop over Accelerate for every task; see ``loop.train`` and the protocol in ``task``."""
