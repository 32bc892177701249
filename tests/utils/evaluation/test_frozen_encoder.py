import pytest

from utils.evaluation.frozen_encoder import EncoderSettings


@pytest.mark.parametrize("named", [{}, {"model_path": ""}, {"model_path": "a.pth", "random_init": True}])
def test_settings_name_exactly_one_encoder(named):
    with pytest.raises(ValueError, match="either --model_path or --random_init"):
        EncoderSettings(**named)
