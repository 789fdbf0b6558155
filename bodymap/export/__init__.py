"""A trained predictor as ONNX graphs, for machines without torch (``bodymap.deploy`` runs them)."""
