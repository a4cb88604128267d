"""A worker's pulse goes on whatever the worker says."""

from vlmeval_mp.core.jsonfiles import read
from vlmeval_mp.core.records import WorkerStatus
from vlmeval_mp.pool.worker.heartbeat import Heart


def test_half_a_surrogate_in_a_message_does_not_end_the_heartbeat(tmp_path):
    path = tmp_path / "w0.json"
    status = WorkerStatus(
        worker="w0", pid=1, owner="o", host="h", model="m", devices="cpu", phase="working", message="no file \udce4.png"
    )
    heart = Heart(path, lambda: status)
    heart.start()
    heart.stop()
    written = read(path, WorkerStatus)
    assert written.message == "no file ?.png"
    assert written.beat == 2
