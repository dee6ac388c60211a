"""Windows for the other scripts: what the server says of a model, and random walks of its shape with gaps."""

import json
import sys
import urllib.request

import numpy as np


def arguments():
    """URL and model of the command line."""
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    model = sys.argv[2] if len(sys.argv) > 2 else "demo"
    return url.rstrip("/"), model


def describe(url, model):
    with urllib.request.urlopen(f"{url}/v1/models/{model}") as answer:
        return json.load(answer)


def windows(info, count, dtype=np.float32):
    """[count, context_length, channels], a tenth of it NaN."""
    rng = np.random.default_rng(7)
    shape = (count, info["context_length"], len(info["channels"]))
    values = rng.normal(size=shape).cumsum(axis=1) + 20.0
    values[rng.random(shape) < 0.1] = np.nan
    return values.astype(dtype)


def same(a, b, what):
    """Equal to the last bit."""
    assert a.dtype == b.dtype and a.shape == b.shape, (what, a.dtype, b.dtype, a.shape, b.shape)
    assert a.tobytes() == b.tobytes(), f"{what}: other bits"
    print(f"ok  {what}")
