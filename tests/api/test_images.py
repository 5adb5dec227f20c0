"""Images without a registry: imported, loaded, saved, tagged, removed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from docker import errors

from natlab.kernel import files

HERE = "/run/natlab/docker/layers"
OCI = "application/vnd.oci.image."


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tar(*members):
    """A tar of `(name, text)`, `(name, None)` for a directory, `(name, "-> target")`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            elif isinstance(content, str) and content.startswith("-> "):
                info.type, info.linkname = tarfile.SYMTYPE, content.removeprefix("-> ")
                archive.addfile(info)
            else:
                data = content.encode() if isinstance(content, str) else content
                info.size, info.mode = len(data), 0o755
                archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture(scope="module")
def shell():
    """The smallest tree that runs something: the machine's own /bin/sh and its libraries."""
    said = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout
    libraries = {word for line in said.splitlines() for word in line.split() if word[0] == "/"}
    members = [(path.lstrip("/"), Path(path).resolve().read_bytes()) for path in libraries]
    return [
        ("etc", None),
        ("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
        ("bin", None),
        ("bin/sh", Path("/bin/sh").resolve().read_bytes()),
        *members,
    ]


@pytest.fixture
def base(client, shell):
    """An image of that tree, without a command."""
    client.api.import_image(src=stream(tar(*shell)), repository="base", tag="1")
    return client.images.get("base:1")


def stream(data):
    """What docker-py takes for a file's contents, and sends as they are."""
    return io.BytesIO(data)


def imported(client, data, *changes, name="small", tag="1"):
    said = client.api._post(
        client.api._url("/images/create"),
        params={"fromSrc": "-", "repo": name, "tag": tag, "changes": list(changes)},
        data=data,
        headers={"Content-Type": "application/tar"},
    )
    client.api._raise_for_status(said)
    return client.images.get(said.json()["status"])


def ran(client, image, *command, **options):
    return client.containers.run(image, list(command) or None, remove=True, **options).decode()


def layers(engine):
    """What is unpacked on the lab host, and which tars are kept for it."""
    there = engine.engine.place.call(files.list_directory, HERE)
    return there, sorted(path.rpartition("/")[2] for path in engine.engine.layers._tars)


@pytest.fixture
def untouched(engine, client):
    """The layers as they were before the test; everything that the test made goes at its end."""
    before = layers(engine)
    known = {image.id for image in client.images.list()}
    yield before
    for container in client.containers.list(all=True):
        container.remove(force=True)
    for image in client.images.list(all=True):
        if image.id not in known:
            client.images.remove(image.id, force=True)
    assert layers(engine) == before


# What natlab has of its own


@pytest.mark.parametrize("name", ["host", "busybox", "ubuntu:14.04", "ubuntu14.04", "myapp:v0.0.1"])
def test_an_image_of_natlabs_own_runs_and_says_what_it_is_made_of(client, name):
    assert ran(client, name, "echo", "hi") == "hi\n"
    told = client.images.get(name).attrs
    assert told["Config"]["Labels"]["natlab.made-from"].startswith("the machine's own root tree")
    assert told["Comment"].startswith("made by natlab from the machine's own root tree")
    assert (told["Os"], told["Architecture"]) == ("linux", "amd64")
    assert told["RootFS"]["Type"] == "layers"


def test_myapp_exposes_8080(client):
    assert client.images.get("myapp:v0.0.1").attrs["Config"]["ExposedPorts"] == {"8080/tcp": {}}


def test_an_image_of_natlabs_own_comes_back_by_pull(client, engine):
    before = layers(engine)
    client.images.remove("myapp:v0.0.1")
    with pytest.raises(errors.ImageNotFound, match=r"No such image: myapp:v0.0.1"):
        client.images.get("myapp:v0.0.1")
    assert layers(engine) != before
    assert client.images.pull("myapp", tag="v0.0.1").tags == ["myapp:v0.0.1"]
    assert layers(engine) == before
    client.images.prune(filters={"dangling": False})
    assert client.images.list() == []
    assert ran(client, "busybox", "echo", "hi") == "hi\n"  # docker-py pulls what is missing


def test_pulling_says_what_docker_says(client):
    said = [line["status"] for line in client.api.pull("busybox", stream=True, decode=True)]
    assert said[0] == "Pulling from library/busybox"
    assert said[-1] == "Status: Image is up to date for busybox:latest"
    with pytest.raises(errors.NotFound, match="pull access denied for ghost, repository does not"):
        client.images.pull("ghost")
    with pytest.raises(errors.APIError, match="invalid reference format"):
        client.images.pull("Ghost//x")


def test_the_machines_own_tree_is_not_saved(client):
    with pytest.raises(errors.APIError, match="natlab does not save that") as caught:
        list(client.images.get("host").save())
    assert caught.value.status_code == 501


# Import


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_a_tree_is_imported_with_changes_that_containers_follow(client, shell, untouched, pack):
    image = imported(
        client,
        pack(tar(*shell, ("srv", None), ("srv/f", "text\n"))),
        *("ENV A=1 B=two", "WORKDIR /srv", 'ENTRYPOINT ["/bin/sh", "-c"]'),
        *('CMD ["echo $A $B $PWD; read x < f; echo $x"]', "LABEL a=b", "EXPOSE 80 53/udp"),
        *("USER root", "STOPSIGNAL SIGQUIT"),
    )
    told = image.attrs
    assert image.tags == ["small:1"]
    assert told["Config"] == {
        "User": "root",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Env": ["A=1", "B=two"],
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["echo $A $B $PWD; read x < f; echo $x"],
        "WorkingDir": "/srv",
        "Labels": {"a": "b"},
        "StopSignal": "SIGQUIT",
    }
    assert len(told["RootFS"]["Layers"]) == 1
    assert told["Comment"] == "Imported from -"
    assert image.history()[0]["Comment"] == "Imported from -"
    assert ran(client, "small:1") == "1 two /srv\ntext\n"
    assert ran(client, "small:1", "echo $A", environment={"A": "2"}) == "2\n"
    container = client.containers.create("small:1", "echo", publish_all_ports=True)
    config = container.attrs["Config"]
    assert set(config["ExposedPorts"]) == {"80/tcp", "53/udp"}
    assert (config["Labels"], config["User"], config["StopSignal"]) == (
        {"a": "b"},
        "root",
        "SIGQUIT",
    )
    assert untouched


def test_an_unknown_user_of_an_image_is_told(client, shell, untouched):
    imported(client, tar(*shell), "USER ghost", 'CMD ["/bin/sh"]')
    with pytest.raises(errors.APIError, match="unable to find user ghost: no matching entries"):
        client.containers.run("small:1")
    assert untouched


def test_the_same_tree_is_unpacked_once(client, shell, engine, untouched):
    data = tar(*shell)
    first, second = imported(client, data), imported(client, data, "ENV A=1", tag="2")
    assert first.id != second.id
    assert first.attrs["RootFS"] == second.attrs["RootFS"]
    assert len(layers(engine)[1]) == len(untouched[1]) + 1
    client.images.remove("small:1")
    assert ran(client, "small:2", "/bin/sh", "-c", "echo $A") == "1\n"


def test_an_image_without_a_command_says_so(client, base, untouched):
    assert base.tags == ["base:1"]
    with pytest.raises(errors.APIError, match="no command specified"):
        client.containers.create("base:1")
    assert untouched


@pytest.mark.parametrize(
    ("data", "changes", "message"),
    [
        (b"no tar at all" * 50, (), "archive/tar: invalid tar header"),
        (b"", (), "unexpected EOF"),
        (tar(("a", "b"))[:700], (), "unexpected EOF"),
        (gzip.compress(tar(("a", "b")))[:-20], (), "the archive is damaged: "),
        (gzip.compress(b"x" * 9000)[:20] + b"x" * 100, (), "the archive is damaged: "),
        (tar(("../../run/evil", "x")), (), '"../../run/evil" is outside of "/"'),
        (tar(("a", None), ("a/../../../run/evil", "x")), (), "is outside of"),
        (tar(("a", "b"), ("./a", "c")), (), "duplicates of file paths not supported"),
        (tar(("a", "b")), ("FROM x",), "FROM is not a valid change command"),
        (tar(("a", "b")), ("ENV",), "ENV requires at least one argument"),
    ],
    ids=["text", "empty", "cut", "cut gz", "bad gz", "dots", "inner dots", "twice", "FROM", "ENV"],
)
def test_a_bad_import_is_one_line_and_leaves_nothing(client, engine, data, changes, message):
    before = layers(engine)
    with pytest.raises(errors.APIError) as caught:
        imported(client, data, *changes)
    assert caught.value.status_code == (500 if "duplicates" in message else 400)
    assert message in caught.value.explanation
    assert layers(engine) == before
    assert engine.engine.host.run("ls /run").stdout.count("evil") == 0
    with pytest.raises(errors.ImageNotFound):
        client.images.get("small:1")


# Load


def saved_as_docker_did(*layer_tars, name="old:1", **config):
    """An archive as `docker save` wrote it before version 25."""
    document = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-05-01T10:00:00.5Z",
            "author": "somebody",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layer_tars]},
            "history": [
                {"created": "2024-05-01T09:00:00Z", "created_by": "ADD tree /"},
                {"created": "2024-05-01T10:00:00Z", "created_by": "ENV A", "empty_layer": True},
            ],
        }
    ).encode()
    ident = digest(document)[7:]
    members = [(f"{ident}.json", document)]
    paths = []
    for layer in layer_tars:
        path = f"{digest(layer)[7:]}/layer.tar"
        members += [(path.partition("/")[0], None), (path, layer)]
        paths.append(path)
    manifest = [{"Config": f"{ident}.json", "RepoTags": [name], "Layers": paths}]
    return f"sha256:{ident}", tar(*members, ("manifest.json", json.dumps(manifest)))


