from composed import composed

from unlearnkit.identity import differences, fingerprint, resolved


def test_what_decides_a_result_makes_its_own_folder():
    def of(*overrides):
        return fingerprint(resolved(composed("+method=sku", "model=tiny", *overrides)))

    plain = of()
    assert of("resume=never") == of("logger=none") == of("train.save_every=1") == of("train.save_limit=9") == plain
    assert of("+scale=smoke") == plain
    others = [of("seed=1"), of("train.max_steps=5"), of("data=authors"), of("model.lora.r=2")]
    assert len({plain, *others}) == 5
    assert fingerprint({"a": {"b": 1, "c": [2]}, "d": 3}) == fingerprint({"d": 3, "a": {"c": [2], "b": 1}})
    # The description of the sweep is no part of it.
    assert of("+sweep=sku_table1", "eval_every=5") == of("+sweep=sku_table2", "eval_every=5")


def test_what_two_configs_say_differently():
    held = {"seed": 0, "train": {"save_every": 2, "steps": 3}, "logger": {"a": 1}, "resume": "auto", "old": {}}
    wanted = {"seed": 1, "train": {"save_every": 9, "steps": 3}, "logger": {"b": 1}, "resume": "never", "new": None}
    assert differences(held, wanted) == [
        "seed is 0 there, 1 here",
        "old is {} there, absent here",
        "new is absent there, None here",
    ]
    assert differences(held, held) == []
