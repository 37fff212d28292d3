"""Wire forms: frozen dataclasses that are read from JSON, written as JSON and described."""
