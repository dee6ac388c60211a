"""kserve's clients and types against a server: python kserve_clients.py [URL] [MODEL]; wants pip install kserve."""

import asyncio
import json
import urllib.request
from urllib.parse import urlparse

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.inference_client import InferenceGRPCClient
from kserve.protocol.rest.timeseries.types import ForecastResponse

from windows import arguments, describe, same, windows

URL, MODEL = arguments()
INFO = describe(URL, MODEL)


def request(values, binary):
    tensor = InferInput("past_values", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values, binary_data=binary)
    return InferRequest(MODEL, [tensor])


def points(answer):
    return next(o for o in answer.outputs if o.name == "prediction_outputs").as_numpy()


async def tensors():
    rest = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await rest.is_server_live(URL) and await rest.is_server_ready(URL)
    assert await rest.is_model_ready(URL, MODEL)
    full = np.nan_to_num(windows(INFO, 3), nan=20.0)
    by_json = points(await rest.infer(URL, request(full, False), model_name=MODEL))
    by_bytes = points(await rest.infer(URL, request(full, True), model_name=MODEL))
    same(by_json, by_bytes, "REST: JSON = binary")
    rpc = InferenceGRPCClient(urlparse(URL).netloc)
    assert await rpc.is_server_live() and await rpc.is_server_ready()
    same(points(await rpc.infer(request(full, True))), by_bytes, "gRPC = REST")


def post(body):
    body = json.dumps(body).encode()
    call = urllib.request.Request(f"{URL}/v1/timeseries/forecast", body)
    call.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(call) as answer:
        return ForecastResponse.model_validate(json.load(answer))


def series():
    names = ["second", "minute", "hour", "day", "week", "month", "quarter", "year"]
    wave = [10.0 + i % 12 for i in range(120)]
    for frequency in names:
        one = {"type": "univariate_time_series", "name": "u", "series": wave, "frequency": frequency,
               "start_timestamp": "2024-01-31T00:00:00Z"}
        options = {"horizon": 12, "quantiles": [0.1, 0.5, 0.9]}
        answer = post({"model": "builtin", "inputs": [one, one], "options": options})
        content = answer.outputs[0].content
        assert len(content) == 2 and len(content[0].mean_forecast) == 12
        assert content[0].quantiles["0.1"][0] <= content[0].quantiles["0.9"][0]
    print("ok  univariate, every frequency, kserve's types")
    rows = [[float(i % 7), 5.0 + i % 3] for i in range(80)]
    both = {"type": "multivariate_time_series", "name": "m", "series": rows, "frequency": "H"}
    answer = post({"model": "builtin", "inputs": [both], "options": {"horizon": 5}})
    assert np.shape(answer.outputs[0].content[0].mean_forecast) == (5, 2)
    print("ok  multivariate, kserve's types")


asyncio.run(tensors())
series()
