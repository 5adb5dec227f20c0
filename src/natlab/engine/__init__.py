"""Labs, hosts, networks and containers: model decides, kernel acts, the engine keeps them together."""
