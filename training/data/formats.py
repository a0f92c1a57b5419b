"""Readers of the public formats. Each answers with `Part`s whose images are read when somebody says which.

    .npz           x_train, y_train[, x_test, y_test], or x, y; images uint8 or float; also images packed as JPEG bytes
    IDX folder     train-images-idx3-ubyte[.gz] and its three companions (LeCun's MNIST, Fashion-MNIST, KMNIST, EMNIST)
    CIFAR folder   the python (pickle) or the binary batches of CIFAR-10 and CIFAR-100 (fine labels)
    image folder   [train|test]/<class name>/<any>.png; needs Pillow
    digits         scikit-learn's 1,797 digits of 8 x 8
"""

from __future__ import annotations

import gzip
import io
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.dataset import as_labels
from verify.errors import InvalidInput

IDX = re.compile(r"(?P<set>.*?)(?P<part>train|t10k|test)-(?P<what>images|labels)[-.]idx[13]-ubyte(\.gz)?")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".webp")
END_OF_JPEG = b"\xff\xd9"


@dataclass(frozen=True, eq=False)
class Part:
    """Labels (n,), and the images at given positions: uint8 or float, in any layout that `as_images` reads."""

    labels: np.ndarray
    read: Callable[[np.ndarray], np.ndarray]

    @classmethod
    def of(cls, images: np.ndarray, labels: np.ndarray, what: str) -> Part:
        labels = as_labels(labels, what)
        if len(images) != len(labels):
            raise InvalidInput(f"{what}: {len(images)} images but {len(labels)} labels")
        return cls(labels, lambda index: images[index])


Parts = tuple[Part, Part | None]
"""What there is to learn from, and the test part where the source has one."""


def read_npz(path: Path) -> Parts:
    """A numpy archive; see the table above for its keys."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            pack = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInput(f"{path}: not a readable .npz archive ({error})") from error
    if {"header", "pay_train", "len_train"} <= pack.keys():
        return _jpeg_part(pack, "train", path), _jpeg_part(pack, "test", path) if "pay_test" in pack else None
    if "x" in pack and "x_train" not in pack:
        pack |= {f"{key}_train": pack[key] for key in ("x", "y") if key in pack}
    if "x_train" not in pack:
        raise InvalidInput(f"{path}: holds {', '.join(sorted(pack)) or 'nothing'}; x_train and y_train (and x_test, "
                           "y_test) are expected")
    return _array_part(pack, "train", path), _array_part(pack, "test", path) if "x_test" in pack else None


def _array_part(pack: dict[str, np.ndarray], name: str, path: Path) -> Part:
    if f"y_{name}" not in pack:
        raise InvalidInput(f"{path}: x_{name} has no labels; y_{name} of shape [{len(pack[f'x_{name}'])}] is expected")
    return Part.of(pack[f"x_{name}"], pack[f"y_{name}"], f"{path} ({name})")


def _jpeg_part(pack: dict[str, np.ndarray], name: str, path: Path) -> Part:
    """Images stored as JPEG bytes without the header and the end marker that all of them share: `header`, `pay_*` the
    bytes one after the other, `len_*` how many belong to each."""
    if f"y_{name}" not in pack:
        raise InvalidInput(f"{path}: the {name} images have no labels; y_{name} is expected")
    header, payload = pack["header"].tobytes(), pack[f"pay_{name}"]
    ends = np.cumsum(pack[f"len_{name}"].astype(np.int64))

    def read(index: np.ndarray) -> np.ndarray:
        starts = ends - pack[f"len_{name}"]
        return _decoded((header + payload[starts[i] : ends[i]].tobytes() + END_OF_JPEG, f"{path}, {name} image {i}")
                        for i in index)

    return Part(as_labels(pack[f"y_{name}"], f"{path} ({name})"), read)


def _decoded(files) -> np.ndarray:
    """uint8 (n, h, w) or (n, h, w, 3) of encoded images, given as (bytes, name). Needs Pillow."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise InvalidInput("reading image files needs Pillow (pip install pillow); .npz archives of arrays, IDX files "
                           "and CIFAR batches are read without it") from error
    found: list[np.ndarray] = []
    for content, name in files:
        try:
            image = Image.open(io.BytesIO(content))
            grey = image.mode in ("1", "L", "I", "I;16") if not found else found[0].ndim == 2
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise InvalidInput(f"{name}: not a readable image ({error})") from error
        if found and pixels.shape != found[0].shape:
            raise InvalidInput(f"{name}: is {pixels.shape[1]} x {pixels.shape[0]} pixels, the images before it are "
                               f"{found[0].shape[1]} x {found[0].shape[0]}; all must have one size")
        found.append(pixels)
    return np.stack(found) if found else np.zeros((0, 1, 1), np.uint8)


