"""Every format, written by hand as its definition says, and the common ways in which files are broken."""

import gzip
import io
import pickle

import numpy as np
import pytest

from training.data.formats import read
from verify.errors import InvalidInput

GENERATOR = np.random.default_rng(0)
GREY = GENERATOR.integers(0, 256, (6, 5, 4), dtype=np.uint8)
COLOUR = GENERATOR.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.uint8)


def images_of(part):
    return part.read(np.arange(len(part.labels)))


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes()


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_folders(tmp_path, zipped):
    pack, end = (gzip.compress, ".gz") if zipped else (bytes, "")
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte{end}").write_bytes(pack(idx(GREY)))
        (tmp_path / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(idx(LABELS)))
    for part in read(tmp_path):
        assert np.array_equal(images_of(part), GREY) and part.labels.tolist() == LABELS.tolist()


def test_broken_idx_files(tmp_path):
    images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    images.write_bytes(idx(GREY))
    with pytest.raises(InvalidInput, match="has no labels; train-labels-idx1-ubyte"):
        read(tmp_path)
    labels.write_bytes(idx(LABELS[:3]))
    with pytest.raises(InvalidInput, match="6 images but 3 labels"):
        read(tmp_path)
    images.write_bytes(idx(GREY)[:-1])
    with pytest.raises(InvalidInput, match=r"declares shape \[6, 5, 4\] but holds 119 values"):
        read(tmp_path)
    images.write_bytes(b"PNG or so")
    with pytest.raises(InvalidInput, match="not an IDX file"):
        read(tmp_path)


def test_npz_archives(tmp_path):
    path = tmp_path / "pack.npz"
    np.savez(path, x_train=GREY, y_train=LABELS, x_test=GREY[:2], y_test=LABELS[:2], other=1)
    train, test = read(path)
    assert np.array_equal(images_of(train), GREY) and len(test.labels) == 2
    np.savez(path, x=COLOUR, y=LABELS)
    train, test = read(path)
    assert np.array_equal(train.read(np.array([3])), COLOUR[3:4]) and test is None
    np.savez(path, x_train=GREY)
    with pytest.raises(InvalidInput, match="x_train has no labels; y_train of shape"):
        read(path)
    np.savez(path, pictures=GREY)
    with pytest.raises(InvalidInput, match="holds pictures; x_train and y_train"):
        read(path)
    path.write_bytes(b"no archive")
    with pytest.raises(InvalidInput, match="not a readable"):
        read(path)


def write_cifar(folder, kind, labels):
    """The batches of both data sets as their makers describe them."""
    planes = COLOUR.transpose(0, 3, 1, 2).reshape(6, 3072)
    hundred = kind.startswith("100")
    names = ["train", "test"] if hundred else ["data_batch_1", "data_batch_2", "test_batch"]
    for name in names:
        if kind.endswith("binary"):
            heads = [np.full(6, 7, np.uint8)] if hundred else []
            (folder / f"{name}.bin").write_bytes(np.column_stack([*heads, labels, planes]).astype(np.uint8).tobytes())
        else:
            key = b"fine_labels" if hundred else b"labels"
            batch = {b"data": planes, key: labels.tolist(), b"coarse_labels": [0] * 6}
            (folder / name).write_bytes(pickle.dumps(batch, protocol=2))


@pytest.mark.parametrize(("kind", "count"), [("10-python", 12), ("10-binary", 12), ("100-python", 6),
                                              ("100-binary", 6)])
def test_cifar_batches(tmp_path, kind, count):
    write_cifar(tmp_path, kind, LABELS)
    train, test = read(tmp_path)
    assert np.array_equal(images_of(train)[:6], COLOUR) and len(train.labels) == count
    assert np.array_equal(images_of(test), COLOUR) and test.labels.tolist() == LABELS.tolist()


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return eval, ("1",)

    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(InvalidInput, match=r"may not contain builtins\.eval"):
        read(tmp_path)


def test_truncated_binary_batches(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3000))
    with pytest.raises(InvalidInput, match="3000 bytes are no multiple of 3073"):
        read(tmp_path)


def test_image_folders(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for k, pixels in enumerate(COLOUR):
        for part in ("train", "test"):
            folder = tmp_path / part / f"{LABELS[k] + 9}"
            folder.mkdir(parents=True, exist_ok=True)
            image.fromarray(pixels).save(folder / f"{k}.png")
    train, _ = read(tmp_path)
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 2], "9, 10, 11 in the order of numbers"
    assert np.array_equal(images_of(train)[0], COLOUR[0])
    image.fromarray(COLOUR[0][:8]).save(tmp_path / "train" / "9" / "small.png")
    with pytest.raises(InvalidInput, match="all must have one size"):
        images_of(read(tmp_path)[0])
    (tmp_path / "test" / "new").mkdir()
    with pytest.raises(InvalidInput, match="the classes new do not occur"):
        read(tmp_path)


def test_packed_jpeg_bytes(tmp_path):
    image = pytest.importorskip("PIL.Image")
    files = []
    for pixels in COLOUR:
        buffer = io.BytesIO()
        image.fromarray(pixels).save(buffer, "jpeg")
        files.append(buffer.getvalue())
    head = 20  # any common beginning
    bodies = [file[head:-2] for file in files]
    arrays = {"header": np.frombuffer(files[0][:head], np.uint8), "y_train": LABELS,
              "pay_train": np.frombuffer(b"".join(bodies), np.uint8),
              "len_train": np.array([len(body) for body in bodies], np.uint16)}
    np.savez(tmp_path / "jpeg.npz", **arrays)
    train, test = read(tmp_path / "jpeg.npz")
    expected = np.asarray(image.open(io.BytesIO(files[4])))
    assert np.array_equal(train.read(np.array([4]))[0], expected) and test is None


def test_digits():
    train, test = read("digits")
    assert images_of(train).shape == (1797, 1, 8, 8) and images_of(train).max() == 1 and test is None


def test_what_is_no_data_is_said(tmp_path):
    with pytest.raises(InvalidInput, match="neither a file, nor a folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="no data recognised among no files"):
        read(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InvalidInput, match=r"no data recognised among notes\.txt"):
        read(tmp_path)
    with pytest.raises(InvalidInput, match="unknown format"):
        read(tmp_path / "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no images in its folders empty"):
        read(tmp_path)
