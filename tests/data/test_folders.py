"""Folders of images: which names are splits, which are classes, and what is said of the rest."""

import itertools

import pytest
from image_files import load_with_notices, write_images

from glad.data.layout import in_order, own_numbers
from glad.data.notices import DataError
from glad.data.splits import load_data

SEEDS = itertools.count()


def write(root, *folders, count=10, **options):
    """Folders of images, no two of them the same."""
    for folder in folders:
        write_images(root / folder, count, seed=next(SEEDS), **options)


def write_splits(root, **counts):
    """Folders of splits with two classes of so many images each."""
    for split, count in counts.items():
        write(root, f"{split}/cat", f"{split}/dog", count=count)


def sizes(splits):
    return [len(part) for part in (splits.train, splits.validation, splits.test)]


def refusal(root, **options):
    with pytest.raises(DataError) as caught:
        load_data(str(root), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- splits ---


@pytest.mark.parametrize("train", ["train", "Train", "TRAINING", "training_set"])
@pytest.mark.parametrize("validation", ["val", "valid", "Validation", "DEV", "val-set"])
@pytest.mark.parametrize("test", ["test", "Testing", "test_images"])
def test_three_splits_are_used_whatever_their_names(tmp_path, train, validation, test):
    write_splits(tmp_path, **{train: 5, validation: 3, test: 2})
    splits = load_data(str(tmp_path))
    assert sizes(splits) == [10, 6, 4] and splits.train.classes == ("cat", "dog")
    assert splits.origins == {"train": f"{train}/", "validation": f"{validation}/", "test": f"{test}/"}


@pytest.mark.parametrize("name", ["test", "Testing", "eval", "evaluation"])
def test_validation_is_held_out_where_only_a_test_split_is_there(tmp_path, name):
    write_splits(tmp_path, train=10, **{name: 4})
    splits = load_data(str(tmp_path))
    assert sizes(splits) == [18, 2, 8]
    assert splits.origins == {
        "train": "train/",
        "validation": "10% of each class, held out of train/",
        "test": f"{name}/",
    }


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev"])
def test_validation_images_are_the_test_images_where_there_are_no_others(tmp_path, name):
    write_splits(tmp_path, train=10, **{name: 4})
    splits, notices = load_with_notices(tmp_path)
    assert sizes(splits) == [18, 2, 8] and splits.origins["test"] == f"{name}/"
    assert f"{name}/ holds the test images; validation is held out of training" in notices


def test_eval_is_the_validation_split_beside_a_test_split(tmp_path):
    write_splits(tmp_path, train=10, eval=3, test=4)
    splits = load_data(str(tmp_path))
    assert sizes(splits) == [20, 6, 8] and splits.origins["validation"] == "eval/"


def test_training_images_alone_are_split(tmp_path):
    write_splits(tmp_path, Training=10)
    splits = load_data(str(tmp_path))
    assert sizes(splits) == [14, 2, 4] and splits.train.classes == ("cat", "dog")


def test_a_test_folder_beside_class_folders_is_no_class(tmp_path):
    write(tmp_path, "cat", "dog")
    write_splits(tmp_path, test=3)
    splits, notices = load_with_notices(tmp_path)
    assert splits.train.classes == ("cat", "dog") and sizes(splits) == [18, 2, 6]
    assert "training images are the class folders beside test/" in notices
    write(tmp_path, "test/emu")
    assert "has test/ but no training images (class 'emu' of test/ is not beside it): add train/" in refusal(tmp_path)


def test_folders_that_are_no_split_are_said(tmp_path):
    write_splits(tmp_path, train=10, val=2, test=3)
    write(tmp_path, "unlabeled", "extra/a")
    splits, notices = load_with_notices(tmp_path)
    assert sizes(splits) == [20, 4, 6]
    assert "extra/, unlabeled/ in " in notices and "no training, validation or test images, not used" in notices


def test_a_split_without_labels_is_said(tmp_path):
    write_splits(tmp_path, train=10)
    write(tmp_path, "test")
    splits, notices = load_with_notices(tmp_path)
    assert sizes(splits) == [14, 2, 4] and "test/ in " in notices and "images without labels, not used" in notices


def test_a_class_may_be_called_train(tmp_path):
    write(tmp_path, "plane", "train")
    splits, notices = load_with_notices(tmp_path)
    assert splits.train.classes == ("plane", "train") and sizes(splits) == [14, 2, 4]
    assert "train/ in " in notices and "taken as classes, for they hold no class folders" in notices


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train/a", "training/a"], "has train/, training/, which all mean train: keep one, or merge them"),
        (["train/a", "Train/a"], "has Train/, train/, which all mean train"),
        (["train/a", "val/a", "dev/a"], "has dev/, val/, which all mean validation"),
        (["val/a", "test/a"], "has test/, val/ but no training images: add train/"),
        (["train", "test"], "has test/, train/ with images but without class folders: lay them out as test/CLASS"),
        (
            ["train/a", "train/b", "plane"],
            "train holds class folders and plane/ beside it images: call plane/ val or test",
        ),
        (["seg_train/a", "seg_test/a"], "has seg_test/, seg_train/, which look like splits: call them train"),
        (["a/train", "a/test", "b/train"], "a holds test/, train/: lay splits out as test/a, not a/test"),
        (["train/only"], "has one class, 'only': give at least two"),
        (["cat"], "has one class, 'cat': give at least two"),
        (["pets/cat", "pets/dog"], "has one class, 'pets': give {root}/pets, which holds cat/, dog/"),
        (["."], "has no class folders: lay the images out as CLASS/image.png"),
    ],
)
def test_folders_with_two_readings_are_refused(tmp_path, folders, message):
    write(tmp_path / "data", *folders)
    assert message.format(root=tmp_path / "data") in refusal(tmp_path / "data")


