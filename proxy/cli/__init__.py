"""The operator's verbs. Each is a function of its arguments that gives an exit status."""