def test_layers_hide_replace_and_empty_what_is_below(client, shell, untouched):
    lower = tar(
        *shell,
        *(("a", None), ("a/gone", "1"), ("a/kept", "1"), ("a/over", "1")),
        *(("d", None), ("d/one", "1"), ("d/sub", None), ("d/sub/two", "1")),
        *(("e", None), ("e/x", "1"), ("file", "1"), ("dir", None), ("dir/in", "1")),
    )
    upper = tar(
        *(("a", None), ("a/.wh.gone", ""), ("a/over", "2"), ("a/new", "2")),
        *(("d", None), ("d/.wh..wh..opq", ""), ("d/three", "2")),
        *((".wh.e", ""), (".wh.file", ""), ("file", None), ("file/in", "2"), (".wh.dir", "")),
        ("dir", "2"),
    )
    ident, archive = saved_as_docker_did(lower, upper, Cmd=["/bin/sh"])
    (image,) = client.images.load(stream(archive))
    assert image.id == ident
    script = "cd /; echo a/* d/* file/* e*; read x < a/over; read y < dir; echo $x $y"
    script = script.replace("read x", "read -r x").replace("; echo $x", " ; echo $x")
    out = ran(client, "old:1", "/bin/sh", "-c", script)
    names, values = out.splitlines()
    assert names.split() == ["a/kept", "a/new", "a/over", "d/three", "file/in", "etc"]
    assert values == "2 2"
    container = client.containers.create("old:1")
    assert container.diff() in (None, [])
    assert untouched


