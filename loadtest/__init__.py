"""Loads that pull as container runtimes do, the link emulator, the demo and the benchmarks."""
