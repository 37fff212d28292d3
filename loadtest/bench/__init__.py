"""`make bench`: a replica measured side by side with its peers, as ratios."""
