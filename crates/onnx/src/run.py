"""Runs an ONNX file on tensors from files: what `ptsm export --check` compares its own numbers with.

    python run.py FOLDER RUNTIME

The folder holds `model.onnx`, `inputs.json` (name -> [type, shape]) and the numbers of each input as `in.NUMBER`, in the
order of the file. The outputs are written beside them as `out.NUMBER`, and `outputs.json` lists their names and shapes.
"""

import json
import pathlib
import sys

import numpy


def run(folder: pathlib.Path, runtime: str) -> dict[str, object]:
    inputs = {}
    for number, (name, (kind, shape)) in enumerate(json.loads((folder / "inputs.json").read_text()).items()):
        inputs[name] = numpy.fromfile(folder / f"in.{number}", dtype=kind).reshape(shape)
    path = str(folder / "model.onnx")
    if runtime == "openvino":
        import openvino

        compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = compiled(inputs)
        # A value may have several names there.
        named = [(name, found[output]) for output in compiled.outputs for name in sorted(output.get_names())]
        names = [name for name, _ in named]
        values = [value for _, value in named]
        version = openvino.__version__
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        values = session.run(names, inputs)
        version = onnxruntime.__version__
    for number, value in enumerate(values):
        value.astype("float32").tofile(folder / f"out.{number}")
    shapes = [[name, list(value.shape)] for name, value in zip(names, values)]
    return {"version": version, "outputs": shapes}


if __name__ == "__main__":
    place = pathlib.Path(sys.argv[1])
    answer = run(place, sys.argv[2])
    (place / "outputs.json").write_text(json.dumps(answer))
