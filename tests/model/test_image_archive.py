"""Archives of images are read as Docker reads them, and written so that Docker reads them."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.image_archive import (
    ArchivedImage,
    SavedImage,
    SavedLayer,
    archive_members,
    read_archive,
)
from natlab.model.refusal import Refusal

BASE, TOP = "sha256:" + "1" * 64, "sha256:" + "2" * 64
OCI = "application/vnd.oci.image."


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def config(*diff_ids, **more):
    rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
    return json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs, **more}).encode()


def read(files, **options):
    return read_archive(files, files.__getitem__, **options)


def refused(call, *args, **kwargs):
    with pytest.raises(Refusal) as refusal:
        call(*args, **kwargs)
    assert "\n" not in str(refusal.value)
    return refusal.value.status, str(refusal.value)


def docker(image_config, layers, tags=("app:1",), **more):
    entry = {"Config": "c.json", "RepoTags": tags and list(tags), "Layers": list(layers), **more}
    return {
        "manifest.json": json.dumps([entry]).encode(),
        "c.json": image_config,
        **dict.fromkeys(layers, b""),
    }


class Layout:
    """An OCI layout that grows blob by blob."""

    def __init__(self):
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        self.index()

    def blob(self, content, kind, **more):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.files[f"blobs/sha256/{digest(data)[7:]}"] = data
        return {"mediaType": f"{OCI}{kind}", "digest": digest(data), "size": len(data), **more}

    def image(self, image_config, *layers, **more):
        manifest = {
            "schemaVersion": 2,
            "config": self.blob(image_config, "config.v1+json"),
            "layers": [self.blob(layer, "layer.v1.tar+gzip") for layer in layers],
        }
        return self.blob(manifest, "manifest.v1+json", **more)

    def index(self, *manifests):
        content = {"schemaVersion": 2, "manifests": list(manifests)}
        self.files["index.json"] = json.dumps(content).encode()


def platform(architecture, system="linux"):
    return {"platform": {"os": system, "architecture": architecture}}


def named(name):
    return {"annotations": {"io.containerd.image.name": name}}


def test_a_docker_archive_gives_tags_config_and_layers():
    text = config(BASE, TOP)
    (image,) = read(docker(text, ["aa/layer.tar", "bb/layer.tar"], ["docker.io/library/app:1"]))
    assert image == ArchivedImage(("app:1",), text, ("aa/layer.tar", "bb/layer.tar"))
    assert image.id == digest(text)
    assert image.diff_ids == (BASE, TOP)


def test_members_keep_the_names_that_they_have_in_the_archive():
    files = {f"./{name}": data for name, data in docker(config(BASE), ["aa/layer.tar"]).items()}
    (image,) = read(files)
    assert image.layers == ("./aa/layer.tar",)


@pytest.mark.parametrize("tags", [None, []])
def test_an_image_may_be_without_tags(tags):
    (image,) = read(docker(config(BASE), ["a.tar"], tags))
    assert image.tags == ()


def test_an_archive_without_images_gives_none():
    assert read({"manifest.json": b"[]"}) == ()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"etc/passwd": b""}, "the archive holds neither manifest.json nor index.json: "),
        ({"manifest.json": b"nope"}, "invalid JSON: manifest.json cannot be read"),
        ({"manifest.json": b"\xff"}, "invalid JSON: manifest.json cannot be read"),
        ({"manifest.json": b"null"}, "invalid manifest, manifest cannot be null (but can be [])"),
        ({"manifest.json": b"{}"}, "invalid JSON: manifest.json must be a list"),
        ({"manifest.json": b"[1]"}, "invalid JSON: manifest.json must be an object"),
        (
            {"manifest.json": b'[{"Config":"gone.json"}]'},
            'the archive is incomplete: manifest.json names "gone.json", which is not in it',
        ),
        (docker(b"[]", []), "invalid JSON: the image's config must be an object"),
        (docker(b'{"rootfs":{"diff_ids":[1]}}', []), "invalid JSON: diff_ids must be a list of "),
        (
            docker(config(BASE, TOP), ["a.tar"]),
            "invalid manifest, layers length mismatch: expected 1, got 2",
        ),
        (docker(config(os="windows"), []), "cannot load windows image on linux"),
        (
            docker(config(), [], ["App:1"]),
            "invalid reference format: repository name (library/App)",
        ),
        (docker(config(), [], ["app"]), 'invalid tag "app"'),
    ],
)
def test_a_damaged_docker_archive_is_refused_in_one_line(files, message):
    status, text = refused(read, files)
    assert status == 400
    assert text.startswith(message)


def test_a_layer_is_only_looked_for_inside_the_archive():
    files = docker(config(BASE), ["a.tar"])
    files["manifest.json"] = files["manifest.json"].replace(b"a.tar", b"../../etc/passwd")
    assert "incomplete" in refused(read, files)[1]


def test_an_oci_layout_gives_the_same():
    layout = Layout()
    text = config(BASE, TOP)
    layout.index(layout.image(text, b"one", b"two", **named("docker.io/library/app:1")))
    (image,) = read(layout.files)
    assert image.tags == ("app:1",)
    assert image.config == text
    assert [layout.files[path] for path in image.layers] == [b"one", b"two"]


@pytest.mark.parametrize(
    ("annotations", "tags"),
    [
        ({"io.containerd.image.name": "docker.io/team/app:2"}, ("team/app:2",)),
        ({"org.opencontainers.image.ref.name": "ghcr.io/team/app:2"}, ("ghcr.io/team/app:2",)),
        ({"org.opencontainers.image.ref.name": "latest"}, ()),
        ({}, ()),
        (None, ()),
    ],
)
def test_an_oci_image_is_named_by_its_annotations(annotations, tags):
    layout = Layout()
    layout.index(layout.image(config(), annotations=annotations))
    (image,) = read(layout.files)
    assert image.tags == tags


def test_several_names_of_one_oci_image_come_together():
    layout = Layout()
    layout.index(layout.image(config(), **named("a:1")), layout.image(config(), **named("b:2")))
    (image,) = read(layout.files)
    assert image.tags == ("a:1", "b:2")


def test_of_an_index_for_several_machines_this_ones_image_is_taken():
    layout = Layout()
    attestation = {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    content = {
        "manifests": [
            layout.image(config(architecture="arm64"), **platform("arm64")),
            layout.image(config(architecture="none"), **platform("amd64", "windows")),
            layout.image(config(), **platform("unknown", "unknown"), **attestation),
            layout.image(config(architecture="amd64"), **platform("amd64")),
        ]
    }
    layout.index(layout.blob(content, "index.v1+json", **named("app:1")))
    for architecture in ("amd64", "arm64"):
        (image,) = read(layout.files, architecture=architecture)
        assert json.loads(image.config)["architecture"] == architecture
        assert image.tags == ("app:1",)
    status, text = refused(read, layout.files, architecture="s390x")
    assert status == 400
    assert text.startswith("no image for linux/s390x in blobs/sha256/")


def test_an_attestation_is_no_image():
    layout = Layout()
    attestation = {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    layout.index(layout.image(config(comment="attestation"), **attestation), layout.image(config()))
    (image,) = read(layout.files)
    assert image.config == config()


def test_an_index_that_names_a_blob_that_is_not_there_is_refused():
    layout = Layout()
    layout.index({"digest": BASE})
    path = f"blobs/sha256/{BASE[7:]}"
    assert refused(read, layout.files) == (
        400,
        f'the archive is incomplete: index.json names "{path}", which is not in it',
    )


def test_an_index_in_an_index_without_end_is_refused():
    layout = Layout()
    inner = layout.image(config())
    for _ in range(10):
        inner = layout.blob({"manifests": [inner]}, "index.v1+json")
    layout.index(inner)
    assert "is an index in too many others" in refused(read, layout.files)[1]


def written(*images):
    return {member.path: member.data or b"" for member in archive_members(images)}


def saved(*layers, tags=("app:1",), **more):
    digests = [digest(layer.encode()) for layer in layers]
    sizes = [SavedLayer(d, len(layer)) for d, layer in zip(digests, layers, strict=True)]
    return SavedImage(tuple(tags), config(*digests, **more), tuple(sizes))


def test_an_archive_holds_both_layouts_in_the_order_of_paths():
    image = saved("one", "two")
    members = archive_members([image])
    paths = [member.path for member in members]
    assert paths[:2] == ["blobs/", "blobs/sha256/"]
    assert paths[2:-4] == sorted(paths[2:-4])
    assert len(paths[2:-4]) == 4
    assert paths[-4:] == ["index.json", "manifest.json", "oci-layout", "repositories"]
    layers = {m.digest: m.size for m in members if m.data is None}
    assert layers == {layer.digest: layer.size for layer in image.layers}
    assert all(m.size == len(m.data) for m in members if m.data is not None)


def test_manifest_and_repositories_are_those_that_docker_writes():
    image = saved("one", tags=["app:1", "localhost:5000/x:y"])
    files = written(image)
    (layer,) = image.layers
    assert json.loads(files["manifest.json"]) == [
        {
            "Config": f"blobs/sha256/{digest(image.config)[7:]}",
            "RepoTags": ["app:1", "localhost:5000/x:y"],
            "Layers": [f"blobs/sha256/{layer.digest[7:]}"],
            "LayerSources": {
                layer.digest: {
                    "mediaType": f"{OCI}layer.v1.tar",
                    "digest": layer.digest,
                    "size": 3,
                }
            },
        }
    ]
    top = layer.digest[7:]
    assert json.loads(files["repositories"]) == {
        "app": {"1": top},
        "localhost:5000/x": {"y": top},
    }
    index = json.loads(files["index.json"])
    assert [entry["annotations"] for entry in index["manifests"]] == [
        {
            "io.containerd.image.name": "docker.io/library/app:1",
            "org.opencontainers.image.ref.name": "1",
        },
        {
            "io.containerd.image.name": "localhost:5000/x:y",
            "org.opencontainers.image.ref.name": "y",
        },
    ]


def test_a_layer_of_two_images_is_written_once():
    members = archive_members([saved("one", tags=["a:1"]), saved("one", "two", tags=["b:1"])])
    assert len([member for member in members if member.data is None]) == 2
    assert len({member.path for member in members}) == len(members)


def test_an_image_without_tags_is_saved_without_repositories():
    files = written(saved("one", tags=()))
    assert "repositories" not in files
    assert json.loads(files["manifest.json"])[0]["RepoTags"] is None
    assert len(json.loads(files["index.json"])["manifests"]) == 1


def test_an_image_without_layers_is_refused_in_dockers_words():
    assert refused(archive_members, [saved()]) == (400, "empty export - not implemented")


def test_an_image_with_other_layers_than_its_config_names_is_refused():
    image = SavedImage(("a:1",), config(BASE), (SavedLayer(TOP, 1),))
    assert "has other layers than its config names" in refused(archive_members, [image])[1]


layer_names = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)
some_images = st.lists(layer_names, min_size=1, max_size=3)


@given(some_images, st.booleans())
def test_what_was_written_is_read_again_by_either_layout(layers, oci_only):
    images = [
        saved(*names, tags=[f"app{n}:1", f"team/app{n}:2"], comment=str(n))
        for n, names in enumerate(layers)
    ]
    files = written(*images)
    if oci_only:
        del files["manifest.json"]
    found = read(files)
    assert [(image.tags, image.config) for image in found] == [
        (image.tags, image.config) for image in images
    ]
    for image, original in zip(found, images, strict=True):
        assert image.layers == tuple(f"blobs/sha256/{x.digest[7:]}" for x in original.layers)
