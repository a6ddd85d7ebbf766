"""A folder that a camera uploads to."""

import asyncio
import logging
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from agent.plugin import CameraState, Failure, Moment
from plugins.sources.file.filter import DEEPEST, Filter
from plugins.sources.file.picture import read_picture
from plugins.sources.file.tree import Tree
from tests.fakes.waiting import eventually
from tests.plugins.sources.file.files import BLUE, GREEN, ODD_NAMES, RED, looks_like, paint, refusal, whole_jpeg


async def test_step_goes_through_a_folder_by_name_and_begins_again(camera, tmp_path):
    for name, colour in [("b.png", GREEN), ("a.jpg", RED), ("c.webp", BLUE)]:
        paint(tmp_path / name, colour)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    source = camera(tmp_path, pace="step")
    frames = [await source.take(5) for _ in range(5)]
    assert [frame.how for frame in frames] == ["a.jpg", "b.png", "c.webp", "a.jpg", "b.png"]
    assert all(looks_like(*pair) for pair in zip(frames, [RED, GREEN, BLUE, RED, GREEN], strict=True))
    assert Moment.now().monotonic - frames[-1].taken.monotonic < 5


async def test_step_says_which_picture_is_damaged_and_goes_on(camera, tmp_path):
    paint(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    source = camera(tmp_path, pace="step")
    await source.take(5)
    assert "b.png" in str(await refusal(source))
    assert (await source.take(5)).how == "a.png"


async def test_step_sees_pictures_that_come_and_go(camera, tmp_path):
    for name in "ace":
        paint(tmp_path / f"{name}.png")
    source = camera(tmp_path, pace="step")
    names = [(await source.take(5)).how]
    (tmp_path / "c.png").unlink()
    paint(tmp_path / "d.png")
    names += [(await source.take(5)).how for _ in range(3)]
    assert names == ["a.png", "d.png", "e.png", "a.png"]


async def after_a_tick(path: Path) -> None:
    """Wait until a file written now is younger than ``path``, for the kernel's clock has coarse steps."""
    probe = path.with_name("probe.txt")

    def later() -> bool:
        probe.write_bytes(b"")
        return probe.stat().st_ctime_ns > path.stat().st_ctime_ns

    await eventually(later)
    probe.unlink()


def age(frame) -> float:
    return time.monotonic() - frame.taken.monotonic


async def watching(source) -> None:
    """Until the source has looked at its folder once."""
    await eventually(lambda: source._folder._tree._folders)


# --- the newest counts, by when it appeared here


async def test_the_newest_is_what_appeared_last_whatever_the_files_times_say(camera, tmp_path):
    for name, colour, mtime in [("z.png", RED, time.time() + 3600), ("m.png", GREEN, time.time()), ("a.png", BLUE, 1)]:
        os.utime(paint(tmp_path / name, colour), (mtime, mtime))
        await after_a_tick(tmp_path / name)
    frame = await camera(tmp_path).take(5)
    assert frame.how == "a.png"
    assert looks_like(frame, BLUE)
    assert 0 <= age(frame) < 10


@pytest.mark.parametrize("mtime", [0, 1e9, 4e9])
async def test_a_picture_that_appears_is_as_old_as_that_on_any_clock(camera, tmp_path, mtime):
    paint(tmp_path / "old.jpg", RED)
    source = camera(tmp_path)
    await watching(source)
    exif = Image.Exif()
    exif[0x0132] = "1999:12:31 23:59:59"
    before = time.monotonic()
    os.utime(paint(tmp_path / "19700101000000.jpg", GREEN, exif=exif), (mtime, mtime))
    frame = await source.take(5)
    assert looks_like(frame, GREEN)
    assert before - 0.1 <= frame.taken.monotonic <= time.monotonic()


async def test_on_a_share_whose_server_has_another_clock_a_new_picture_is_no_older_than_the_last_glance(
    camera, tmp_path, monkeypatch
):
    """Here the server is right, and our clock is two hours ahead."""
    paint(tmp_path / "old.jpg", RED)
    ahead = SimpleNamespace(time=lambda: time.time() + 7200, monotonic=time.monotonic)
    monkeypatch.setattr("plugins.sources.file.sighting.time", ahead)
    source = camera(tmp_path)
    assert (await refusal(source, 0.3)).kind is Failure.STALE
    before = time.monotonic()
    paint(tmp_path / "new.jpg", GREEN)
    frame = await source.take(5)
    assert looks_like(frame, GREEN)
    assert before - 2 < frame.taken.monotonic <= time.monotonic()


async def test_an_old_picture_is_refused_with_what_to_do(camera, tmp_path):
    source = camera(tmp_path, max_age=0.5)
    paint(tmp_path / "Front door_00.jpg")
    await eventually(lambda: source._folder._tree.newest and age_of_newest(source) > 0.5)
    refused = await refusal(source, 0.3)
    assert refused.kind is Failure.STALE
    for said in ("Front door_00.jpg", str(tmp_path), "seconds ago", "pace: step"):
        assert said in str(refused)
    assert source.states == [(CameraState.LIVE, "")], "nothing new is nothing wrong"


def age_of_newest(source) -> float:
    return time.monotonic() - source._folder._tree.newest[0].since


async def test_a_picture_is_fresh_for_max_age_captioned_or_not(camera, tmp_path):
    source = camera(tmp_path, max_age=30)
    paint(tmp_path / "a.jpg")
    first, second = await source.take(5), await source.take(5)
    assert (first.how, first.taken.monotonic) == (second.how, pytest.approx(second.taken.monotonic, abs=0.01))


async def test_a_look_waits_for_a_new_picture_where_the_last_is_too_old(camera, tmp_path):
    source = camera(tmp_path, max_age=0.5)
    paint(tmp_path / "old.jpg", RED)
    await eventually(lambda: source._folder._tree.newest and age_of_newest(source) > 0.5)
    look = asyncio.create_task(source.take(20))
    await asyncio.sleep(0)
    assert not look.done()
    began = time.monotonic()
    paint(tmp_path / "new.jpg", GREEN)
    frame = await look
    assert looks_like(frame, GREEN)
    assert began - 0.1 <= frame.taken.monotonic
    assert source.states[-1] == (CameraState.LIVE, "")


async def test_a_picture_written_anew_is_new_and_one_only_touched_by_a_backup_is_not(camera, tmp_path):
    source = camera(tmp_path, max_age=0.6)
    paint(tmp_path / "a.jpg", RED)
    paint(tmp_path / "snapshot.jpg", RED)
    await eventually(lambda: source._folder._tree.newest and age_of_newest(source) > 0.6)
    os.link(tmp_path / "a.jpg", tmp_path / "a.backup")  # changes the ctime
    (tmp_path / "a.jpg").chmod(0o600)
    assert (await refusal(source, 0.3)).kind is Failure.STALE
    paint(tmp_path / "snapshot.jpg", GREEN, size=(80, 60))
    assert looks_like(await source.take(5), GREEN)


async def test_a_folder_of_old_pictures_that_is_moved_in_is_old(camera, tmp_path):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "archive/2025/11").mkdir(parents=True)
    paint(tmp_path / "archive/2025/11/a.jpg")
    source = camera(tmp_path / "uploads", subfolders=True, max_age=1)
    await watching(source)
    written = time.monotonic()
    await eventually(lambda: time.monotonic() > written + 1.1)
    (tmp_path / "archive").rename(tmp_path / "uploads/archive")
    assert (await refusal(source, 0.6)).kind is Failure.STALE
    paint(tmp_path / "uploads/archive/2025/11/b.jpg", GREEN)
    assert looks_like(await source.take(5), GREEN)


