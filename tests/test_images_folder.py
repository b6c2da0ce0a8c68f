"""Folders, manifests and patients: what is found in them, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfukit import images
from dfukit.errors import ConfigError, DataError
from dfukit.images.prepare import refuse_inside
from dfukit.sections import DataSettings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DFUKIT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two labels with four pictures each."""
    for label in ("healthy", "infected"):
        for number in range(4):
            draw(tmp_path / "feet" / label / f"p{number}_{label}.png")
    return tmp_path / "feet"


def draw(path: Path, size: tuple[int, int] = (24, 24)) -> None:
    """A picture of noise, another one for each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = [ord(letter) for letter in path.name]
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)


def load(root: Path, **settings: object) -> images.ImageSet:
    return images.load(DataSettings(path=str(root), **settings))


def reasons(loaded: images.ImageSet) -> dict[str, str]:
    return {one.path: one.reason for one in loaded.check.excluded}


def test_the_first_folder_level_is_the_label(root: Path) -> None:
    draw(root / "infected" / "visit 2" / "left" / "deep.png")
    loaded = load(root)
    assert loaded.classes == ("healthy", "infected")
    assert loaded.positive == "infected"
    assert list(loaded.labels) == [0] * 4 + [1] * 5
    assert "infected/visit 2/left/deep.png" in loaded.paths
    assert list(loaded.paths) == sorted(loaded.paths)
    assert loaded.pixels.shape == (9, 256, 256, 3)


def test_pictures_in_the_folder_itself_are_one_label(root: Path) -> None:
    loaded = load(root / "healthy")
    assert loaded.classes == ("healthy",)
    assert loaded.positive is None


def test_hidden_files_do_not_count(root: Path) -> None:
    draw(root / "healthy" / ".hidden.png")
    draw(root / ".trash" / "gone.png")
    loaded = load(root)
    assert len(loaded.paths) == 8
    assert reasons(loaded) == {}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path .*nowhere does not exist"):
        load(tmp_path / "nowhere")


def test_a_folder_that_counts_from_elsewhere_is_named_with_the_remedy(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    assert len(images.load(DataSettings(path=root.name)).paths) == 8
    monkeypatch.chdir(root)
    with pytest.raises(
        DataError, match=rf"data\.path {root.name} does not exist here: .*: go there, or write the whole path"
    ):
        images.load(DataSettings(path=root.name))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("~nobody_of_this_name/feet", "there is no such user"),
        ("/" + 300 * "x", "cannot be reached: File name too long"),
        ("loop", "cannot be reached: Too many levels of symbolic links"),
        ("nul\0", "cannot be reached: embedded null byte"),
    ],
)
def test_a_folder_that_cannot_be_reached_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(DataError, match=rf"data\.path {path}.*{said}"):
        images.load(DataSettings(path=path))


def test_a_table_of_patients_of_a_user_who_does_not_exist_is_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"data\.patients ~nobody_of_this_name/p\.csv: there is no such user"):
        load(root, patients="~nobody_of_this_name/p.csv")


def test_no_folder_at_all_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"data\.path is not set"):
        images.load(DataSettings())


def test_a_file_in_place_of_a_folder_is_named(root: Path) -> None:
    with pytest.raises(DataError, match="is a file: give the folder"):
        load(root / "healthy" / "p0_healthy.png")


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no file"):
        load(tmp_path / "none")


def test_notes_beside_the_label_folders_are_no_label(root: Path) -> None:
    (root / "README.txt").write_text("notes")
    (root / "scan.png").write_bytes(b"broken")
    loaded = load(root)
    assert loaded.classes == ("healthy", "infected")
    assert sorted(reasons(loaded)) == ["README.txt", "scan.png"]


def test_loose_pictures_beside_label_folders_are_a_label_and_a_warning(root: Path) -> None:
    draw(root / "loose.png")
    loaded = load(root)
    assert loaded.classes == ("feet", "healthy", "infected")
    assert any("1 pictures lie in the folder itself" in warning for warning in loaded.check.warnings)


def test_one_picture_is_not_enough(tmp_path: Path) -> None:
    draw(tmp_path / "one" / "only.png")
    with pytest.raises(DataError, match="has 1 usable picture: at least 3 are needed"):
        load(tmp_path / "one")


def test_a_folder_without_a_usable_picture_names_the_first_reason(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"no picture can be used; the first of 1: a.jpg: not a picture"):
        images.inspect(DataSettings(path=str(tmp_path / "broken")))


def test_an_empty_label_is_named(root: Path) -> None:
    (root / "uninfected").mkdir()
    with pytest.raises(DataError, match="label 'uninfected' has no picture"):
        load(root)


def test_a_label_of_broken_pictures_is_named_with_a_reason(root: Path) -> None:
    (root / "uninfected").mkdir()
    (root / "uninfected" / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"label 'uninfected' has no usable picture .*empty file"):
        load(root)


def test_an_unknown_positive_class_is_a_configuration_error(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.positive 'sick' is not a label; the labels are: healthy, infected"):
        load(root, positive="sick")


def test_three_labels_need_a_positive_class(root: Path) -> None:
    for number in range(3):
        draw(root / "callus" / f"c{number}.png")
    assert load(root, positive="callus").positive == "callus"
    (root / "infected").rename(root / "septic")
    with pytest.raises(ConfigError, match="name the positive class with --positive, one of callus, healthy, septic"):
        load(root)


def test_a_check_needs_no_positive_class(root: Path) -> None:
    (root / "infected").rename(root / "septic")
    assert images.inspect(DataSettings(path=str(root))).labels == {"healthy": 4, "septic": 4}


def test_the_manifest_gives_label_patient_part_and_box(root: Path) -> None:
    boxed = Image.new("RGB", (100, 60), (200, 0, 0))
    boxed.paste((0, 0, 200), (60, 20, 80, 40))
    boxed.save(root / "boxed.png")
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("p*.png"))
    rows = [f"{name},{'x' if number % 2 else 'y'},pat{number // 2},train,,,," for number, name in enumerate(names)]
    (root / "manifest.csv").write_text(
        "\n".join(["path,label,Patient,split,x,y,w,h", *rows, "boxed.png,x,pat9,val,60,20,20,20", ""])
    )
    loaded = load(root, positive="x")
    assert loaded.classes == ("x", "y")
    assert loaded.patients_known
    assert loaded.assigned is not None
    position = loaded.paths.index("boxed.png")
    assert loaded.patients[loaded.groups[position]] == "pat9"
    assert loaded.assigned[position] == 1
    assert (loaded.pixels[position] == (0, 0, 200)).all()
    assert reasons(loaded) == {}


def test_manifest_rows_that_lead_nowhere_are_excluded_with_their_reason(root: Path) -> None:
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    draw(root / "unlisted.png")
    draw(root.parent / "outside.png")
    (root / "link.png").symlink_to(root.parent / "outside.png")
    rows = [f"{name},x" for name in names]
    rows += ["gone.png,x", "../outside.png,x", "link.png,x", f"{names[0]},x", ",x", "unlabelled.png,"]
    (root / "manifest.csv").write_text("\n".join(["path,label", *rows, ""]))
    loaded = load(root)
    assert len(loaded.paths) == 8
    found = [(one.path, one.reason) for one in loaded.check.excluded]
    assert ("gone.png", "listed in the manifest, but there is no such file") in found
    assert ("unlisted.png", "not listed in manifest.csv") in found
    assert ("link.png", "a symbolic link: copy the file instead") in found
    assert (names[0], "listed a second time in the manifest") in found
    assert [path for path, reason in found if "leads" in reason] == ["../outside.png", "line 14"]
    assert ("unlabelled.png", "no label in line 15 of manifest.csv") in found
    assert len(found) == 7


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("y,ann,train,1,2,9,9,a", "label 'x' and 'y'"),
        ("x,bea,train,1,2,9,9,a", "patient 'ann' and 'bea'"),
        ("x,ann,,1,2,9,9,a", "split 'train' and ''"),
        ("x,ann,train,5,2,9,9,a", r"box \[1\.0, 2\.0, 9\.0, 9\.0\] and \[5\.0, 2\.0, 9\.0, 9\.0\]"),
        ("x,ann,train,1,2,9,9,b", "site 'a' and 'b'"),
    ],
)
def test_two_rows_of_a_picture_that_differ_are_an_error(root: Path, second: str, said: str) -> None:
    path = "healthy/p0_healthy.png"
    rows = ["path,label,patient,split,x,y,w,h,site", f"{path},x,ann,train,1,2,9,9,a", f"{path},{second}", ""]
    (root / "manifest.csv").write_text("\n".join(rows))
    with pytest.raises(DataError, match=rf"manifest\.csv lists {path} twice, with {said}: keep the row"):
        load(root)


def test_absolute_paths_of_a_manifest_may_come_to_the_folder_by_a_link(root: Path) -> None:
    link = root.with_name("link")
    link.symlink_to(root)
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    draw(root.parent / "outside.png")
    (root / "inner").symlink_to(root / "healthy")
    rows = [f"{link / name},x" for name in names]
    rows += [f"{link / 'inner' / 'p0_healthy.png'},x", f"{root.parent / 'outside.png'},x"]
    (root / "manifest.csv").write_text("\n".join(["path,label", *rows, ""]))
    loaded = load(link)
    assert list(loaded.paths) == names
    assert {path: reason for path, reason in reasons(loaded).items() if path != "inner"} == {
        "inner/p0_healthy.png": "a folder on its way is a symbolic link: copy the folder instead",
        str(root.parent / "outside.png"): "its path in the manifest leads nowhere in root",
    }


def test_absolute_paths_of_a_table_of_patients_may_come_to_the_folder_by_a_link(root: Path) -> None:
    link, table = root.with_name("link"), root.parent / "patients.csv"
    link.symlink_to(root)
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    table.write_text("\n".join(["path,patient", *[f"{link / name},{name[-5:]}" for name in names], ""]))
    assert load(link, patients=str(table)).patients_known


def test_a_box_beside_the_picture_is_excluded(root: Path) -> None:
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    rows = [f"{name},x,,,," for name in names[1:]]
    (root / "manifest.csv").write_text("\n".join(["path,label,x,y,w,h", *rows, f"{names[0]},x,30,0,9,9", ""]))
    assert reasons(load(root))[names[0]].startswith("less than 8 pixels of its box lie inside the picture")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"path,label\n\xff\xfe,x\n", "manifest.csv is not UTF-8 text"),
        (b"file,label\na.png,x\n", "has no column path; it has file, label"),
        (b"path\na.png\n", "has no column label; it has path"),
        (b"", "has no column path and label; it has no columns"),
        (b'path,label\n"a.png,x\n', "line 2: unexpected end of data"),
        (b"path,label,split\np0_healthy.png,x,tset\n", "line 2: split must be train, validation or test, got 'tset'"),
        (b"path,label,x,y,w,h\np0_healthy.png,x,1,2,3\n", "line 2: x,y,w,h must be four numbers"),
        (b"path,label,x,y,w,h\np0_healthy.png,x,1,2,0,nan\n", "line 2: a box needs a width and a height"),
        (b"path,label\n", "no picture can be used; the first of 4: p0_healthy.png: not listed in manifest.csv"),
        (b"path,label\n\0,x\n", "no picture can be used"),
        (
            b"path,patient,label\np0_healthy.png,Doe, Jane,x\n",
            "line 2: 4 values for 3 columns: put a value that holds ','",
        ),
    ],
)
def test_an_unusable_manifest_is_one_clear_line(root: Path, text: bytes, message: str) -> None:
    (root / "healthy" / "manifest.csv").write_bytes(text)
    with pytest.raises(DataError, match=message) as error:
        load(root / "healthy")
    assert "\n" not in str(error.value)


def test_empty_cells_behind_the_last_column_do_not_matter(root: Path) -> None:
    rows = [f"p{number}_healthy.png,x,," for number in range(4)]
    (root / "healthy" / "manifest.csv").write_text("\n".join(["path,label", *rows, ""]))
    assert len(load(root / "healthy").paths) == 4


@pytest.mark.parametrize("label", ["../x", "a/../../x", "/x", "a\\b", "x" * 300, "tab\there"])
def test_a_label_that_cannot_be_the_name_of_a_folder_is_refused(root: Path, label: str) -> None:
    names = [f"p{number}_healthy.png" for number in range(4)]
    (root / "healthy" / "manifest.csv").write_text(
        "\n".join(["path,label", *[f"{name},{label}" for name in names], ""])
    )
    with pytest.raises(DataError, match="cannot be the name of a folder"):
        load(root / "healthy")


@pytest.mark.parametrize("label", ["grade 1/2", "não infectado", "x" * 200])
def test_other_labels_of_a_manifest_are_taken_as_they_are(root: Path, label: str) -> None:
    names = [f"p{number}_healthy.png" for number in range(4)]
    (root / "healthy" / "manifest.csv").write_text(
        "\n".join(["path,label", *[f"{name},{label}" for name in names], ""])
    )
    assert load(root / "healthy").classes == (label,)


def test_a_label_whose_rows_all_lead_nowhere_is_named(root: Path) -> None:
    rows = [f"healthy/p{number}_healthy.png,healthy" for number in range(4)]
    rows += [f"infectd/p{number}_infected.png,infected" for number in range(4)]
    (root / "manifest.csv").write_text("\n".join(["path,label", *rows, ""]))
    with pytest.raises(DataError, match=r"label 'infected' has no picture .*infectd/p0_infected\.png: listed in the"):
        load(root)


def test_a_csv_may_use_semicolons_and_a_byte_order_mark(root: Path) -> None:
    rows = [f"p{number}_healthy.png;x;a{number}" for number in range(4)]
    (root / "healthy" / "manifest.csv").write_text("\n".join(["path;label;group", *rows, ""]), encoding="utf-8-sig")
    loaded = load(root / "healthy")
    assert list(loaded.patients) == ["a0", "a1", "a2", "a3"]


def test_patients_come_from_a_csv_beside_the_folder(root: Path) -> None:
    table = root.parent / "patients.csv"
    names = sorted(path.relative_to(root.parent).as_posix() for path in root.rglob("*.png"))
    table.write_text("\n".join(["path,group", *[f"{name},{name[-5:]}" for name in names], ""]))
    loaded = load(root, patients=str(table))
    assert loaded.patients_known
    assert len(loaded.patients) == 2


def test_patients_come_from_a_csv_that_counts_from_the_folder(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "elsewhere" / "patients.csv"
    table.parent.mkdir()
    table.write_text("path,patient\nhealthy/p0_healthy.png,ann\ninfected/p0_infected.png,ann\n")
    loaded = load(root, patients=str(table))
    assert not loaded.patients_known
    assert loaded.groups[0] == loaded.groups[4]
    assert len(loaded.patients) == 7
    assert any("6 pictures have no patient" in warning for warning in loaded.check.warnings)


def test_a_csv_inside_the_folder_is_no_excluded_picture(root: Path) -> None:
    (root / "patients.csv").write_text("path,patient\nhealthy/p0_healthy.png,ann\n")
    assert reasons(load(root, patients=str(root / "patients.csv"))) == {}


def test_a_csv_that_names_no_picture_is_an_error(root: Path) -> None:
    table = root.parent / "patients.csv"
    table.write_text("path,patient\nother/a.png,ann\n")
    with pytest.raises(DataError, match=r"names no picture of .*feet \(its first path reads 'other/a\.png'\)"):
        load(root, patients=str(table))
    table.write_text("path,patient\n/elsewhere/a.png,ann\n")
    with pytest.raises(DataError, match=r"its first path reads '/elsewhere/a\.png'"):
        load(root, patients=str(table))
    table.write_text("path,patient\nhealthy/p0_healthy.png,\n")
    with pytest.raises(DataError, match=r"patients\.csv has no row with a path and a patient"):
        load(root, patients=str(table))


def test_a_picture_of_two_patients_is_an_error(root: Path) -> None:
    table = root.parent / "patients.csv"
    table.write_text("path,patient\nhealthy/p0_healthy.png,ann\nhealthy/p0_healthy.png,ann\n")
    assert "ann" in load(root, patients=str(table)).patients
    table.write_text("path,patient\nhealthy/p0_healthy.png,ann\nhealthy/p0_healthy.png,bea\n")
    with pytest.raises(DataError, match=r"gives healthy/p0_healthy\.png to 'ann' and to 'bea'"):
        load(root, patients=str(table))


def test_a_csv_without_patients_is_an_error(root: Path) -> None:
    table = root.parent / "patients.csv"
    table.write_text("path,label\nother/a.png,ann\n")
    with pytest.raises(DataError, match=r"has no column patient \(or group\); it has path, label"):
        load(root, patients=str(table))


def test_a_missing_csv_is_an_error(root: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.csv cannot be read: No such file"):
        load(root, patients=str(root.parent / "missing.csv"))


def test_patients_come_from_a_pattern_on_the_path(root: Path) -> None:
    loaded = load(root, patient_pattern=r"/(p\d)_")
    assert loaded.patients_known
    assert sorted(loaded.patients) == ["p0", "p1", "p2", "p3"]
    assert list(loaded.groups[:4]) == list(loaded.groups[4:])


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "is no regular expression"),
        ("p", "has no group"),
        ("(zebra)", "matches no path, for instance 'healthy/p0"),
    ],
)
def test_an_unusable_pattern_is_a_configuration_error(root: Path, pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(root, patient_pattern=pattern)


def test_a_csv_and_a_pattern_together_are_a_configuration_error(root: Path) -> None:
    with pytest.raises(ConfigError, match="are both set"):
        load(root, patient_pattern="(p)", patients="x.csv")


def test_without_patients_there_is_a_warning(root: Path) -> None:
    loaded = load(root)
    assert not loaded.patients_known
    assert len(loaded.patients) == 8
    assert any("no picture's patient is known" in warning for warning in loaded.check.warnings)


def test_the_fit_decides_what_becomes_of_a_long_picture(tmp_path: Path) -> None:
    root = tmp_path / "long"
    for number in range(3):
        draw(root / f"{number}.png")
    image = Image.new("RGB", (300, 100), (0, 255, 0))
    image.paste((255, 0, 0), (0, 0, 100, 100))
    image.save(root / "stripe.png")
    left = {}
    for fit in ("crop", "pad", "stretch"):
        pixels = load(root, fit=fit).pixels[3]
        left[fit] = [tuple(pixels[y, 20]) for y in (20, 128)]
    assert left == {
        "crop": [(0, 255, 0)] * 2,
        "pad": [(0, 0, 0), (255, 0, 0)],
        "stretch": [(255, 0, 0)] * 2,
    }


def test_a_picture_above_the_cap_is_excluded(root: Path) -> None:
    draw(root / "infected" / "large.png", (100, 100))
    found = reasons(load(root, max_megapixels=0.005))
    assert found == {"infected/large.png": "0.01 megapixels, above data.max_megapixels = 0.005"}


def test_a_single_picture_goes_the_same_way_as_a_folder(root: Path) -> None:
    settings = DataSettings(path=str(root))
    loaded = images.load(settings)
    alone = images.decode_picture(root / loaded.paths[5], settings)
    assert np.array_equal(alone, loaded.pixels[5])


def test_a_single_picture_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.png: cannot be read: No such file"):
        images.decode_picture(tmp_path / "gone.png", DataSettings())


def test_names_that_are_not_utf8_are_excluded(root: Path) -> None:
    try:
        (root / "healthy" / "gr\udcfcn.png").write_bytes(b"x")
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system has no such names")
    assert reasons(load(root)) == {"healthy/gr\\udcfcn.png": "its name is not UTF-8"}


def test_a_folder_whose_name_is_not_utf8_is_an_error(root: Path) -> None:
    try:
        other = root.rename(root.with_name("gr\udcfcn"))
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system has no such names")
    with pytest.raises(DataError, match=r"gr\\udcfcn: its name is not UTF-8"):
        load(other)


def a_run(folder: Path, beside: str) -> None:
    """What tells a run folder, with a picture in it."""
    draw(folder / "synthetic" / "infected" / "s1.png")
    (folder / "config.toml").touch()
    (folder / beside).touch()


@pytest.mark.parametrize("beside", ["split.csv", "environment.json"])
def test_a_run_is_not_looked_into(root: Path, beside: str) -> None:
    a_run(root / "wounds", beside)
    a_run(root / "infected" / "wounds", beside)
    loaded = load(root)
    assert loaded.classes == ("healthy", "infected")
    reason = "a run: move it out of the folder of photographs"
    assert reasons(loaded) == {"wounds": reason, "infected/wounds": reason}


def test_a_folder_of_settings_that_is_no_run_is_looked_into(root: Path) -> None:
    a_run(root / "infected" / "visit", "notes.txt")
    assert "infected/visit/synthetic/infected/s1.png" in load(root).paths


def test_a_folder_of_runs_among_the_labels_is_named(root: Path) -> None:
    a_run(root / "runs" / "wounds", "split.csv")
    with pytest.raises(DataError, match=r"label 'runs' has no picture \(its first file, runs/wounds: a run: move it"):
        load(root)


def test_runs_may_lie_beside_listed_pictures_and_not_among_labels(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = root.with_name("link")
    link.symlink_to(root)
    monkeypatch.chdir(root)
    for out in (Path("runs"), root, link / "healthy" / "runs"):
        with pytest.raises(ConfigError, match=rf"--out {out} lies in data\.path {root}, whose folders are labels"):
            refuse_inside(out, DataSettings(path=str(link)))
    refuse_inside(root.with_name("runs"), DataSettings(path=str(root)))
    refuse_inside(Path("runs"), DataSettings())
    table = root / "manifest.csv"
    table.write_text("path,label,patient\nhealthy/p0_healthy.png,x,ann\n")
    refuse_inside(Path("runs"), DataSettings(path=str(root)))
    with pytest.raises(ConfigError, match="whose folders are labels"):
        refuse_inside(Path("runs"), DataSettings(path=str(root), patients=str(table)))


def test_the_warning_of_two_labels_names_a_picture_of_each(root: Path) -> None:
    for name in ("b.png", "c.png"):
        (root / name).write_bytes((root / "healthy" / "p0_healthy.png").read_bytes())
    others = [f"healthy/p{number}_healthy.png,{label}" for number, label in ((0, "x"), (1, "x"), (2, "y"))]
    (root / "manifest.csv").write_text("\n".join(["path,label", "b.png,x", "c.png,y", *others, ""]))
    warnings = images.inspect(DataSettings(path=str(root))).warnings
    assert "1 pictures lie there under two labels, for instance b.png and c.png" in warnings


def test_the_check_counts_and_warns(root: Path) -> None:
    for number in range(5):
        draw(root / "healthy" / f"long{number}.png", (90, 30))
    (root / "infected" / "again.png").write_bytes((root / "healthy" / "p0_healthy.png").read_bytes())
    check = load(root).check
    table = check.as_table()
    assert table["usable"] == 14
    assert table["labels"] == {"healthy": 9, "infected": 5}
    assert table["duplicates"] == table["exact_duplicates"] == 1
    assert table["shapes"] == {"square": 9, "wide": 5, "tall": 0}
    assert table["sizes"]["width"] == [24, 24, 90]
    text = "\n".join(check.warnings)
    for part in (
        "fewer than 1000",
        "label 'infected' has 5 pictures, fewer than 50",
        "5 pictures are far from square",
        "repeat another file byte by byte",
        "under two labels, for instance healthy/p0_healthy.png and infected/again.png",
    ):
        assert part in text


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_box_counts_in_the_upright_photograph_and_keeps_its_detail(tmp_path: Path, orientation: int) -> None:
    """A box of a large JPEG, which is decoded at a part of its size, also where the camera lay on its side."""
    upright = np.zeros((1500, 2000, 3), np.uint8)
    upright[1000:1300, 1500:1800] = (0, 0, 255)
    stored = Image.fromarray(upright if orientation == 1 else np.rot90(upright))
    exif = Image.Exif()
    exif[0x0112] = orientation
    root = tmp_path / "boxes"
    root.mkdir()
    for name in "abc":
        stored.save(root / f"{name}.jpg", exif=exif, quality=95, comment=name.encode())
    (root / "manifest.csv").write_text(
        "path,label,x,y,w,h\n" + "".join(f"{name}.jpg,x,1500,1000,300,300\n" for name in "abc")
    )
    assert np.abs(load(root).pixels[0].reshape(-1, 3).mean(0) - (0, 0, 255)).max() < 20


def test_a_box_that_reaches_beyond_the_photograph_costs_no_detail(tmp_path: Path) -> None:
    """What lies outside does not count when it is chosen at which part of its size a JPEG is decoded."""
    stripes = np.zeros((1200, 1600, 3), np.uint8)
    stripes[:, ::2] = 255
    found = []
    for name, box in (("whole", ",,,"), ("beyond", "0,0,20000,20000")):
        root = tmp_path / name
        root.mkdir()
        for letter in "abc":
            Image.fromarray(stripes).save(root / f"{letter}.jpg", quality=95, comment=letter.encode())
        (root / "manifest.csv").write_text("path,label,x,y,w,h\n" + "".join(f"{one}.jpg,x,{box}\n" for one in "abc"))
        found.append(load(root).pixels[0])
    assert np.array_equal(*found)
