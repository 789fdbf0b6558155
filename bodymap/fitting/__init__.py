"""The body behind a photograph's map: shape, pose and camera of the template, fitted to a Correspondence."""

from bodymap.fitting.body import BodyFit, fit_body

__all__ = ["BodyFit", "fit_body"]
