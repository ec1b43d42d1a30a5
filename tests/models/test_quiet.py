import pytest
from transformers.utils import logging

from unlearnkit.models.quiet import quiet


@pytest.mark.parametrize("bars", [True, False])
def test_what_was_set_before_is_set_again(bars):
    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    try:
        logging.set_verbosity_info()
        (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
        with pytest.raises(OSError), quiet():
            assert logging.get_verbosity() == logging.ERROR and not logging.is_progress_bar_enabled()
            raise OSError
        assert logging.get_verbosity() == logging.INFO and logging.is_progress_bar_enabled() is bars
    finally:
        logging.set_verbosity(level)
        (logging.enable_progress_bar if shown else logging.disable_progress_bar)()
