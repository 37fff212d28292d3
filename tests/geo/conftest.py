"""Properties are judged by their answer, never by the time a busy machine takes for one example."""

from hypothesis import settings

settings.register_profile("busy-machine", deadline=None)
settings.load_profile("busy-machine")
