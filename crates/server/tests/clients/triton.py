"""tritonclient against a server: python triton.py [URL] [MODEL]; wants pip install 'tritonclient[http,grpc]'.

Start the server with --max-queue-windows 8 --workers 1 to see 429 as well.
"""

from urllib.parse import urlparse

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

from windows import arguments, describe, same, windows

URL, MODEL = arguments()
HOST = urlparse(URL).netloc
INFO = describe(URL, MODEL)


def over_http(client, values, binary, **options):
    tensor = http.InferInput("past_values", values.shape, "FP32")
    tensor.set_data_from_numpy(values, binary_data=binary)
    outputs = [http.InferRequestedOutput("prediction_outputs", binary_data=binary)]
    answer = client.infer(MODEL, [tensor], outputs=outputs, **options)
    return answer.as_numpy("prediction_outputs")


def over_grpc(client, values, **options):
    tensor = grpc.InferInput("past_values", values.shape, "FP32")
    tensor.set_data_from_numpy(values)
    return client.infer(MODEL, [tensor], **options).as_numpy("prediction_outputs")


def refused(call, says):
    try:
        call()
    except InferenceServerException as error:
        assert says in str(error), error
        print(f"ok  refused: {says}")
        return
    raise AssertionError(f"not refused: {says}")


def main():
    rest = http.InferenceServerClient(HOST, concurrency=64)
    rpc = grpc.InferenceServerClient(HOST)
    for client in (rest, rpc):
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL)
        client.get_server_metadata()
        client.get_model_metadata(MODEL)
        client.get_model_repository_index()
        client.get_inference_statistics(MODEL)
    five = windows(INFO, 5)
    together = over_http(rest, five, True)
    alone = [over_http(rest, one[None], True) for one in five]
    same(together, np.concatenate(alone), "http binary: batch 5 = 5 x batch 1")
    same(together, over_grpc(rpc, five), "gRPC = http binary")
    alone = [over_grpc(rpc, one[None]) for one in five]
    same(together, np.concatenate(alone), "gRPC: batch 5 = 5 x batch 1")
    # JSON has no NaN.
    full = np.nan_to_num(five, nan=20.0)
    same(over_http(rest, full, True), over_http(rest, full, False), "http JSON = http binary")
    mask = http.InferInput("observed_mask", five.shape, "BOOL")
    mask.set_data_from_numpy(~np.isnan(five))
    past = http.InferInput("past_values", five.shape, "FP32")
    past.set_data_from_numpy(full)
    masked = rest.infer(MODEL, [past, mask]).as_numpy("prediction_outputs")
    same(together, masked, "NaN = masked")
    refused(lambda: over_http(rest, five[:, :, :0], True), "no numbers")
    wide = np.concatenate([five, five], axis=2)
    refused(lambda: over_http(rest, wide, True), "channels")
    refused(lambda: over_grpc(rpc, wide), "channels")
    refused(lambda: rest.infer("none", [past]), "no model")
    refused(lambda: over_grpc(rpc, five, client_timeout=1e-6), "Deadline")
    refused(lambda: over_http(rest, five, True, timeout=1), "in time")
    storm(rest, windows(INFO, 8))


def storm(rest, values):
    """Many at once: answers and 429 alone."""
    wanted = over_http(rest, values, True)
    tensor = http.InferInput("past_values", values.shape, "FP32")
    tensor.set_data_from_numpy(values)
    waiting = [rest.async_infer(MODEL, [tensor]) for _ in range(400)]
    answers = full = 0
    for call in waiting:
        try:
            points = call.get_result().as_numpy("prediction_outputs")
        except InferenceServerException as error:
            assert "too many requests wait" in str(error), error
            full += 1
            continue
        assert points.tobytes() == wanted.tobytes()
        answers += 1
    print(f"ok  {answers} answers, {full} times 429")


main()
