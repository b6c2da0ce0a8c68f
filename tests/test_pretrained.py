"""The store of downloaded weights: a published file comes in checked and converted, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dfukit.errors import ConfigError, WeightsError
from dfukit.pretrained import KNOWN, Published, Store, default_store

TENSORS = {"fc.weight": torch.arange(12.0).reshape(3, 4), "fc.count": torch.tensor(7)}


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address where a local server offers it."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DFUKIT_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def publish(file: Path, address: str, content: object = None) -> Published:
    torch.save(TENSORS if content is None else content, file)
    return entry_of(file, address)


def entry_of(file: Path, address: str) -> Published:
    return Published(
        name="tiny",
        url=f"{address}/{file.name}",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        bytes=file.stat().st_size,
        license="MIT",
        citation="",
        purpose="tests",
    )


def ignore(done: int, of: int) -> None:
    pass


def test_a_published_file_is_downloaded_checked_and_kept_as_safetensors(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, address = served
    store = Store(tmp_path / "store", (publish(folder / "tiny.pth", address),))
    seen: list[tuple[int, int]] = []
    path = store.get("tiny", lambda done, of: seen.append((done, of)))
    size = (folder / "tiny.pth").stat().st_size
    assert seen[-1] == (size, size)
    assert path.suffix == ".safetensors"
    loaded = load_file(path)
    assert loaded.keys() == TENSORS.keys()
    assert all(torch.equal(loaded[name], TENSORS[name]) for name in TENSORS)
    assert sorted(file.name for file in store.folder.iterdir()) == [path.name]


def test_what_is_stored_needs_no_network(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    store = Store(tmp_path / "store", (publish(folder / "tiny.pth", address),))
    path = store.get("tiny", ignore)
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    assert store.get("tiny", ignore) == path == store.stored("tiny")


def test_what_a_killed_download_left_is_removed_and_one_at_work_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", (publish(tmp_path / "tiny.pth", ""),))
    path = store.add(tmp_path / "tiny.pth")
    for name in ("tmpkilled1", "tmpatwork1"):
        (store.folder / name).mkdir()
        (store.folder / name / "tiny.pth").write_bytes(b"half")
    two_days_ago = time.time() - 2 * 86_400
    os.utime(store.folder / "tmpkilled1", (two_days_ago, two_days_ago))
    store.get("tiny", ignore)
    assert sorted(file.name for file in store.folder.iterdir()) == [path.name, "tmpatwork1"]


def test_a_file_with_another_checksum_is_not_stored(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    entry = publish(folder / "tiny.pth", address)
    changed = bytearray((folder / "tiny.pth").read_bytes())
    changed[-1] ^= 1
    (folder / "tiny.pth").write_bytes(changed)
    store = Store(tmp_path / "store", (entry,))
    with pytest.raises(WeightsError, match="none of the files that dfukit knows"):
        store.get("tiny", ignore)
    assert store.stored("tiny") is None
    assert list(store.folder.iterdir()) == []


@pytest.mark.parametrize(("content", "message"), [(b"short", "5 of"), (b"long" * 2000, "more than")])
def test_a_download_of_the_wrong_length_is_not_stored(
    served: tuple[Path, str], tmp_path: Path, content: bytes, message: str
) -> None:
    folder, address = served
    entry = publish(folder / "tiny.pth", address)
    (folder / "tiny.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        Store(tmp_path / "store", (entry,)).get("tiny", ignore)


def test_a_missing_page_names_the_remedy(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    entry = publish(folder / "tiny.pth", address)
    (folder / "tiny.pth").unlink()
    with pytest.raises(WeightsError, match=r"404.*dfukit weights add tiny\.pth"):
        Store(tmp_path / "store", (entry,)).get("tiny", ignore)


def test_offline_is_respected_without_a_connection(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    monkeypatch.setenv("DFUKIT_OFFLINE", "1")
    store = Store(tmp_path / "store", (publish(folder / "tiny.pth", address),))
    with pytest.raises(WeightsError, match=r"DFUKIT_OFFLINE.*dfukit weights add tiny\.pth"):
        store.get("tiny", ignore)


@pytest.mark.parametrize("host", ["127.0.0.1:9", "192.0.2.1", "no-such-host.invalid"])
def test_an_unreachable_host_is_given_up_within_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for variable in [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]:
        monkeypatch.delenv(variable)
    store = Store(tmp_path / "store", (publish(tmp_path / "tiny.pth", f"http://{host}"),))
    started = time.monotonic()
    with pytest.raises(WeightsError, match=r"cannot be downloaded.*dfukit weights add tiny\.pth") as caught:
        store.get("tiny", ignore)
    assert time.monotonic() - started < 2
    assert "\n" not in str(caught.value)


def test_a_file_brought_by_hand_is_recognised_by_its_content(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", (publish(tmp_path / "published.pth", "http://127.0.0.1:9"),))
    renamed = (tmp_path / "published.pth").rename(tmp_path / "from-a-usb-stick")
    assert store.add(renamed) == store.stored("tiny")
    assert store.list()[0]["path"] == str(store.stored("tiny"))


def test_the_same_published_file_gives_the_same_bytes(tmp_path: Path) -> None:
    entry = publish(tmp_path / "tiny.pth", "http://127.0.0.1:9")
    first = Store(tmp_path / "first", (entry,)).add(tmp_path / "tiny.pth")
    second = Store(tmp_path / "second", (entry,)).add(tmp_path / "tiny.pth")
    assert first.read_bytes() == second.read_bytes()


def test_a_file_that_is_not_known_is_refused(tmp_path: Path) -> None:
    entry = publish(tmp_path / "tiny.pth", "http://127.0.0.1:9")
    (tmp_path / "other.pth").write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"other\.pth .*none of the files.*tiny\.pth"):
        Store(tmp_path / "store", (entry,)).add(tmp_path / "other.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.pth: No such file"):
        Store(tmp_path / "store", KNOWN).add(tmp_path / "absent.pth")


class Carrier:
    """Pickled, it asks whoever opens it to make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_pickle_that_carries_code_is_refused_and_not_run(tmp_path: Path) -> None:
    entry = publish(tmp_path / "tiny.pth", "http://127.0.0.1:9", {"fc.weight": Carrier(tmp_path / "made")})
    store = Store(tmp_path / "store", (entry,))
    with pytest.raises(WeightsError, match="refused"):
        store.add(tmp_path / "tiny.pth")
    assert not (tmp_path / "made").exists()
    assert store.stored("tiny") is None