def test_the_config_of_a_loaded_image_is_kept_and_followed(client, shell, untouched):
    ident, archive = saved_as_docker_did(
        tar(*shell),
        Env=["A=1"],
        Entrypoint=["/bin/sh", "-c"],
        Cmd=["echo $A; pwd"],
        WorkingDir="/etc",
    )
    (image,) = client.images.load(stream(archive))
    assert ran(client, ident) == "1\n/etc\n"
    told = image.attrs
    assert (told["Created"], told["Author"]) == ("2024-05-01T10:00:00.5Z", "somebody")
    assert [step["CreatedBy"] for step in image.history()] == ["ENV A", "ADD tree /"]
    assert [step["Size"] > 0 for step in image.history()] == [False, True]
    assert image.history()[0]["Id"] == ident
    assert untouched


def oci_layout(*layer_tars, name="oci:1", pack=gzip.compress):
    packed = [pack(layer) for layer in layer_tars]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/bin/sh", "-c", "echo oci"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layer_tars]},
        }
    ).encode()

    def descriptor(kind, data, **more):
        return {"mediaType": OCI + kind, "digest": digest(data), "size": len(data), **more}

    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": descriptor("config.v1+json", config),
            "layers": [descriptor("layer.v1.tar+gzip", data) for data in packed],
        }
    ).encode()
    annotations = {"io.containerd.image.name": f"docker.io/library/{name}"}
    index = {
        "schemaVersion": 2,
        "manifests": [descriptor("manifest.v1+json", manifest, annotations=annotations)],
    }
    blobs = [(f"blobs/sha256/{digest(data)[7:]}", data) for data in (config, manifest, *packed)]
    return digest(config), tar(
        ("oci-layout", '{"imageLayoutVersion": "1.0.0"}'),
        ("index.json", json.dumps(index)),
        *blobs,
    )


