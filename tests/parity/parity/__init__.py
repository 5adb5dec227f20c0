"""The same scenarios on a real Docker engine and on natlab, compared flow by flow."""
