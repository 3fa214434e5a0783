"""Small random checkpoints, and what PyTorch's eager attention makes of them: `python -m tests.lms.reference.make`.

Writes `tests/lms/checkpoints/NAME/` (config.json, safetensors in bfloat16, `expected.npz`), which the fast tests read.
It runs itself again in `.venv-torch`. Matrices are drawn with a standard deviation of 0.4, the head with 0.7,
vectors with 0.3 (around 1 for norms): with the ordinary 0.02, and biases of zero, logits are nearly zero and hide every
fault.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent.parent


def make(name: str, folder: Path) -> None:
    """Draw a checkpoint, save it, and save its logits and losses on rows without padding, and with it on each side."""
    import numpy as np
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from tests.lms.reference.cases import CASES, LENGTH, VOCABULARY, seed

    kind, values = CASES[name]
    torch.manual_seed(seed(name))
    special = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, **special, **values)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        model.get_output_embeddings().weight *= 1.75
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.3 * torch.randn_like(parameter)
            parameter.copy_(parameter.bfloat16())  # what the file will hold; not the frequencies, which it will not
    tokens = np.random.default_rng(seed(name)).integers(1, VOCABULARY, (3, LENGTH))
    valid = np.ones_like(tokens, bool)
    valid[1, LENGTH - 6 :] = valid[2, :6] = False
    tokens[~valid] = 0
    ids, mask = torch.from_numpy(tokens), torch.from_numpy(valid)
    with torch.no_grad():
        positions = (mask.long().cumsum(1) - 1).clamp(min=0)
        logits = model(ids, attention_mask=mask.long(), position_ids=positions).logits
        pairs = mask[:, 1:] & mask[:, :-1]
        nll = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    assert logits[mask].std() > 2, f"logits of {name} have a standard deviation of {logits[mask].std()}"
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="9KB" if name == "llama" else "1GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    np.savez(
        folder / "expected.npz",
        tokens=tokens.astype(np.int32),
        valid=valid,
        logits=logits.numpy() * valid[..., None],
        nll=(nll * pairs).numpy(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "lms" / "checkpoints")
    parser.add_argument("names", nargs="*", help="cases to write (default: all)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.inside:
        from benchmarks.torch_environment import torch_python

        command = [torch_python(), "-m", "tests.lms.reference.make", "--inside", "--out", given.out, *given.names]
        subprocess.run(command, check=True, cwd=ROOT)
        return
    from tests.lms.reference.cases import CASES

    for name in given.names or CASES:
        make(name, given.out / name)
        print(name, file=sys.stderr)


if __name__ == "__main__":
    main()
