"""Where a store cannot live is said when it is opened, with the way out."""

import subprocess
import sys
from pathlib import Path

import pytest

import nbflow as nf
from nbflow._store import habitat
from nbflow._store.habitat import fading, mount_of, unfit

TABLE = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:50 / /home rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2
41 27 0:51 / /mnt/share rw - cifs //server/share rw
42 27 0:52 / /home/me/remote rw - fuse.sshfs me@host: rw
43 27 0:53 / /mnt/my\040disk rw - fuseblk /dev/sdb1 rw
44 27 0:54 / /mnt/c rw - 9p C:\134 rw
45 27 0:55 / /layer rw - overlay overlay rw
46 27 0:56 / /dev/shm rw - tmpfs tmpfs rw
47 40 0:57 / /home/me/fast rw - xfs /dev/nvme rw
48 27 0:58 / /mnt/bound rw,nosuid - fuse /data rw,user_id=0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/you/p/.nbflow", "nfs4 at /home"),
        ("/mnt/share/.nbflow", "cifs at /mnt/share"),
        ("/home/me/remote/.nbflow", "fuse.sshfs at /home/me/remote"),
        ("/mnt/c/Users/me/.nbflow", "9p at /mnt/c"),
    ],
)
def test_a_network_file_system_is_named(folder, kind):
    said = unfit(Path(folder), TABLE)
    assert f"network file system ({kind})" in said
    assert "NBFLOW_STORE" in said


def test_a_program_behind_a_mount_is_named_as_no_more_than_that():
    """As bindfs and older cloud drives say it."""
    said = unfit(Path("/mnt/bound/.nbflow"), TABLE)
    assert "it is on a FUSE file system (fuse at /mnt/bound)" in said


@pytest.mark.parametrize(
    "folder", ["/data/.nbflow", "/mnt/my disk/.nbflow", "/home/me/fast/.nbflow"]
)
def test_a_disk_of_this_machine_is_none(folder):
    assert unfit(Path(folder), TABLE) is None
    assert fading(Path(folder), TABLE) is None


def test_what_ends_with_its_container_or_machine_is_named():
    assert "ends with the container. Mount a volume" in fading(
        Path("/layer/.nbflow"), TABLE
    )
    assert "ends with the machine" in fading(Path("/dev/shm/x"), TABLE)


@pytest.mark.parametrize(
    "folder",
    [
        "/Users/me/Dropbox/p",
        "/Users/me/OneDrive - Firm/p",
        "/Users/me/Library/Mobile Documents/com~apple~CloudDocs/p",
        "/Users/me/Library/CloudStorage/GoogleDrive-me/p",
    ],
)
def test_a_folder_that_a_client_copies_is_named(folder):
    assert "a sync client copies its folder" in unfit(Path(folder), TABLE)
    assert unfit(Path("/data/dropboxes/p"), TABLE) is None


def test_it_is_said_once_when_the_store_is_opened(tmp_path):
    folder = tmp_path / "Dropbox" / ".nbflow"
    nf.use(folder)

    @nf.step
    def size(text):
        return len(text)

    with pytest.warns(nf.StoreWarning, match="a sync client copies") as caught:
        assert [size("a"), size("b")] == [1, 1]
    assert len(caught) == 1
    assert "sync client" in str(nf.store.info())


@pytest.mark.skipif(sys.platform != "linux", reason="a table of Linux")
def test_the_table_of_this_machine_is_read(tmp_path):
    mount = mount_of(tmp_path)
    if mount is None:
        pytest.skip("in a chroot the table of mounts does not have its root")
    told = subprocess.run(
        ["stat", "-f", "-c", "%T", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    kind = told.stdout.strip().replace("overlayfs", "overlay")
    assert mount.kind[:3] == kind[:3], "ext2/ext3 is what stat calls ext4"
    assert habitat.mount_of(tmp_path, "") is None