def test_a_file_that_holds_no_table_of_tensors_is_refused(tmp_path: Path) -> None:
    entry = publish(tmp_path / "tiny.pth", "http://127.0.0.1:9", [1, 2, 3])
    with pytest.raises(WeightsError, match="not a table of tensors"):
        Store(tmp_path / "store", (entry,)).add(tmp_path / "tiny.pth")


def test_verify_finds_a_changed_tensor_and_a_broken_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", (publish(tmp_path / "tiny.pth", "http://127.0.0.1:9"),))
    assert store.verify() == []
    path = store.add(tmp_path / "tiny.pth")
    assert [row["problem"] for row in store.verify()] == [None]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "its tensors changed" in store.verify()[0]["problem"]
    path.write_bytes(whole[:40])
    assert "unreadable" in store.verify()[0]["problem"]


def test_a_store_that_cannot_be_written_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store", (publish(tmp_path / "tiny.pth", "http://127.0.0.1:9"),))

    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "x")

    monkeypatch.setattr("dfukit.rundir.write_bytes", refused)
    with pytest.raises(WeightsError, match=r"store cannot be written \(Permission denied\).*DFUKIT_CACHE_DIR"):
        store.add(tmp_path / "tiny.pth")


def test_unknown_weights_are_guessed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='did you mean "inception"'):
        Store(tmp_path, KNOWN).get("inceptoin", ignore)


def test_the_store_lies_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path))
    assert default_store().folder == tmp_path / "weights"
    assert [row["name"] for row in default_store().list()] == ["inception"]


def test_a_known_file_is_named_after_the_start_of_its_checksum() -> None:
    assert all(entry.file.rpartition("-")[2].removesuffix(".pth") == entry.sha256[:8] for entry in KNOWN)