def test_an_oci_layout_with_compressed_layers_is_loaded(client, shell, untouched):
    ident, archive = oci_layout(tar(*shell), tar(("extra", "x")))
    (image,) = client.images.load(stream(gzip.compress(archive)))
    assert (image.id, image.tags) == (ident, ["oci:1"])
    assert ran(client, "oci:1") == "oci\n"
    assert untouched


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no tar", "this is not an archive of images"),
        (b"", "this is not an archive of images"),
        (tar(("a", "b")), "the archive holds neither manifest.json nor index.json"),
        (tar(("manifest.json", "{")), "invalid JSON: manifest.json cannot be read"),
        (tar(("manifest.json", '[{"Config": "x.json"}]')), "the archive is incomplete"),
        (tar(("manifest.json", None)), "the archive has no file manifest.json"),
        (saved_as_docker_did(tar(("a", "b")))[1].replace(b"\0b\0", b"\0B\0", 1)[:-9000], ""),
    ],
    ids=["text", "empty", "foreign", "no JSON", "incomplete", "directory", "cut"],
)
def test_a_bad_archive_is_one_line_and_leaves_nothing(client, engine, data, message):
    before = layers(engine)
    with pytest.raises(errors.APIError) as caught:
        list(client.images.load(stream(data)))
    assert caught.value.status_code == 400
    assert message in caught.value.explanation
    assert "\n" not in caught.value.explanation
    assert layers(engine) == before


def test_a_layer_that_is_another_one_than_the_config_names_is_refused(client, engine):
    before = layers(engine)
    _, archive = saved_as_docker_did(tar(("a", "bbbb")), name="wrong:1")
    with pytest.raises(errors.APIError, match="is not the layer sha256:"):
        client.images.load(stream(archive.replace(b"bbbb", b"cccc")))
    assert layers(engine) == before


def test_a_layer_that_leads_out_is_refused_with_all_of_its_archive(client, engine, shell):
    before = layers(engine)
    _, archive = saved_as_docker_did(tar(*shell), tar(("x", "-> ../../.."), ("y/../../z", "x")))
    with pytest.raises(errors.APIError, match=r"invalid symlink|is outside of"):
        client.images.load(stream(archive))
    assert layers(engine) == before


# Save


