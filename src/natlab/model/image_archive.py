"""Archives of images: what `docker save` writes and `docker load` reads, without the tar itself.

Docker 25 and later write both layouts into one archive, and so does this:

    manifest.json                  Docker's: for each image its config, its tags and its layers
    repositories                   Docker's oldest: name, tag and top layer
    oci-layout, index.json         OCI's: an index of manifests, which name config and layers
    blobs/sha256/…                 what both point to

Older archives have `<id>.json` and `<id>/layer.tar` in place of the blobs. An archive without
manifest.json is read by its index.json.
"""

from __future__ import annotations

from natlab.model.image_load import ArchivedImage, read_archive
from natlab.model.image_save import Member, SavedImage, SavedLayer, archive_members

__all__ = [
    "ArchivedImage",
    "Member",
    "SavedImage",
    "SavedLayer",
    "archive_members",
    "read_archive",
]
