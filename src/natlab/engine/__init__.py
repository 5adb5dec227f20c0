"""Labs, hosts, networks and containers: model decides, kernel acts, this keeps them together."""