def test_saving_and_loading_again_keeps_ids_digests_and_names(client, shell, engine, untouched):
    ident, archive = saved_as_docker_did(
        tar(*shell), tar(("extra", "x")), Cmd=["/bin/sh", "-c", "echo hi"]
    )
    (image,) = client.images.load(stream(archive))
    image.tag("second", "2")
    before = image.attrs["RootFS"]
    told = {key: image.attrs[key] for key in ("Id", "RootFS", "Config", "Created", "Author")}
    data = b"".join(client.api.get_image("old:1"))
    both = b"".join(client.images.get("old:1").save(named="second:2"))
    again = b"".join(client.api.get_image("old:1"))
    assert data == again
    client.images.remove(ident, force=True)
    assert layers(engine) == untouched
    (image,) = client.images.load(stream(data))
    assert (image.id, image.tags) == (ident, ["old:1"])
    assert {key: image.attrs[key] for key in told} == told
    assert image.attrs["RootFS"] == before
    assert ran(client, "old:1") == "hi\n"
    (image,) = client.images.load(stream(both))
    assert sorted(image.tags) == ["old:1", "second:2"]


def test_a_repository_means_all_of_its_tags_and_an_id_none(client, base, untouched):
    base.tag("base", "2")
    names = manifest(b"".join(client.api.get_image("base")))[0]["RepoTags"]
    assert sorted(names) == ["base:1", "base:2"]
    assert manifest(b"".join(client.api.get_image(base.id)))[0]["RepoTags"] is None
    assert manifest(b"".join(client.api.get_image("base:2")))[0]["RepoTags"] == ["base:2"]
    assert untouched