async def test_a_share_that_is_mounted_again_holds_nothing_new(camera, tmp_path):
    source = camera(tmp_path, max_age=1)
    paint(tmp_path / "a.jpg")
    await eventually(lambda: source._folder._tree.newest and age_of_newest(source) > 1)
    tree = source._folder._tree
    before = tree._folders[str(tmp_path)]
    tree._device = -1
    assert (await refusal(source, 0.3)).kind is Failure.STALE
    assert tree._folders[str(tmp_path)] is not before, "it is looked at as for the first time"


# --- whole pictures only


async def test_an_upload_in_progress_is_passed_over(camera, tmp_path):
    paint(tmp_path / "old.jpg", GREEN)
    await after_a_tick(tmp_path / "old.jpg")
    (tmp_path / "new.jpg").write_bytes(whole_jpeg()[:9000])
    source = camera(tmp_path)
    assert (await source.take(5)).how == "old.jpg"
    (tmp_path / "new.jpg").write_bytes(whole_jpeg())
    assert (await source.take(5)).how == "new.jpg"


@pytest.mark.parametrize("begun", [0, 1, 9000, -1])
async def test_the_end_of_an_upload_is_waited_for(camera, tmp_path, begun):
    source = camera(tmp_path)
    (tmp_path / "new.jpg").write_bytes(whole_jpeg()[:begun])
    look = asyncio.create_task(source.take(20))
    await eventually(lambda: [s for s in source._folder._tree.newest if s.problem])
    assert not look.done()
    (tmp_path / "new.jpg").write_bytes(whole_jpeg())
    assert (await look).how == "new.jpg"


