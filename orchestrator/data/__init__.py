"""From a configuration to a prepared corpus, and from one round's annotations to the next."""
