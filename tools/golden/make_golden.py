#!/usr/bin/env python3
"""Writes the compact golden set, tests/golden, from the Hugging Face implementation.

    pip install -r requirements.txt
    python make_golden.py ../../tests/golden [NAME ...]

Each case is a small model with random weights (nothing left at 0 or 1), its inputs, and what
transformers computes from them. Weights and inputs are float32; everything computed is stored in
float64 under `ref64.*` (results, intermediates, gradients, batch-norm buffers, optimiser steps), so
that a test can ask for 1e-9. One thread and seeds from the case's name: a second run with the same
versions writes the same bytes.
"""
import hashlib
import json
import os
import shutil
import sys
import zlib

import torch
import transformers
from safetensors.torch import save_file
from transformers import PatchTSMixerConfig, PatchTSMixerForPrediction

transformers.utils.logging.set_verbosity_error()

# Fields of config.json, and: batch; missing = share of unobserved points; unseen = (sample, channel)
# without any observation; train = norms in train mode; steps = AdamW steps; flat = channels 0 and 1
# are constant.
SMALL = dict(context_length=48, prediction_length=6, d_model=6, num_layers=2, num_input_channels=3)
CASES = {
    "g01_common": dict(),
    "g02_mix": dict(mode="mix_channel", num_input_channels=4, batch=3),
    "g03_overlap_missing": dict(patch_length=9, patch_stride=4, missing=0.25),
    "g04_gaps_between_patches": dict(context_length=50, patch_length=5, patch_stride=7),
    "g05_mean_scaler_unseen": dict(scaling="mean", missing=0.3, unseen=(1, 2), batch=3),
    "g06_no_scaler": dict(scaling=None),
    "g07_scaling_true_flat": dict(scaling=True, flat=True),
    "g08_batchnorm_eval": dict(norm_mlp="BatchNorm"),
    "g09_batchnorm_train": dict(norm_mlp="BatchNorm", train=True, batch=4, mode="mix_channel"),
    "g10_no_gate": dict(gated_attn=False),
    "g11_attention_sincos": dict(self_attn=True, self_attn_heads=2, use_positional_encoding=True),
    "g12_attention_random_mix_batchnorm": dict(
        self_attn=True, self_attn_heads=3, use_positional_encoding=True,
        positional_encoding_type="random", mode="mix_channel", norm_mlp="BatchNorm", train=True, batch=3),
    "g13_positions_only": dict(use_positional_encoding=True),
    "g14_channel_indices": dict(num_input_channels=5, prediction_channel_indices=[3, 0]),
    "g15_odd_sizes": dict(context_length=50, patch_length=13, patch_stride=13, d_model=7,
                          expansion_factor=3, prediction_length=11, batch=5),
    "g16_one_step": dict(prediction_length=1),
    "g17_adamw": dict(batch=4, train=True, steps=6),
}
OURS = ("batch", "missing", "unseen", "train", "steps", "flat")
ADAMW = dict(lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)