async def test_a_file_of_full_size_whose_end_is_not_written_yet_is_passed_over(camera, tmp_path):
    """SMB and some FTP servers reserve the whole size first: the rest reads as zeros, which decode as grey."""
    paint(tmp_path / "old.jpg", GREEN)
    await after_a_tick(tmp_path / "old.jpg")
    (tmp_path / "new.jpg").write_bytes(whole_jpeg()[:9000].ljust(len(whole_jpeg()), b"\0"))
    assert (await camera(tmp_path).take(5)).how == "old.jpg"


@pytest.mark.parametrize("name", ["a.jpg.tmp", "a.jpg.part", ".a.jpg", "a.jpg.filepart", ".in.a.jpg.", "a.txt", "a"])
async def test_what_is_no_finished_picture_by_its_name_does_not_count(camera, tmp_path, name):
    (tmp_path / name).write_bytes(whole_jpeg())
    refused = await refusal(camera(tmp_path), 0.3)
    assert refused.kind is Failure.NOT_FOUND
    assert "holds no picture" in str(refused)


async def test_a_picture_that_is_deleted_while_it_is_read_is_passed_over(camera, tmp_path, monkeypatch):
    paint(tmp_path / "old.jpg", GREEN)
    await after_a_tick(tmp_path / "old.jpg")
    paint(tmp_path / "new.jpg", RED)

    def deleted_first(path, long_edge):
        if path.name == "new.jpg":
            path.unlink()
        return read_picture(path, long_edge)

    monkeypatch.setattr("plugins.sources.file.folder.read_picture", deleted_first)
    source = camera(tmp_path)
    assert (await source.take(5)).how == "old.jpg"
    assert (await source.take(5)).how == "old.jpg"
    assert [Path(s.path).name for s in source._folder._tree.newest] == ["old.jpg"]


# --- folders in folders


async def test_pictures_in_new_folders_for_each_day_are_seen_as_they_come(camera, tmp_path):
    """Reolink's way; the folder of the next day is made when the first picture comes."""
    source = camera(tmp_path, subfolders=True)
    await watching(source)
    for day, colour in (("22", RED), ("23", GREEN)):
        folder = tmp_path / "2026/11" / day
        folder.mkdir(parents=True)
        paint(folder / f"Front door_00_202611{day}180405.jpg", colour)
        frame = await source.take(5)
        assert looks_like(frame, colour)
        assert frame.how == f"2026/11/{day}/Front door_00_202611{day}180405.jpg"
        assert age(frame) < 5


async def test_a_folder_holding_only_folders_is_told_of_the_option(camera, tmp_path):
    (tmp_path / "2026").mkdir()
    paint(tmp_path / "2026/a.jpg")
    assert "subfolders: true" in str(await refusal(camera(tmp_path), 0.3))


