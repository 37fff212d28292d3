"""`make demo`: an image pulled through a replica by real clients over a slow link."""
