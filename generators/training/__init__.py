"""Training and measuring generators of one's own: the priors of `glad weights train`."""
