"""lm-evaluation-harness's loglikelihood_rolling: `python lm_eval_rolling.py FOLDER TEXTS.json CONTEXT`, a JSON list."""

import json
import sys
from pathlib import Path

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

folder, texts, context = sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), int(sys.argv[3])
lm = HFLM(pretrained=folder, device="cpu", dtype="float32", max_length=context, batch_size=1)
requests = [Instance("loglikelihood_rolling", {}, (text,), i) for i, text in enumerate(texts)]
print(json.dumps(lm.loglikelihood_rolling(requests, disable_tqdm=True)))