async def test_step_goes_through_the_folders_inside_too(camera, tmp_path):
    for name in ("b/1.png", "a/2.png", "a/1.png", "c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        paint(tmp_path / name)
    source = camera(tmp_path, subfolders=True, pace="step")
    assert [(await source.take(5)).how for _ in range(5)] == ["a/1.png", "a/2.png", "b/1.png", "c.png", "a/1.png"]


async def test_circles_of_links_thumbnails_and_bins_are_left_out(camera, tmp_path):
    for name in ("day", "@eaDir", "#recycle", ".trash"):
        (tmp_path / name).mkdir()
        paint(tmp_path / name / "a.jpg")
    (tmp_path / "day/loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    source = camera(tmp_path, subfolders=True)
    await source.take(5)
    assert await asyncio.to_thread(lambda: list(source._folder._tree.names())) == ["day/a.jpg"]


async def test_the_depth_is_bounded(camera, tmp_path):
    folder = tmp_path
    for number in range(12):
        folder = folder / str(number)
        folder.mkdir()
        paint(folder / "a.png", size=(4, 4))
    source = camera(tmp_path, subfolders=True)
    await source.take(5)
    assert len(await asyncio.to_thread(lambda: list(source._folder._tree.names()))) == DEEPEST


async def test_a_folder_inside_that_cannot_be_read_is_told_once_and_the_rest_goes_on(
    camera, tmp_path, monkeypatch, caplog
):
    for name in ("locked", "open"):
        (tmp_path / name).mkdir()
        paint(tmp_path / name / "a.jpg")
    locked = tmp_path / "locked"

    def scandir(path, real=os.scandir):
        if str(path) == str(locked):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    source = camera(tmp_path, subfolders=True)
    assert (await source.take(5)).how == "open/a.jpg"
    await source.take(5)
    assert [str(locked) in record.getMessage() for record in caplog.records] == [True]


async def test_a_folder_that_cannot_be_read_says_whose_fault_it_is(camera, tmp_path, monkeypatch):
    def scandir(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", scandir)
    source = camera(tmp_path)
    assert "Permission denied" in str(await refusal(source))
    assert source.states[-1][0] is CameraState.NO_PERMISSION


# --- come and gone


async def test_a_folder_that_is_not_there_yet_or_goes_and_comes_back(camera, tmp_path):
    uploads = tmp_path / "uploads"
    source = camera(uploads)
    for colour in (RED, GREEN):
        assert (await refusal(source)).kind is Failure.NOT_FOUND
        assert source.states[-1][0] is CameraState.NOT_FOUND
        uploads.mkdir()
        paint(uploads / "a.png", colour)
        assert looks_like(await source.take(5), colour)
        shutil.rmtree(uploads)


async def test_pictures_that_an_uploaders_housekeeping_deletes_are_forgotten(camera, tmp_path):
    for number in range(50):
        paint(tmp_path / f"{number:02}.png", size=(4, 4))
    source = camera(tmp_path)
    await source.take(5)
    keep = tmp_path / "00.png"
    for path in tmp_path.iterdir():
        if path != keep:
            path.unlink()
    assert (await source.take(5)).how == "00.png"


async def test_only_the_cameras_own_pictures_of_a_shared_folder(camera, tmp_path):
    paint(tmp_path / "Front door_00_2026.jpg", GREEN)
    await after_a_tick(tmp_path / "Front door_00_2026.jpg")
    paint(tmp_path / "Garage_01_2026.jpg", RED)
    assert looks_like(await camera(tmp_path, match="Front door_*").take(5), GREEN)
    assert "matches Yard_*" in str(await refusal(camera(tmp_path, match="Yard_*"), 0.3))


# --- at a bounded cost


def test_a_look_at_a_large_folder_reads_few_files_times(tmp_path, monkeypatch):
    for number in range(3000):
        (tmp_path / f"{number:05}.jpg").write_bytes(b"")
    paint(tmp_path / "new.jpg")
    tree = Tree(tmp_path, Filter("*", subfolders=True), logging.getLogger("test"))
    tree.poll()
    asked = []
    monkeypatch.setattr(os, "stat", lambda path, real=os.stat: asked.append(path) or real(path))
    for _ in range(20):
        tree.poll()
    assert len(asked) / 20 < 400
    assert len(set(asked)) > 3000, "all of them in turn"


def test_a_rewritten_old_name_among_thousands_is_found_in_its_turn(tmp_path):
    for number in range(3000):
        (tmp_path / f"{number:05}.jpg").write_bytes(b"")
    tree = Tree(tmp_path, Filter("*", subfolders=False), logging.getLogger("test"))
    tree.poll()
    for number in range(2000, 2050):
        (tmp_path / f"{number:05}.jpg").write_bytes(b"1")
    before = time.monotonic()
    (tmp_path / "00000.jpg").write_bytes(b"1")
    for _ in range(30):
        tree.poll()
    assert tree.newest[0].path == str(tmp_path / "00000.jpg")
    assert before - 0.1 <= tree.newest[0].since <= time.monotonic()


async def test_too_much_is_refused_with_what_to_do(camera, tmp_path, monkeypatch):
    monkeypatch.setattr("plugins.sources.file.tree.MOST_PICTURES", 5)
    for number in range(6):
        paint(tmp_path / f"{number}.png", size=(4, 4))
    source = camera(tmp_path)
    assert "more than 5 pictures" in str(await refusal(source))
    (tmp_path / "0.png").unlink()
    await source.take(5)


# --- what else may be wrong


async def test_a_folder_of_nothing_but_damaged_pictures_names_the_newest(camera, tmp_path):
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(b"broken")
        await after_a_tick(tmp_path / f"{number}.jpg")
    source = camera(tmp_path)
    refused = await refusal(source, 0.3)
    assert source.states[-1][0] is CameraState.DAMAGED
    assert refused.kind is Failure.DAMAGED
    assert "7.jpg" in str(refused)


@pytest.mark.parametrize("pace", ["real", "step"])
async def test_an_empty_folder_is_said_and_filled_later(camera, tmp_path, pace):
    source = camera(tmp_path, pace=pace)
    refused = await refusal(source, 0.3)
    assert refused.kind is Failure.NOT_FOUND
    assert str(tmp_path) in str(refused)
    paint(tmp_path / "first.png")
    assert (await source.take(5)).how == "first.png"


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_names_in_a_folder(camera, tmp_path, name):
    paint(tmp_path / name)
    assert looks_like(await camera(tmp_path, pace="step").take(5), RED)


async def test_a_name_that_is_no_text_does_not_break_the_record(camera, tmp_path):
    name = os.fsdecode(b"T\xfcr.png")
    (tmp_path / name).write_bytes(b"broken")
    refused = await refusal(camera(tmp_path), 0.3)
    assert "T\\xfcr.png" in str(refused)
    str(refused).encode()
