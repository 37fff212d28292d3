"""Where clients go, at the hub: the catalogue, the regions' health, what operators say of them."""
