"""As much of NumPy as the worker uses, for machines that have none."""

from array import array as numbers


class ndarray:
    def __init__(self, values, shape):
        self.values, self.shape = numbers("f", values), tuple(shape)

    def reshape(self, shape):
        return ndarray(self.values, shape)

    def tobytes(self):
        return self.values.tobytes()


def frombuffer(data, dtype):
    assert dtype == "<f4"
    values = numbers("f")
    values.frombytes(bytes(data))
    return ndarray(values, (len(values),))


def array(values):
    return ndarray(values.values, values.shape)


def ascontiguousarray(values, dtype):
    assert dtype == "<f4"
    return values
