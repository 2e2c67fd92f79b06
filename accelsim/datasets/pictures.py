"""A picture of the user's, and eight photographs out of a wheel of scikit-image, which is never installed.

NASA's astronaut and galaxies, SpaceX's rocket, Middlebury's motorcycle, and photographs that their authors
gave away; the package's documentation names the origin of each.
"""

from __future__ import annotations

import io
from functools import partial

import numpy as np
import numpy.typing as npt

from accelsim.datasets.archives import Package, zip_file
from accelsim.datasets.clients import pip_wheel
from accelsim.extras import require

WHEEL = Package(
    what="agreement on sample pictures",
    requirement="scikit-image==0.26.0",
    file="scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    fetch=partial(pip_wheel, platform="manylinux_2_28_x86_64", python="3.11"),
)
PICTURES = {
    "astronaut": "astronaut.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "galaxies": "hubble_deep_field.jpg",
    "motorcycle": "motorcycle_left.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "tissue": "ihc.png",
}


def sample_pictures() -> dict[str, npt.NDArray[np.uint8]]:
    """The photographs by name: (height, width, 3), 0 to 255. DatasetError if they cannot be had."""
    require("reading pictures", "PIL")
    from PIL import Image

    wheel = WHEEL.content()
    found = {}
    for name, file in PICTURES.items():
        with Image.open(io.BytesIO(zip_file(wheel, f"skimage/data/{file}"))) as picture:
            found[name] = np.asarray(picture.convert("RGB"))
    return found


def picture_of(file: str, *, channels: int) -> npt.NDArray[np.uint8]:
    """(height, width, channels), 0 to 255: colours, or with one channel grey. ValueError for no picture."""
    require("reading pictures", "PIL")
    from PIL import Image

    try:
        with Image.open(file) as picture:
            pixels = np.asarray(picture.convert("RGB" if channels == 3 else "L"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"--image must be a picture that can be read, not {file!r}") from error
    return pixels.reshape(*pixels.shape[:2], channels)