def test_one_class_is_enough_to_train_a_generator(tmp_path):
    write(tmp_path, "all")
    assert load_data(str(tmp_path), single_class=True).train.classes == ("all",)


def test_images_beside_a_table_that_is_not_read_are_refused(tmp_path):
    write(tmp_path, "images")
    (tmp_path / "train.csv").write_text("id,breed\n000,pug\n")
    assert "has one class, 'images' (train.csv beside the images: only metadata.csv" in refusal(tmp_path)


def test_deeper_folders_belong_to_their_class_and_are_said(tmp_path):
    write(tmp_path, "cat/day", "cat/night", "dog/day", count=5)
    splits, notices = load_with_notices(tmp_path)
    assert splits.train.classes == ("cat", "dog") and sum(sizes(splits)) == 15
    assert "images in deeper folders (day/, night/) are of the classes above them, cat/, dog/" in notices


# --- what is not used ---


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "@eaDir", "__MACOSX", ".Trash", "$RECYCLE.BIN"])
def test_hidden_and_system_folders_are_skipped(tmp_path, name):
    write(tmp_path, "cat", "dog")
    before = load_data(str(tmp_path))
    for folder in ("", "cat", "dog", "dog/.."):
        write(tmp_path / folder, name)
        write(tmp_path / folder, f"{name}/deeper")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"")
    (tmp_path / "cat" / "._000.png").write_bytes(b"resource fork")
    after = load_data(str(tmp_path))
    assert after.train.digest == before.train.digest and sizes(after) == [14, 2, 4]


def test_pictures_of_other_kinds_are_counted(tmp_path):
    write(tmp_path, "cat", "dog")
    for i, name in enumerate(["a.gif", "b.GIF", "c.heic", "d.avif", "e.jfif", "f.txt", ".g.gif"]):
        (tmp_path / ("cat", "dog")[i % 2] / name).write_bytes(b"x")
    splits, notices = load_with_notices(tmp_path)
    assert sizes(splits) == [14, 2, 4]
    assert "not read: 2 .gif, 1 .jfif, 1 .heic, 1 .avif (convert them to PNG or JPEG)" in notices.replace(
        "1 .heic, 1 .jfif", "1 .jfif, 1 .heic"
    )


def test_loose_images_and_tables_are_said(tmp_path):
    write(tmp_path, "cat", "dog")
    write(tmp_path, ".", count=3)
    (tmp_path / "notes.csv").write_text("a,b\n")
    _, notices = load_with_notices(tmp_path)
    assert f"3 images in {tmp_path} itself belong to no class: not used" in notices and "not read: notes.csv" in notices


# --- classes ---


def test_numbers_are_in_the_order_of_their_values(tmp_path):
    write(tmp_path, *map(str, range(12)), count=4)
    train = load_data(str(tmp_path)).train
    assert train.classes == tuple(map(str, range(12)))
    assert train.class_ids == tuple(range(12)) and train.numbering == 12


@pytest.mark.parametrize(
    ("names", "ordered", "numbering"),
    [
        (["0", "10", "2"], ("0", "2", "10"), 0),
        (["00", "01", "02"], ("00", "01", "02"), 3),
        (["1", "2", "3"], ("1", "2", "3"), 3),
        (["1", "01"], ("01", "1"), 0),
        (["b", "A", "a10", "a2"], ("A", "a10", "a2", "b"), 0),
        (["0", "one"], ("0", "one"), 0),
    ],
)
def test_names_that_are_a_numbering(names, ordered, numbering):
    assert in_order(names) == ordered
    assert own_numbers(ordered) == (tuple(range(len(names))), numbering)