def read_idx(folder: Path) -> Parts:
    """IDX files: two zero bytes, type 8 (uint8), number of axes, big-endian sizes, values."""
    matches = {path: match for path in sorted(folder.iterdir()) if (match := IDX.fullmatch(path.name))}
    sets = sorted({match["set"] for match in matches.values()})
    if len(sets) > 1:
        raise InvalidInput(f"{folder}: holds several data sets ({', '.join(sets)}); one per folder is expected")
    files = {("train" if match["part"] == "train" else "test", match["what"]): path for path, match in matches.items()}
    if ("train", "images") not in files:
        raise InvalidInput(f"{folder}: train-images-idx3-ubyte[.gz] is missing among {_listing(folder)}")
    return _idx_part(files, "train", folder), _idx_part(files, "test", folder) if ("test", "images") in files else None


def _idx_part(files: dict[tuple[str, str], Path], name: str, folder: Path) -> Part:
    images = _idx(files[name, "images"])
    if (name, "labels") not in files:
        wanted = "train-labels-idx1-ubyte" if name == "train" else "t10k-labels-idx1-ubyte"
        raise InvalidInput(f"{folder}: {files[name, 'images'].name} has no labels; {wanted}[.gz] is expected beside it")
    return Part.of(images, _idx(files[name, "labels"]), str(files[name, "images"]))


def _idx(path: Path) -> np.ndarray:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path}: cannot be read ({error})") from error
    if len(content) < 8 or content[:2] != b"\0\0" or content[2] != 8:
        raise InvalidInput(f"{path}: not an IDX file of unsigned bytes (it starts with {content[:4].hex(' ')})")
    axes = content[3]
    shape = tuple(int(size) for size in np.frombuffer(content, ">i4", axes, 4)) if len(content) >= 4 + 4 * axes else ()
    values = np.frombuffer(content, np.uint8, offset=min(4 + 4 * axes, len(content)))
    if len(shape) != axes or values.size != int(np.prod(shape)):
        raise InvalidInput(f"{path}: declares shape {list(shape)} but holds {values.size} values; is it truncated?")
    return values.reshape(shape)


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays and plain containers and nothing else: a pickle may otherwise run any code."""

    def find_class(self, module: str, name: str):
        if module.split(".")[0] == "numpy" and name in ("ndarray", "dtype", "_reconstruct"):
            # The module of _reconstruct has had several names; an array knows the present one.
            return np.zeros(0).__reduce__()[0] if name == "_reconstruct" else getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a batch of images may not contain {module}.{name}")


def read_cifar(folder: Path) -> Parts:
    """CIFAR batches, python or binary: rows of 3,072 bytes, channels first."""
    names = {path.name for path in folder.iterdir()}
    if "data_batch_1" in names or "train" in names:
        reader, suffix = _pickled, ""
    else:
        reader, suffix = _binary, ".bin"
    hundred = f"data_batch_1{suffix}" not in names
    train = ["train"] if hundred else [f"data_batch_{k}" for k in range(1, 6)]
    found = [reader(folder / f"{name}{suffix}", hundred) for name in train if f"{name}{suffix}" in names]
    images, labels = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    test = f"{'test' if hundred else 'test_batch'}{suffix}"
    return (Part.of(images, labels, str(folder)),
            Part.of(*reader(folder / test, hundred), str(folder / test)) if test in names else None)


def _pickled(path: Path, hundred: bool) -> tuple[np.ndarray, np.ndarray]:
    try:
        with path.open("rb") as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
        batch = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
    except (OSError, EOFError, AttributeError, ValueError, pickle.UnpicklingError) as error:
        raise InvalidInput(f"{path}: not a CIFAR batch ({error})") from error
    key = "fine_labels" if hundred else "labels"
    if "data" not in batch or key not in batch:
        raise InvalidInput(f"{path}: holds {', '.join(sorted(map(str, batch)))}; data and {key} are expected")
    return _planes(np.asarray(batch["data"]), path), np.asarray(batch[key])


def _binary(path: Path, hundred: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows of one label byte (two in CIFAR-100, the second is the fine one) and the pixels."""
    heads = 2 if hundred else 1
    content = np.frombuffer(path.read_bytes(), np.uint8)
    if not content.size or content.size % (heads + 3072):
        raise InvalidInput(f"{path}: {content.size} bytes are no multiple of {heads + 3072}, the size of a labelled "
                           "image; is it truncated?")
    rows = content.reshape(-1, heads + 3072)
    return _planes(rows[:, heads:], path), rows[:, heads - 1]


