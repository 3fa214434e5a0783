"""PyTorch's forward pass and cross-entropy, on request, one line in and one line out; run by `benchmarks.extraction`.

python torch_forward.py make KIND FOLDER     draw a model of this shape and save it to FOLDER
python torch_forward.py serve FOLDER B T     then `run` answers seconds, `peak` answers bytes and the mean loss
"""

import json
import resource
import sys
import time

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig


def config(kind: str) -> PreTrainedConfig:
    """`gpt2`, `pythia` (160m), or `pythia-LAYERS-WIDTH` with positions up to 4,096."""
    if kind == "gpt2":
        return AutoConfig.for_model("gpt2")
    layers, width = map(int, kind.split("-")[1:]) if "-" in kind else (12, 768)
    return AutoConfig.for_model(
        "gpt_neox",
        vocab_size=50304,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        max_position_embeddings=4096 if "-" in kind else 2048,
    )


def make(kind: str, folder: str) -> None:
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config(kind)).save_pretrained(folder)


def serve(folder: str, batch: int, length: int) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 50257, (batch, length + 1), generator=generator)
    print(json.dumps(tokens.tolist()), flush=True)
    mean = 0.0
    for line in sys.stdin:
        if line.strip() == "run":
            start = time.perf_counter()
            with torch.inference_mode():
                logits = model(tokens[:, :-1]).logits
                loss = torch.nn.functional.cross_entropy(
                    logits.reshape(-1, logits.shape[-1]), tokens[:, 1:].reshape(-1), reduction="none"
                )
                mean = loss.mean().item()
            del logits
            print(time.perf_counter() - start, flush=True)
        else:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, mean, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3])
    else:
        serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
