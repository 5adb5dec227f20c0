"""For tests: a Docker host as an object, programs and callables on it, facts, faults, reports.

The pytest plugin is made of this room; it can be used without pytest, too.
"""
