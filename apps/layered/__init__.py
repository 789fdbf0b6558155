"""Layered-BodyMap: the body, the upper and the lower garment of a person, each with a correspondence of its own."""