def manifest(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return json.load(archive.extractfile("manifest.json"))


# Names and removal


def test_a_tag_moves_and_the_image_without_a_name_dangles(client, shell, untouched):
    first = imported(client, tar(*shell))
    second = imported(client, tar(*shell, ("x", "y")))
    first.reload()
    assert (first.tags, second.tags) == ([], ["small:1"])
    assert client.images.list(filters={"dangling": True}) == [first]
    assert first in client.images.list(all=True)
    second.tag("small", "2")
    first.tag("small", "2")
    assert client.images.get("small:2") == first
    second.tag("small", "3")
    client.images.remove("small:2")
    assert untouched


def test_images_are_listed_by_what_is_asked_of_them(client, shell, untouched):
    small = imported(client, tar(*shell), "LABEL tier=web")
    small.tag("localhost:5000/team/small", "2")

    def listed(name=None, **filters):
        return client.images.list(name=name, filters=filters)

    assert listed("small") == listed("small:1") == [small]
    assert listed("localhost:5000/team/*") == [small]
    assert listed("sm*:1") == listed("*:1") == [small]
    assert listed("nothing") == []
    assert listed(label="tier=web") == listed(label="tier") == [small]
    assert small in listed(since="busybox")
    assert small not in listed(before="small:1")
    with pytest.raises(errors.APIError, match="invalid filter 'colour'"):
        listed(colour="red")
    assert untouched


def test_the_rules_of_removal_are_dockers(client, untouched, base):
    ident = base.id[7:19]
    base.tag("base", "2")
    with pytest.raises(errors.APIError) as caught:
        client.images.remove(base.id)
    assert caught.value.status_code == 409
    assert caught.value.explanation == (
        f"conflict: unable to delete {ident} (must be forced) - image is referenced in multiple"
        " repositories"
    )
    assert client.api.remove_image("base:2") == [{"Untagged": "base:2"}]
    container = client.containers.create("base:1", ["/bin/sh", "-c", "read x"], stdin_open=True)
    with pytest.raises(errors.APIError) as caught:
        client.images.remove("base:1")
    assert caught.value.explanation == (
        'conflict: unable to remove repository reference "base:1" (must force) - container'
        f" {container.short_id} is using its referenced image {ident}"
    )
    with pytest.raises(errors.APIError, match=r"must be forced.*used by stopped container"):
        client.images.remove(base.id)
    container.start()
    with pytest.raises(errors.APIError, match=r"cannot be forced.*used by running container"):
        client.images.remove(base.id, force=True)
    assert client.api.remove_image("base:1", force=True) == [{"Untagged": "base:1"}]
    assert client.images.list(filters={"dangling": True}) == [base]
    container.kill()
    assert client.api.remove_image(base.id, force=True) == [{"Deleted": base.id}]
    container.start()  # it holds its layers itself
    container.remove(force=True)
    with pytest.raises(errors.ImageNotFound, match=f"No such image: {base.id}"):
        client.images.get(base.id)
    assert untouched


def test_pruning_takes_what_dangles_or_all_that_nobody_uses(client, shell, untouched):
    first = imported(client, tar(*shell))
    second = imported(client, tar(*shell, ("x", "y")), "LABEL keep=1")
    said = client.images.prune()
    assert said["ImagesDeleted"] == [{"Deleted": first.id}]
    assert said["SpaceReclaimed"] == len(tar(*shell))
    used = client.containers.create("busybox", "true")
    client.images.prune(filters={"dangling": False, "label!": ["keep"]})
    assert {image.id for image in client.images.list()} == {second.id, used.image.id}
    for name in ("host", "ubuntu:14.04", "ubuntu14.04"):
        client.images.pull(name)
    client.images.pull("myapp:v0.0.1")
    assert untouched


@pytest.mark.parametrize("name", ["Upper", "a b", "../x", "a//b", "-x", "x" * 300])
def test_a_name_that_is_none_is_refused(client, name):
    with pytest.raises(errors.APIError) as caught:
        client.images.get("busybox").tag(name)
    assert caught.value.status_code == 400
    assert "\n" not in caught.value.explanation


def test_events_tell_of_images(client, ended, base):
    events = client.events(decode=True, filters={"type": "image"})
    base.tag("base", "2")
    b"".join(client.api.get_image("base:2"))
    client.images.remove(base.id, force=True)
    client.images.pull("busybox")
    seen = [next(events) for _ in range(6)]
    assert [event["Action"] for event in seen] == [
        "tag",
        "save",
        "untag",
        "untag",
        "delete",
        "pull",
    ]
    assert seen[0]["Actor"] == {"ID": base.id, "Attributes": {"name": "base:2"}}
    assert seen[5]["Actor"]["ID"] == "busybox:latest"
    ended(events)


# The real client


def test_docker_import_reads_a_tar_and_its_changes(docker, shell, untouched):
    data = tar(*shell)
    out, errs = docker.start("import -c 'ENV A=1' -c 'CMD echo $A' -m mine - small:1").communicate(
        data
    )
    assert (errs, out[:7]) == (b"", b"sha256:")
    assert docker("run --rm small:1") == "1"
    assert docker("image inspect -f '{{.Comment}} {{.Config.Cmd}}' small:1") == (
        "mine [/bin/sh -c echo $A]"
    )
    assert docker("history --format '{{.Comment}}' small:1") == "mine"
    assert docker("images -q --no-trunc small").encode() == out.strip()
    assert docker("rmi small:1").splitlines() == [
        "Untagged: small:1",
        f"Deleted: {out.decode().strip()}",
    ]
    assert untouched


def test_docker_save_into_docker_load_keeps_the_image(docker, shell, untouched, tmp_path):
    ident, archive = saved_as_docker_did(tar(*shell), Cmd=["/bin/sh", "-c", "echo hi"])
    said = docker.start("load").communicate(archive)
    assert said == (b"Loaded image: old:1\n", b"")
    docker(f"save -o {tmp_path}/x.tar old:1")
    docker("rmi -f old:1")
    assert docker(f"load -q -i {tmp_path}/x.tar") == "Loaded image: old:1"
    assert docker("images -q --no-trunc old") == ident
    assert docker("run --rm old:1") == "hi"
    docker(f"save -o {tmp_path}/y.tar old:1")
    assert (tmp_path / "x.tar").read_bytes() == (tmp_path / "y.tar").read_bytes()
    assert untouched


def test_docker_build_says_in_one_sentence_that_it_does_not(docker, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\n")
    said = docker.refused(f"build {tmp_path}")
    assert said.endswith(
        "natlab does not build images: use docker import, or docker load of one built elsewhere"
    )


def test_what_is_nowhere_is_no_such_object(docker):
    assert docker.refused("inspect nonesuch") == "Error: No such object: nonesuch"
    assert docker.refused("rmi nonesuch") == "No such image: nonesuch:latest"
    assert "Total reclaimed space: 0B" in docker("system prune -f")
    assert docker("volume ls -q") == ""
