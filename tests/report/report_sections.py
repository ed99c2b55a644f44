"""The sections of a full page, in order."""

SECTIONS = [
    "result", "confusion", "samples", "examples", "speakers", "confidence", "streams", "hearing", "learning",
    "rates", "weights", "spreads", "sizes", "on-chip", "cost", "facts",
]  # fmt: skip
