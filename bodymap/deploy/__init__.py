"""The predictor without torch: networks that ``python -m bodymap.export`` wrote, run by onnxruntime.

    from bodymap.deploy import OnnxBodyMap
    model = OnnxBodyMap("exported")
    correspondence = model.predict("photo.jpg")  # as bodymap.BodyMap.predict

Needs numpy, scipy, pillow, jaxtyping and onnxruntime. What is a network, and the decoding of its answers, are graphs
(``graphs.py``); between them stands numpy, each function the twin of the one of the same name that works on torch.
"""

from bodymap.deploy.predictor import OnnxBodyMap

__all__ = ["OnnxBodyMap"]