def randomise(model, generator):
    """Weights that leave no default value in place."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                tensor.fill_(5)
                continue
            draw = torch.randn(tensor.shape, generator=generator)
            if name.endswith("position_enc"):
                if model.config.positional_encoding_type == "random":
                    tensor.copy_(0.3 * draw)
            elif name.endswith("running_var"):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            elif name.endswith("running_mean"):
                tensor.copy_(0.2 * draw)
            elif tensor.dim() == 1:
                tensor.copy_(0.2 * draw + (1.0 if "norm" in name and name.endswith("weight") else 0.0))
            else:
                tensor.copy_(draw * 1.2 / tensor.shape[1] ** 0.5)


def series(generator, batch, length, channels, flat):
    """Waves on a level, with noise; float32."""
    t = torch.arange(length, dtype=torch.float64)[None, :, None]
    draw = lambda: torch.randn(batch, 1, channels, generator=generator, dtype=torch.float64)
    wave = torch.sin(t * (0.2 + 0.3 * draw().abs()) + draw())
    noise = torch.randn(batch, length, channels, generator=generator, dtype=torch.float64)
    x = 4 * draw() + draw().exp() * (wave + 0.3 * noise)
    if flat:
        x[:, :, 0], x[:, :, 1] = 2.5, 0.0
    return x.float()


def watch(model):
    """Hooks that keep the intermediates; returns the dictionary that they fill."""
    kept, encoder = {}, model.model.encoder
    keep = lambda name: lambda module, inputs, output: kept.__setitem__(name, output.detach().clone())
    encoder.patcher.register_forward_hook(keep("embedding"))
    if encoder.positional_encoder is not None:
        encoder.positional_encoder.register_forward_hook(keep("embedding_pos"))
    model.head.register_forward_hook(keep("head"))
    for i, layer in enumerate(encoder.mlp_mixer_encoder.mixers):
        for block in ("channel_feature_mixer", "patch_mixer", "feature_mixer"):
            if hasattr(layer, block):
                getattr(layer, block).register_forward_hook(keep(f"trace.{i}.{block}"))

    def base(module, inputs, output):
        kept.update(patch_input=output.patch_input.detach(), encoder_input=output.patch_input.detach(),
                    loc=output.loc.detach(), scale=output.scale.detach())

    model.model.register_forward_hook(base)
    return kept


def compute(model, inputs):
    """Results, intermediates, gradients and updated buffers of one pass."""
    kept = watch(model)
    past = inputs["past_values"].clone().requires_grad_(True)
    output = model(**{**inputs, "past_values": past}, output_hidden_states=True, return_dict=True)
    output.loss.backward()
    for i, hidden in enumerate(output.hidden_states):
        kept[f"hidden.{i}"] = hidden.detach()
    kept.update(last_hidden_state=output.last_hidden_state.detach(),
                prediction=output.prediction_outputs.detach(), loss=output.loss.detach())
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            kept[f"grad.{name}"] = parameter.grad.clone()
    kept["grad_in.past_values"] = past.grad.clone()
    if model.training:
        kept.update({f"after.{n}": v.clone() for n, v in model.state_dict().items() if "running_" in n})
    return kept


def train(model, generator, case, config):
    """Some AdamW steps; returns their inputs, losses and final weights."""
    length = config.context_length + config.prediction_length
    data = torch.stack([series(generator, case["batch"], length, config.num_input_channels, False)
                        for _ in range(case["steps"])])
    past, future = data[:, :, : config.context_length], data[:, :, config.context_length:]
    optimiser = torch.optim.AdamW(model.parameters(), **ADAMW)
    losses = []
    for x, y in zip(past.double(), future.double()):
        optimiser.zero_grad()
        loss = model(past_values=x, future_values=y).loss
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    kept = {"train.past_values": past, "train.future_values": future, "ref64.train.loss": torch.stack(losses)}
    kept.update({f"ref64.train.param.{n}": v.clone() for n, v in model.state_dict().items() if v.is_floating_point()})
    return kept


def make(name, case, root):
    case = {"batch": 2, **case}
    fields = {**SMALL, "dropout": 0.0, "head_dropout": 0.0, **{k: v for k, v in case.items() if k not in OURS}}
    config = PatchTSMixerConfig(**fields)
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    model = PatchTSMixerForPrediction(config)
    randomise(model, generator)
    folder = os.path.join(root, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    length, channels = config.context_length, config.num_input_channels
    full = series(generator, case["batch"], length + config.prediction_length, channels, case.get("flat"))
    stored = {"in.past_values": full[:, :length], "in.future_values": full[:, length:]}
    if "missing" in case:
        mask = (torch.rand(case["batch"], length, channels, generator=generator) >= case["missing"]).float()
        if "unseen" in case:
            mask[case["unseen"][0], :, case["unseen"][1]] = 0
        stored["in.observed_mask"] = mask
        stored["in.past_values"] = stored["in.past_values"] * mask
    wide = lambda: PatchTSMixerForPrediction(PatchTSMixerConfig(**fields))
    model64 = wide()
    model64.load_state_dict(model.state_dict())
    model64 = model64.double().train(bool(case.get("train")))
    results = compute(model64, {k[3:]: v.double() for k, v in stored.items()})
    stored.update({f"ref64.{k}": v for k, v in results.items()})
    meta = dict(name=name, head="forecast", mode="train" if case.get("train") else "eval",
                float32_vs_float64_max_rel=rounding(model.train(bool(case.get("train"))), stored, results),
                versions=dict(torch=torch.__version__, transformers=transformers.__version__))
    if case.get("steps"):
        fresh = wide()
        fresh.load_state_dict(PatchTSMixerForPrediction.from_pretrained(folder).state_dict())
        stored.update(train(fresh.double().train(), generator, case, config))
        meta["adamw"] = dict(steps=case["steps"], **ADAMW)
    save_file({k: v.clone().contiguous() for k, v in stored.items()}, os.path.join(folder, "io.safetensors"))
    with open(os.path.join(folder, "meta.json"), "w") as file:
        json.dump(meta, file, indent=1)


def rounding(model, stored, results):
    """How far the reference's own float32 is from its float64, relative to the largest element."""
    inputs = {k[3:]: v for k, v in stored.items() if k.startswith("in.")}
    single = compute(model, inputs)
    largest = max(float(v.abs().max()) for k, v in results.items() if k.startswith("grad."))
    errors, gradients = {}, []
    for name, wide in results.items():
        difference = float((single[name].double() - wide).abs().max())
        if name.startswith("grad."):
            gradients.append(difference / largest)
        elif not name.startswith(("grad_in.", "after.", "hidden.", "trace.")):
            errors[f"out.{name}"] = difference / (float(wide.abs().max()) + 1e-30)
    errors["grad.max"] = max(gradients)
    return errors


def manifest(root):
    lines = ["# Golden tensors", "",
             "Written by `tools/golden/make_golden.py` (torch " + torch.__version__.split("+")[0]
             + f", transformers {transformers.__version__}); its table of cases says what each one is.",
             "SHA-256 of every file:", "", "```text"]
    for folder in sorted(CASES):
        for name in sorted(os.listdir(os.path.join(root, folder))):
            with open(os.path.join(root, folder, name), "rb") as file:
                lines.append(f"{hashlib.sha256(file.read()).hexdigest()}  {folder}/{name}")
    with open(os.path.join(root, "MANIFEST.md"), "w") as file:
        file.write("\n".join(lines + ["```", ""]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    target = sys.argv[1]
    for case_name in sys.argv[2:] or CASES:
        make(case_name, CASES[case_name], target)
        print(case_name)
    manifest(target)
