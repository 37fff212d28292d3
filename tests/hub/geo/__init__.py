"""Tests of where clients go, at the hub."""
