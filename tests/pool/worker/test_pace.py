"""How long samples are in an engine."""

import pytest

from vlmeval_mp.pool.worker.pace import Pace


def test_the_oldest_sample_and_the_usual_latency():
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert (pace.oldest(), pace.usual()) == (0.0, 0.0)
    with pace.measures():
        now[0] = 3.0
        with pace.measures():
            now[0] = 5.0
            assert pace.oldest() == 5.0
        assert pace.usual() == 2.0
    assert (pace.oldest(), pace.usual()) == (0.0, 5.0)


def test_a_sample_that_failed_has_no_latency():
    now = [0.0]
    pace = Pace(lambda: now[0])
    with pytest.raises(ValueError, match="no"), pace.measures():
        now[0] = 9.0
        raise ValueError("no")
    assert (pace.oldest(), pace.usual()) == (0.0, 0.0)
