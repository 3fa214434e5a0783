"""The benchmarks of the ladder: multiple-choice items from held-out documents, or with held-out operands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from csvjax.ladder import synthetic
from csvjax.ladder.corpus import SYNTHETIC, Corpus
from csvjax.ladder.recipe import Recipe

__all__ = ["Item", "Task", "make_tasks"]


@dataclass(frozen=True)
class Item:
    """An item. `choices[answer]` continues `context`; the tokenizer cuts between them."""

    context: str
    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True)
class Task:
    """A benchmark; `floor` is the score of random guessing, 1 / number of choices."""

    name: str
    floor: float
    items: tuple[Item, ...]


@dataclass(frozen=True)
class _Question:
    context: str
    right: str
    wrong: tuple[str, ...]


Questions = Iterator[_Question]


def make_tasks(corpus: Corpus, recipe: Recipe) -> tuple[Task, ...]:
    """The tasks for the domains of the corpus, with `recipe.items` items, or fewer if the held-out text is short.

    The generator of a task is seeded with its name, so that tasks do not depend on each other. The right choice is at
    each position equally often. A context has at most 3/4 `recipe.context` bytes.
    """
    tasks = []
    for name, questions in _kinds(corpus, recipe.context * 3 // 4).items():
        items = _items(questions(np.random.default_rng([recipe.seed, *name.encode()])), recipe.items)
        if items:
            tasks.append(Task(name, 1 / len(items[0].choices), items))
    return tuple(tasks)


def _kinds(corpus: Corpus, limit: int) -> dict[str, Callable[[np.random.Generator], Questions]]:
    """The generator of questions for each task of the corpus; contexts have at most `limit` bytes."""
    texts = {d: [x.text for x in corpus.tasks if x.domain == d] for d in corpus.domains if d != SYNTHETIC}
    train = {d: [x.text for x in corpus.train if x.domain == d] for d in texts}
    kinds: dict[str, Callable[[np.random.Generator], Questions]]
    kinds = {f"cloze_{d}": partial(_cloze, texts[d], train[d], limit) for d in texts}
    if "code" in texts:
        kinds |= {"bracket": partial(_bracket, texts["code"], limit), "indent": partial(_indent, texts["code"], limit)}
    if "english" in texts:
        kinds["agreement"] = _agreement
    kinds |= {f"word_order_{d}": partial(_word_order, texts[d], limit) for d in texts if d in ("english", "german")}
    if SYNTHETIC in corpus.domains:
        kinds |= {"sum_2digit": partial(_sum, 2), "sum_3digit": partial(_sum, 3)}
        kinds |= {"count": _count, "copy": _copy}
    return kinds


def _items(questions: Questions, count: int) -> tuple[Item, ...]:
    """The first `count` different questions, with the right choice at position 0, 1, 2, ... in turn."""
    items: dict[tuple[str, str], Item] = {}
    for q in questions:
        if (q.context, q.right) in items:
            continue
        at = len(items) % (len(q.wrong) + 1)
        items[q.context, q.right] = Item(q.context, (*q.wrong[:at], q.right, *q.wrong[at:]), at)
        if len(items) == count:
            break
    return tuple(items.values())


def _pick(rng: np.random.Generator, options: Sequence[str], count: int) -> tuple[str, ...]:
    return tuple(options[i] for i in rng.permutation(len(options))[:count])


def _balanced(groups: dict[str, list[_Question]], rng: np.random.Generator) -> Questions:
    """Questions from each group in turn, so that guessing the most common group does not help."""
    shuffled = [[groups[g][i] for i in rng.permutation(len(groups[g]))] for g in sorted(groups)]
    for turn in range(max(map(len, shuffled), default=0)):
        yield from (group[turn] for group in shuffled if turn < len(group))


def _worded(text: str) -> bool:
    """Whether a text is words: more than half letters, no tab or backslash, so no table or markup."""
    return not {"\t", "\\"} & set(text) and sum(c.isalpha() for c in text) > 0.5 * len(text)


def _word_cost(texts: Iterable[str]) -> Callable[[str], float]:
    """A function: -log of the probability of a passage whose words are drawn with their frequencies in `texts`."""
    counts = Counter(word for text in texts for word in text.split())
    total = np.log(counts.total() + len(counts))
    return lambda passage: float(sum(total - np.log(counts[word] + 1) for word in passage.split()))


def _cloze(
    texts: Sequence[str], train: Sequence[str], limit: int, rng: np.random.Generator, tries: int = 20_000
) -> Questions:
    """Choose the 14 to 20 bytes after a context, among other passages of the same length with equally common words.

    With other words, the sum of the losses of a passage would say more about its words than about its context.
    """
    cost = _word_cost(train)
    space = re.compile(r"\s")
    found: dict[int, set[tuple[float, str, str]]] = {}
    lengths = np.array([max(len(t) - 200, 0) for t in texts], float)
    for which in rng.choice(len(texts), tries, p=lengths / lengths.sum()):
        text = texts[which]
        start = text.find(" ", int(rng.integers(100, len(text) - 100)))
        end = space.search(text, start + 14)
        if start < 0 or not end or end.start() - start > 20:
            continue
        passage = text[start : end.start()]
        if any(text[i].isspace() for i in (start - 1, start + 1, end.start() - 1)) or "\n" in passage:
            continue  # the tokenizer does not cut here
        context = text[max(0, start - limit) : start].split(maxsplit=1)[-1]
        if _worded(passage) and _worded(context) and len(context.encode()) > limit // 2:
            found.setdefault(len(passage.encode()), set()).add((cost(passage), passage, context))
    pool = {size: sorted(found[size]) for size in sorted(found)}
    order = [(size, i) for size in pool for i in range(len(pool[size]))]
    for k in rng.permutation(len(order)):
        size, i = order[k]
        _, passage, context = pool[size][i]
        nearest = sorted({other for _, other, _ in pool[size][max(0, i - 6) : i + 7]} - {passage})
        if len(nearest) >= 6:
            yield _Question(context, passage, _pick(rng, nearest, 3))


def _lines_before(text: str, end: int, limit: int) -> str:
    """The lines before `end` that fit into `limit` characters, and the start of the line of `end`."""
    start = text.rfind("\n", 0, end) + 1
    first = text.find("\n", max(0, end - limit)) + 1
    return text[min(start, first) : end].lstrip("\n") if first else text[start:end]


CLOSE = {"(": ")", "[": "]", "{": "}"}


def _open_brackets(line: str) -> list[str]:
    """The closing brackets that `line` still needs, the innermost last."""
    stack: list[str] = []
    for c in line:
        if c in CLOSE:
            stack.append(CLOSE[c])
        elif stack and c == stack[-1]:
            stack.pop()
    return stack


def _bracket(texts: Sequence[str], limit: int, rng: np.random.Generator) -> Questions:
    """Choose two or three closing brackets after a name or number, among other sequences of the same length."""
    found: list[tuple[str, str, str]] = []
    for text in texts:
        for match in re.finditer(r"(?<=[A-Za-z0-9])([)\]}]{2,3})([:,]?)(?=\s)", text):
            run, tail = match.groups()
            line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            needed = _open_brackets(line)[::-1]
            if not set("'\"#\\`") & set(line) and "".join(needed[: len(run)]) == run and len(line) <= limit:
                found.append((_lines_before(text, match.start(), limit), run, tail))
    groups: dict[str, list[_Question]] = {}
    for context, run, tail in found:
        others = ["".join(c) for c in product(")]}", repeat=len(run)) if "".join(c) != run]
        # Sequences of one bracket are the most common, so a guess without the context must be able to fail.
        common = [")" * len(run)] if run != ")" * len(run) else []
        likely = [o for o in others if o not in common and set(o) <= {")", "]"} | set(run)]
        wrong = (*common, *_pick(rng, likely, 3 - len(common)))
        if len(wrong) == 3:
            groups.setdefault(run, []).append(_Question(context, run + tail, tuple(w + tail for w in wrong)))
    yield from _balanced(groups, rng)


def _indent(texts: Sequence[str], limit: int, rng: np.random.Generator) -> Questions:
    """Choose the indentation of the line after a colon, among three wrong ones before the same word."""
    header = re.compile(
        r"\n( *)(?:def|class|if|for|while|with|try|else|elif|except|finally)\b[^\n]*:(\n( +)[A-Za-z_.]+)"
    )
    groups: dict[str, list[_Question]] = {}
    for text in texts:
        for match in header.finditer(text):
            right, word = len(match[3]), match[2].lstrip()
            context = _lines_before(text, match.start(2), limit)
            if right % 4 or right != len(match[1]) + 4 or "\n" not in context or len(word) > 12:
                continue
            wrong = sorted({w for w in (0, right - 8, right - 4, right + 4, right + 8) if w >= 0} - {right})
            choices = [f"\n{' ' * w}{word}" for w in wrong]
            groups.setdefault(f"{right:03d}", []).append(_Question(context, match[2], _pick(rng, choices, 3)))
    yield from _balanced({k: v for k, v in groups.items() if int(k) <= 16}, rng)


_NOUNS = (
    "worker", "union", "boss", "government", "group", "party", "company", "movement", "idea", "system", "law",
    "theory", "market", "community", "association", "state", "economist", "anarchist", "organisation", "revolution",
)  # fmt: skip
_PREPOSITIONS = ("of", "in", "behind", "near", "against")
_VERBS = ((" is", " are"), (" was", " were"), (" has", " have"))
_OPENINGS = ("The", "Clearly, the", "In this case the", "So the", "However, the", "As such, the")


def _plural(noun: str) -> str:
    return noun[:-1] + "ies" if noun.endswith("y") else noun + "es" if noun.endswith("s") else noun + "s"


def _agreement(rng: np.random.Generator) -> Questions:
    """Choose "is" or "are" after a subject, with or without a second noun between them, of either number."""
    for turn in range(100_000):
        plural = turn % 2
        subject, other = _pick(rng, _NOUNS, 2)
        phrase = f"{rng.choice(_OPENINGS)} {_plural(subject) if plural else subject}"
        if turn % 4 > 1:
            second = _plural(other) if turn % 8 > 3 else other
            phrase += f" {rng.choice(_PREPOSITIONS)} the {second}"
        verbs = _VERBS[rng.integers(len(_VERBS))]
        yield _Question(phrase, verbs[plural], (verbs[1 - plural],))


def _word_order(texts: Sequence[str], limit: int, rng: np.random.Generator) -> Questions:
    """Choose a sentence, or the sentence with two neighbouring inner words exchanged."""
    pattern = re.compile(rf"(?<=[.!?][ \n])[A-ZÄÖÜ][A-Za-zÄÖÜäöüß,\- \n]{{40,{limit}}}\.(?=\s)")
    found = sorted({m.group() for text in texts for m in pattern.finditer(text)})
    for i in rng.permutation(len(found)):
        sentence = found[i]
        pairs = [
            m for m in re.finditer(r"(?<= )([^\W\d_]+)(?= ([^\W\d_]+)[ \n])", sentence) if m[1].lower() != m[2].lower()
        ]
        if "\n\n" in sentence or "  " in sentence or len(sentence.split()) < 7 or not pairs:
            continue
        m = pairs[rng.integers(len(pairs))]
        yield _Question("", sentence, (f"{sentence[: m.start()]}{m[2]} {m[1]}{sentence[m.end(2) :]}",))


def _sum(digits: int, rng: np.random.Generator) -> Questions:
    """Choose the result of a reserved sum, after another sum with its result.

    The choices are the result, the result of a third sum, and both of these off by one (two digits) or ten (three
    digits). The size of the result leaves two choices, and its digits leave one. All choices have the same length and
    distribution, so that none stands out to a model that cannot add.
    """
    while True:
        (a, b), (c, d), (e, f) = (synthetic.sum_operands(rng, digits, held_out=True) for _ in range(3))
        off = 10 ** (digits - 2) * rng.choice([-1, 1], 2)
        results = [f"{x}\n" for x in (a + b, a + b + off[0], e + f, e + f + off[1])]
        if len(set(results)) == 4 and len(set(map(len, results))) == 1 and {a, b} != {c, d}:
            yield _Question(f"{c} + {d} = {c + d}\n{a} + {b} = ", results[0], _pick(rng, results[1:], 3))


def _count(rng: np.random.Generator) -> Questions:
    """Choose the last number of an arithmetic sequence, among new numbers that are off by one, by ten, or by both."""
    while True:
        *before, right = synthetic.count_steps(rng)
        one, ten = (int(x) for x in rng.choice([-1, 1], 2) * [1, 10])
        results = [right, right + one, right + ten, right + one + ten]
        choices = [f" {x}\n" for x in results]
        if not set(results) & set(before) and len(set(map(len, choices))) == 1:
            yield _Question("count " + " ".join(map(str, before)), choices[0], _pick(rng, choices[1:], 3))


def _copy(rng: np.random.Generator) -> Questions:
    """Choose the next letter of a copied sequence, among later letters, or a letter that is not in it if there are few.

    Letters that are already copied are not offered as choices, because a model that only repeats would fall below the
    floor.
    """
    while True:
        letters = synthetic.copy_letters(rng)
        at = int(rng.integers(len(letters)))
        later = sorted(set(letters[at:]) - set(letters[: at + 1]))
        outside = sorted(set(synthetic.LETTERS) - set(letters))
        if len(later) >= 2 and letters[at] not in letters[:at]:
            wrong = _pick(rng, later, 3)
            wrong += _pick(rng, outside, 3 - len(wrong))
            context = f"copy {' '.join(letters)} -> {' '.join(letters[:at])}".rstrip()
            yield _Question(context, f" {letters[at]}", tuple(f" {w}" for w in wrong))
