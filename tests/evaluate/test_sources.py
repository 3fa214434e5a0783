from csvjax.evaluate import sources
from csvjax.evaluate.sources import source_hash


def reached(name: str) -> set[str]:
    found, left = set(), [name]
    while left:
        module = left.pop()
        if module not in found:
            found.add(module)
            left += sources._imports(module)
    return found


def test_a_method_depends_on_what_it_imports_and_on_nothing_else() -> None:
    found = reached("csvjax.baselines.sloth")
    assert {"csvjax.baselines.low_rank", "csvjax.baselines.robust", "csvjax.errors"} <= found
    assert "csvjax.baselines.perplexity" not in found
    assert "csvjax.evaluate.referee" not in found


def test_hashes_differ_and_do_not_depend_on_order() -> None:
    one, two = "csvjax.baselines.sloth", "csvjax.baselines.family"
    assert source_hash([one, two]) == source_hash([two, one]) == source_hash([two, "numpy", one])
    assert source_hash([one]) != source_hash([two])


def test_a_changed_import_changes_the_hash(monkeypatch) -> None:
    before = source_hash(["csvjax.baselines.sloth"]), source_hash(["csvjax.baselines.family"])
    kept = sources._source
    monkeypatch.setattr(sources, "_source", lambda name: kept(name) + (b"#" if name.endswith("low_rank") else b""))
    after = source_hash(["csvjax.baselines.sloth"]), source_hash(["csvjax.baselines.family"])
    assert before[0] != after[0]
    assert before[1] == after[1]
