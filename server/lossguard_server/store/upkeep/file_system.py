"""Which file system a path is on, as the kernel's table of mounts says.

Rules of this file: SQLite's write-ahead log needs shared memory and locks that hold between processes; network file
systems promise neither, and lose committed data without a word. `type_of` is pure: the table is given as text.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...errors import NetworkFileSystem

MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = re.compile(
    r"nfs\d*|cifs|smb.*|9p|afs|coda|ncpfs|ceph|glusterfs|lustre|gpfs|beegfs|orangefs|pvfs2|davfs\d*"
    r"|fuse\.(sshfs|glusterfs|ceph.*|s3fs|rclone|gcsfuse|goofys|davfs\d*|nfs.*|smb.*|curlftpfs|juicefs.*)"
)


@dataclass(frozen=True)
class _Mount:
    number: int
    parent: int
    point: PurePosixPath
    type: str


def refuse_network(path: Path, mounts: Path = MOUNTS) -> None:
    """Raises NetworkFileSystem. Where there is no table of mounts (macOS) nothing is refused."""
    try:
        table = mounts.read_text(errors="surrogateescape")
    except OSError:
        return
    if is_network(found := type_of(table, path.resolve())):
        raise NetworkFileSystem(f"{path} is on {found}.")


def is_network(file_system: str) -> bool:
    """True for the type of a file system that other machines write to."""
    return _NETWORK.fullmatch(file_system) is not None


def type_of(mountinfo: str, path: Path) -> str:
    """The type of the file system that an absolute path without links is on; "" when the table does not say, or lies.

    The table is walked as the kernel walks a path, from the root down, because a mount may hide earlier ones below it.
    """
    mounts = [mount for line in mountinfo.splitlines() if (mount := _parsed(line)) is not None]
    known = {mount.number for mount in mounts}
    wanted = PurePosixPath(path)
    root = next((m for m in mounts if m.point == PurePosixPath("/") and m.parent not in known - {m.number}), None)
    if root is None:
        return ""
    current = root
    left = [mount for mount in mounts if mount is not current]
    while below := [m for m in left if m.parent == current.number and wanted.is_relative_to(m.point)]:
        # the first mount point that the walk comes to; of several on the same, the one mounted last
        current = min(reversed(below), key=lambda mount: len(mount.point.parts))
        left.remove(current)
    # gVisor and the like show a container its own disk as 9p
    return "" if current is root and current.type == "9p" else current.type


def _parsed(line: str) -> _Mount | None:
    """`36 35 98:0 /root /point options [optional fields] - type source options`; blanks in it are octal."""
    before, _, after = line.partition(" - ")
    fields = before.split(" ")
    if len(fields) < 6 or not fields[0].isdigit() or not fields[1].isdigit() or not after:
        return None
    point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
    return _Mount(int(fields[0]), int(fields[1]), PurePosixPath(point), after.split(" ")[0])
