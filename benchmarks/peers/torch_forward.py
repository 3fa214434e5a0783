"""PyTorch's forward pass and cross-entropy, on request, one line in and one line out; run by `benchmarks.extraction`.

python torch_forward.py make KIND FOLDER     draw a model of this shape and save it to FOLDER
python torch_forward.py serve FOLDER B T     then `run` answers seconds, `peak` answers bytes and the mean loss
"""

import json
import resource
import sys
import time

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SHAPES = {
    "gpt2": ("gpt2", {}),
    "pythia": (
        "gpt_neox",
        {
            "vocab_size": 50304,
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "max_position_embeddings": 2048,
        },
    ),
}


def make(kind: str, folder: str) -> None:
    torch.manual_seed(0)
    name, values = SHAPES[kind]
    AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **values)).save_pretrained(folder)


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
