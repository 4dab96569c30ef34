"""Miniature crops: what the generator of the whole frames writes beside them."""

from __future__ import annotations

from pipelines.synth.hephaestus import synthesise

__all__ = ["synthesise"]
