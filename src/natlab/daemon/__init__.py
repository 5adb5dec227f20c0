"""The Docker engine's own logic: containers, names and events, on top of the engine room."""
