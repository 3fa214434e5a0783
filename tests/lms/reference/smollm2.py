"""PyTorch's losses on tokens in FOLDER/*.npy under the weights of a GGUF file: `python smollm2.py FILE FOLDER`."""

import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

file, folder = Path(sys.argv[1]), Path(sys.argv[2])
model = AutoModelForCausalLM.from_pretrained(
    file.parent, gguf_file=file.name, dtype=torch.float32, attn_implementation="eager"
).eval()
for path in folder.glob("*.npy"):
    ids = torch.from_numpy(np.load(path)).long()
    with torch.inference_mode():
        logits = model(ids[:, :-1]).logits
        nll = torch.nn.functional.cross_entropy(logits[0], ids[0, 1:], reduction="none")
    np.save(folder / f"{path.stem}.nll.npy", nll.numpy())
