"""The Unlearning Depth Score against whole forwards with hooks, and its two ends."""

import inside
import pytest
import torch

from unlearnkit.attacks import Depth
from unlearnkit.attacks.depth import depth
from unlearnkit.errors import UserError


def looked(attack, control, unlearned):
    own = attack.measured_by(None)
    own.measure(control, attack.point("the control", of="never_knew"))
    return own.measure(unlearned, attack.point("now"))


@torch.no_grad()
def plainly(start, source, architecture, model, row):
    """D_l of one row: the source's output of each layer in turn where the start model predicts the answer's tokens."""
    ids, first, answer = inside.ids_of(model, row)
    places, answer = slice(first - 1, first - 1 + len(answer) - 1), answer[:-1]  # without the end token
    states, _ = inside.plain_states(source, architecture, ids)
    found = []

    def said(network):
        logits = network(ids, use_cache=False).logits[0]
        return logits[places].log_softmax(-1)[range(len(answer)), answer].mean()

    whole = said(start)
    for number, block in enumerate(start.get_submodule(inside.PATHS[architecture][0])):

        def put(module, given, out, number=number):
            new = (out if torch.is_tensor(out) else out[0]).clone()
            new[0, places] = states[number][places]
            return new if torch.is_tensor(out) else (new, *out[1:])

        hook = block.register_forward_hook(put)
        found.append(float(whole - said(start)))
        hook.remove()
    return found


@pytest.mark.parametrize("architecture", inside.PATHS)
def test_every_layer_is_what_a_hook_makes_of_the_start_model(architecture, tmp_path):
    start = inside.network(architecture)
    unlearned, control = inside.moved(start, 0.2), inside.moved(start, 0.5)
    attack, model = inside.bound(Depth(), tmp_path / "a"), inside.model(unlearned, start)
    records = looked(attack, inside.model(control), model)["inside"]
    assert [record.id for record in records] == [row.id for row in inside.ROWS]
    for record, row in zip(records, inside.ROWS, strict=True):
        for name, source in (("own", unlearned), ("never_knew", control)):
            expected = plainly(start, source, architecture, model, row)
            assert record.by_layer[name] == pytest.approx(expected, abs=2e-4)
            assert max(map(abs, expected)) > 2e-3
    numbers = attack.measured_by(None).compute({"inside": records})["inside"]["forget"]
    assert set(numbers) - {"depth"} == {"layer_00", "layer_01", "layer_02"}
    assert numbers["layer_01"]["value"] == pytest.approx(sum(r.by_layer["own"][1] for r in records) / 5)


def test_the_start_has_depth_0_and_a_model_that_never_knew_depth_1(tmp_path):
    start = inside.network()
    control = inside.moved(start, 0.5)
    for network, expected in ((start, 0.0), (control, 1.0)):
        attack = inside.bound(Depth(), tmp_path / str(expected))
        records = looked(attack, inside.model(control), inside.model(network, start))
        numbers = attack.measured_by(None).compute(records)["inside"]["forget"]
        assert numbers["depth"]["value"] == pytest.approx(expected, abs=1e-4)


def test_unlearning_in_the_last_layer_alone_is_shallow(tmp_path):
    start = inside.network()
    attack = inside.bound(Depth(), tmp_path / "a")
    model = inside.model(inside.moved(start, 0.5, "layers.2."), start)
    found = looked(attack, inside.model(inside.moved(start, 0.5)), model)["inside"][0].by_layer["own"]
    assert found[:2] == pytest.approx([0, 0], abs=1e-5) and abs(found[2]) > 0.01


@pytest.mark.parametrize(
    ("control", "unlearned", "expected"),
    [
        ([0.0, 1.0, 3.0], [0.5, 0.5, 3.0], 0.875),  # (1 * 0.5 + 3 * 1) / 4
        ([0.05, 1.0], [9.0, 1.0], 1.0),  # 0.05 does not count
        ([1.0, 1.0], [-2.0, 5.0], 0.5),  # clipped at both ends
        ([0.0, 0.01], [1.0, 1.0], None),
    ],
)
def test_the_score_of_one_row(control, unlearned, expected):
    assert depth(control, unlearned) == expected


@pytest.mark.parametrize(
    ("sizes", "said"), [({"layers": 2}, "has 2 layers and the start model has 3"), ({"hidden_size": 16}, "has 16 numb")]
)
def test_a_model_of_another_shape_is_refused(sizes, said, tmp_path):
    start = inside.network()
    attack = inside.bound(Depth(), tmp_path / "a")
    with pytest.raises(UserError, match=said):
        looked(attack, inside.model(inside.network(**sizes)), inside.model(inside.moved(start), start))


def test_without_a_control_it_is_refused():
    from unlearnkit.controls.never_knew import NeverKnew, needed
    from unlearnkit.evaluations.base import Evaluations

    evaluations = Evaluations({}, inside.DATA, 0)
    with pytest.raises(UserError, match="'depth' says nothing without a model that never knew, and there is none"):
        needed(None, evaluations, {"depth": Depth()})
    with pytest.raises(UserError, match="records alone"):
        needed({"never_knew": NeverKnew(records="x.parquet")}, evaluations, {"depth": Depth()})
    control = NeverKnew()
    assert needed({"never_knew": control}, evaluations, {"depth": Depth()}) is control
