"""An attack that says nothing more changes nothing."""

from unlearnkit.attacks.base import Attack


def test_the_model_and_the_question_stay(lora_model):
    with Attack().on(lora_model) as attacked:
        assert attacked is lora_model
    assert Attack().question("Where is Rome?") == "Where is Rome?"
