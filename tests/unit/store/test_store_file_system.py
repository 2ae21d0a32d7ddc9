"""The table of mounts says which file system a path is on, whatever hides what."""

from pathlib import Path

import pytest

from lossguard_server.errors import NetworkFileSystem
from lossguard_server.store.database import Database
from lossguard_server.store.upkeep.file_system import is_network, refuse_network, type_of

TABLE = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:5 / /home rw,relatime - nfs4 filer:/home rw,vers=4.2
24 23 0:6 / /home/local rw - ext4 /dev/vdb rw
25 22 0:7 / /mnt/my\040share rw - cifs //filer/share rw
26 22 0:8 / /data/deep rw - nfs filer:/deep rw
27 22 0:9 / /data rw - xfs /dev/vdc rw
28 27 0:10 / /data rw - tmpfs none rw
29 22 0:11 / /homework rw - fuse.sshfs somebody@somewhere: rw
30 1 half a line
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/lib/lossguard.db", "ext4"),
        ("/home/me/lossguard.db", "nfs4"),
        ("/home", "nfs4"),
        ("/home/local/lossguard.db", "ext4"),
        ("/mnt/my share/x.db", "cifs"),
        ("/mnt/my", "ext4"),
        ("/data/deep/x.db", "tmpfs"),  # the mount below is hidden by a later one, and that by one on top of it
        ("/homework/x.db", "fuse.sshfs"),
        ("/homewor/x.db", "ext4"),
    ],
)
def test_a_path_is_found_as_the_kernel_finds_it(path: str, expected: str) -> None:
    assert type_of(TABLE, Path(path)) == expected


def test_a_root_of_which_the_parent_is_not_in_sight_is_a_root() -> None:
    container = "700 650 0:50 / / rw - overlay overlay rw\n701 700 0:51 / /data rw - 9p host rw\n"
    assert type_of(container, Path("/x")) == "overlay"
    assert type_of(container, Path("/data/x")) == "9p"
    assert type_of("", Path("/x")) == ""


def test_a_sandbox_whose_own_disk_looks_like_9p_is_let_pass() -> None:
    assert type_of("1 0 0:50 / / rw - 9p none rw\n", Path("/data/x")) == ""


def test_network_file_systems_are_known_and_local_ones_pass() -> None:
    network = "nfs nfs4 cifs smb3 smbfs 9p ceph fuse.ceph fuse.sshfs fuse.glusterfs glusterfs lustre afs"
    local = "ext4 xfs btrfs overlay tmpfs zfs apfs f2fs fuse.fuseblk fuseblk virtiofs"
    assert [name for name in network.split() if not is_network(name)] == []
    assert [name for name in local.split() if is_network(name)] == []


def test_a_database_there_is_refused_by_name(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / {tmp_path} rw - nfs4 b rw\n")
    with pytest.raises(NetworkFileSystem, match="nfs4") as refused:
        refuse_network(tmp_path / "lossguard.db", table)
    assert "--data" in str(refused.value)
    refuse_network(tmp_path / "lossguard.db", tmp_path / "no such table")
    Database(f"sqlite:///{tmp_path / 'lossguard.db'}", lambda: 0.0).close()  # where tests run it passes