def _planes(rows: np.ndarray, path: Path) -> np.ndarray:
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 3072:
        raise InvalidInput(f"{path}: images must be rows of 3072 bytes, got {rows.dtype} of shape {list(rows.shape)}")
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def read_image_folder(folder: Path) -> Parts:
    """A folder per class; classes are numbered in the order of their names (as numbers where all names are)."""
    parted = (folder / "train").is_dir()
    root = folder / "train" if parted else folder
    names = _class_names(root)
    test = folder / "test" if parted and (folder / "test").is_dir() else None
    if test is not None and (new := sorted(set(_class_names(test)) - set(names))):
        raise InvalidInput(f"{test}: the classes {', '.join(new[:5])} do not occur in {root}")
    return _folder_part(root, names), None if test is None else _folder_part(test, names)


def _class_names(root: Path) -> list[str]:
    names = [path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(names, key=(int if all(name.isdecimal() for name in names) else str))


def _folder_part(root: Path, names: list[str]) -> Part:
    files = [(path, label) for label, name in enumerate(names) if (root / name).is_dir()
             for path in sorted((root / name).iterdir()) if path.suffix.lower() in IMAGES]
    if not files:
        raise InvalidInput(f"{root}: no images in its folders {', '.join(names[:5])}; one folder of images "
                           f"({', '.join(IMAGES)}) per class is expected")
    return Part(np.array([label for _, label in files], np.int64),
                lambda index: _decoded((files[i][0].read_bytes(), str(files[i][0])) for i in index))


def read_digits() -> Parts:
    """scikit-learn's digits, values 0 to 16; there is no test part."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InvalidInput("the data set 'digits' comes with scikit-learn (pip install scikit-learn)") from error
    images, labels = load_digits(return_X_y=True)
    return Part.of((images / 16).astype(np.float32).reshape(-1, 1, 8, 8), labels, "digits"), None


def read(source: str | Path) -> Parts:
    """The parts of a source, its format told from what is there. Raises `InvalidInput` saying what was found."""
    if source == "digits":
        return read_digits()
    path = Path(source)
    if path.is_file():
        if path.suffix == ".npz":
            return read_npz(path)
        raise InvalidInput(f"{path}: unknown format; a .npz archive, a folder of IDX files, CIFAR batches or image "
                           "folders, or the name digits is accepted")
    if not path.is_dir():
        raise InvalidInput(f"no such data: {source} is neither a file, nor a folder, nor the name digits")
    files = {entry.name for entry in path.iterdir() if entry.is_file()}
    if any(IDX.fullmatch(name) for name in files):
        return read_idx(path)
    if files & {"data_batch_1", "data_batch_1.bin", "train", "train.bin"}:
        return read_cifar(path)
    if any(entry.is_dir() for entry in path.iterdir()) and _class_names(path):
        return read_image_folder(path)
    raise InvalidInput(f"{path}: no data recognised among {_listing(path)}; IDX files (train-images-idx3-ubyte), CIFAR "
                       "batches (data_batch_1), or one folder of images per class are accepted")


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "") if names else "no files"
