"""What the tiny registry's program always holds, so that its clients need not ask."""

REPOSITORY = "bench/app"
TAG = "1.0"
LARGE_TAG = "large"
LAYER_SIZES_BYTES = (2_000, 3_000, 3_500)
