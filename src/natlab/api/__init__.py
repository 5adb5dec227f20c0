"""The Engine API's HTTP side: a small server on a unix socket that `docker` and docker-py drive.

`natlab.api.http` has the names a route is written with.
"""
