"""The rembg package as a provider of person masks; it is no dependency and fetches its own networks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

from bodymap.errors import UserError
from bodymap.foreground.base import Foreground


class RembgForeground(Foreground):
    """``rembg`` or ``rembg:MODEL`` (u2net_human_seg by default: the one that was trained on people)."""

    def __init__(self, argument: str = ""):
        super().__init__(argument or "u2net_human_seg")
        try:
            import rembg
        # rembg ends the process where its own onnxruntime is missing
        except (ImportError, SystemExit):
            raise UserError('Masks by rembg need that package: pip install "rembg[cpu]".') from None
        self.rembg = rembg
        try:
            self.session = rembg.new_session(self.argument)
        except Exception as error:
            line = (str(error).splitlines() or ["unknown reason"])[0][:120]
            raise UserError(f"rembg cannot start its model {self.argument} ({line}).") from None

    def __call__(self, photo: UInt8[np.ndarray, "height width rgb=3"]) -> Float32[np.ndarray, "height width"]:
        from PIL import Image

        matte = self.rembg.remove(Image.fromarray(photo), session=self.session, only_mask=True)
        return np.asarray(matte.convert("L"), np.float32) / 255
